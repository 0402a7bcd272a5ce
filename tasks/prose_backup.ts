/** `deno task prose:backup`: see `deno task prose:backup --help`. @module */
import { main } from "../src/cli.ts";
import { proseBackupCommand } from "../src/recipes/prose/tasks/backup.ts";

Deno.exit(await main(proseBackupCommand, Deno.args));
