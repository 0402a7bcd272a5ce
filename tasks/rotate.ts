/** `deno task rotate`: see `deno task rotate --help`. @module */
import { main } from "../src/cli.ts";
import { rotateCommand } from "../src/cli/rotate.ts";

Deno.exit(await main(rotateCommand, Deno.args));
