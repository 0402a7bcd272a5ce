/** `deno task chatto:keys:import`: see `deno task chatto:keys:import --help`. @module */
import { main } from "../src/cli.ts";
import { chattoKeysImportCommand } from "../src/recipes/chatto/commands/keys.ts";

Deno.exit(await main(chattoKeysImportCommand, Deno.args));
