/** `deno task report`: see `deno task report --help`. @module */
import { main } from "../src/cli.ts";
import { reportCommand } from "../src/cli/report.ts";

Deno.exit(await main(reportCommand, Deno.args));
