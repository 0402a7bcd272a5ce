/** `deno task keygen`: see `deno task keygen --help`. @module */
import { main } from "../src/cli.ts";
import { keygenCommand } from "../src/cli/keygen.ts";

Deno.exit(await main(keygenCommand, Deno.args));
