/** `deno task nara:stash:restore`: see `deno task nara:stash:restore --help`. @module */
import { main } from "../src/cli.ts";
import { fromGoFlags } from "../src/recipes/nara/arguments.ts";
import { naraStashRestoreCommand } from "../src/recipes/nara/stash_task.ts";

Deno.exit(await main(naraStashRestoreCommand, fromGoFlags(Deno.args)));
