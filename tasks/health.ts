/** `deno task health`: see `deno task health --help`. @module */
import { main } from "../src/cli.ts";
import { healthCommand } from "../src/cli/health.ts";

Deno.exit(await main(healthCommand, Deno.args));
