/** `deno task copy`: see `deno task copy --help`. @module */
import { main } from "../src/cli.ts";
import { copyCommand } from "../src/cli/copy.ts";

Deno.exit(await main(copyCommand, Deno.args));
