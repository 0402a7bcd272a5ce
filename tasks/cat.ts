/** `deno task cat`: see `deno task cat --help`. @module */
import { main } from "../src/cli.ts";
import { catCommand } from "../src/cli/cat.ts";

Deno.exit(await main(catCommand, Deno.args));
