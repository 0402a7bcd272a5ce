/** `deno task prune`: see `deno task prune --help`. @module */
import { main } from "../src/cli.ts";
import { pruneCommand } from "../src/cli/prune.ts";

Deno.exit(await main(pruneCommand, Deno.args));
