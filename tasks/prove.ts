/** `deno task prove`: see `deno task prove --help`. @module */
import { main } from "../src/cli.ts";
import { proveCommand } from "../src/cli/prove.ts";

Deno.exit(await main(proveCommand, Deno.args));
