/** `deno task sqlite:follow`: see `deno task sqlite:follow --help`. @module */
import { main } from "../src/cli.ts";
import { sqliteFollowCommand } from "../src/cli/sqlite_follow.ts";

Deno.exit(await main(sqliteFollowCommand, Deno.args));
