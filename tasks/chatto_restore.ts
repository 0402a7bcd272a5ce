/** `deno task chatto:restore`: see `deno task chatto:restore --help`. @module */
import { main } from "../src/cli.ts";
import { chattoRestoreCommand } from "../src/recipes/chatto/commands/restore.ts";

Deno.exit(await main(chattoRestoreCommand, Deno.args));
