/** `deno task nara:dump`: see `deno task nara:dump --help`. @module */
import { main } from "../src/cli.ts";
import { fromGoFlags } from "../src/recipes/nara/arguments.ts";
import { naraDumpCommand } from "../src/recipes/nara/dump_task.ts";

Deno.exit(await main(naraDumpCommand, fromGoFlags(Deno.args)));
