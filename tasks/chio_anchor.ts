/** `deno task chio:anchor`: see `deno task chio:anchor --help`. @module */
import { main } from "../src/cli.ts";
import { chioAnchorCommand } from "../src/recipes/chio/tasks/anchor.ts";

Deno.exit(await main(chioAnchorCommand, Deno.args));
