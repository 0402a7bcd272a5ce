/** `deno task verify`: see `deno task verify --help`. @module */
import { main } from "../src/cli.ts";
import { verifyCommand } from "../src/cli/verify.ts";

Deno.exit(await main(verifyCommand, Deno.args));
