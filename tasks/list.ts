/** `deno task list`: see `deno task list --help`. @module */
import { main } from "../src/cli.ts";
import { listCommand } from "../src/cli/list.ts";

Deno.exit(await main(listCommand, Deno.args));
