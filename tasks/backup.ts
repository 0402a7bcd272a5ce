/** `deno task backup`: see `deno task backup --help`. @module */
import { main } from "../src/cli.ts";
import { backupCommand } from "../src/cli/backup.ts";

Deno.exit(await main(backupCommand, Deno.args));
