/** `deno task nara:drill`: see `deno task nara:drill --help`. @module */
import { main } from "../src/cli.ts";
import { fromGoFlags } from "../src/recipes/nara/arguments.ts";
import { naraDrillCommand } from "../src/recipes/nara/drill_task.ts";
import { startPeer } from "../test/nara/peer.ts";

Deno.exit(await main(naraDrillCommand(startPeer), fromGoFlags(Deno.args)));
