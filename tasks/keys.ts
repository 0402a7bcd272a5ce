/** `deno task keys`: see `deno task keys --help`. @module */
import { main } from "../src/cli.ts";
import { keysCommand } from "../src/cli/keys.ts";

Deno.exit(await main(keysCommand, Deno.args));
