/** `deno task chio:backup`: see `deno task chio:backup --help`. @module */
import { main } from "../src/cli.ts";
import { chioBackupCommand } from "../src/recipes/chio/tasks/backup.ts";

Deno.exit(await main(chioBackupCommand, Deno.args));
