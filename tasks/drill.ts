/** `deno task drill`: see `deno task drill --help`. @module */
import { main } from "../src/cli.ts";
import { drillCommand } from "../src/cli/drill.ts";

Deno.exit(await main(drillCommand, Deno.args));
