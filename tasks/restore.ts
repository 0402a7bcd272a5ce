/** `deno task restore`: see `deno task restore --help`. @module */
import { main } from "../src/cli.ts";
import { restoreCommand } from "../src/cli/restore.ts";

Deno.exit(await main(restoreCommand, Deno.args));
