/** `deno task prose:restore`: see `deno task prose:restore --help`. @module */
import { main } from "../src/cli.ts";
import { proseRestoreCommand } from "../src/recipes/prose/tasks/restore.ts";

Deno.exit(await main(proseRestoreCommand, Deno.args));
