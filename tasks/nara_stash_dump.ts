/** `deno task nara:stash:dump`: see `deno task nara:stash:dump --help`. @module */
import { main } from "../src/cli.ts";
import { fromGoFlags } from "../src/recipes/nara/arguments.ts";
import { naraStashDumpCommand } from "../src/recipes/nara/stash_task.ts";

Deno.exit(await main(naraStashDumpCommand, fromGoFlags(Deno.args)));
