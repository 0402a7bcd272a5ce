/** `deno task nara:restore`: see `deno task nara:restore --help`. @module */
import { main } from "../src/cli.ts";
import { fromGoFlags } from "../src/recipes/nara/arguments.ts";
import { naraRestoreCommand } from "../src/recipes/nara/restore_task.ts";

Deno.exit(await main(naraRestoreCommand, fromGoFlags(Deno.args)));
