/** `deno task chatto:backup`: see `deno task chatto:backup --help`. @module */
import { main } from "../src/cli.ts";
import { chattoBackupCommand } from "../src/recipes/chatto/commands/backup.ts";

Deno.exit(await main(chattoBackupCommand, Deno.args));
