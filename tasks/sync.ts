/** `deno task sync`: see `deno task sync --help`. @module */
import { main } from "../src/cli.ts";
import { syncCommand } from "../src/cli/sync.ts";

Deno.exit(await main(syncCommand, Deno.args));
