/** `deno task completion`: see `deno task completion --help`. @module */
import { main } from "../src/cli.ts";
import { completionCommand } from "../src/cli/completion.ts";

Deno.exit(await main(completionCommand, Deno.args));
