/** `deno task chio:drill`: see `deno task chio:drill --help`. @module */
import { main } from "../src/cli.ts";
import { chioDrillCommand } from "../src/recipes/chio/tasks/drill.ts";

Deno.exit(await main(chioDrillCommand, Deno.args));
