/** `deno task chio:restore`: see `deno task chio:restore --help`. @module */
import { main } from "../src/cli.ts";
import { chioRestoreCommand } from "../src/recipes/chio/tasks/restore.ts";

Deno.exit(await main(chioRestoreCommand, Deno.args));
