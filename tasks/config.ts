/** `deno task config`: see `deno task config --help`. @module */
import { main } from "../src/cli.ts";
import { configCommand } from "../src/cli/config.ts";

Deno.exit(await main(configCommand, Deno.args));
