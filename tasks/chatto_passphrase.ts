/** `deno task chatto:passphrase`: see `deno task chatto:passphrase --help`. @module */
import { main } from "../src/cli.ts";
import { chattoPassphraseCommand } from "../src/recipes/chatto/commands/change.ts";

Deno.exit(await main(chattoPassphraseCommand, Deno.args));
