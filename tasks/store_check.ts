/** `deno task store:check`: see `deno task store:check --help`. @module */
import { main } from "../src/cli.ts";
import { storeCheckCommand } from "../src/cli/store_check.ts";

Deno.exit(await main(storeCheckCommand, Deno.args));
