/** `deno task chatto:keys:export`: see `deno task chatto:keys:export --help`. @module */
import { main } from "../src/cli.ts";
import { chattoKeysExportCommand } from "../src/recipes/chatto/commands/keys.ts";

Deno.exit(await main(chattoKeysExportCommand, Deno.args));
