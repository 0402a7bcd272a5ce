/** `deno task prose:serve`: see `deno task prose:serve --help`. @module */
import { main } from "../src/cli.ts";
import { proseServeCommand } from "../src/recipes/prose/tasks/serve.ts";

Deno.exit(await main(proseServeCommand, Deno.args));
