/** `deno task chio:verify`: see `deno task chio:verify --help`. @module */
import { main } from "../src/cli.ts";
import { chioVerifyCommand } from "../src/recipes/chio/verify_task.ts";

Deno.exit(await main(chioVerifyCommand, Deno.args));
