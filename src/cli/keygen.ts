/**
 * `deno task keygen`
 *
 * @module
 */
import { object } from "@optique/core/constructs";
import { type Command, command } from "../cli.ts";
import { textOption, toggle } from "./args.ts";
import { EXIT } from "./exit.ts";
import { fromCaller } from "./folders.ts";
import { identityFile, writeIdentity } from "./identity.ts";

/** The command. */
export const keygenCommand: Command = command({
  name: "keygen",
  usage: "[--out FILE] [--hybrid]",
  brief: "Makes an age identity in a file only you can read, and prints its recipient.",
  about: [
    "Standard output: the recipient, age1..., for the hosts that back up. The identity belongs where backups are restored, and in a " +
    "second place. A file that exists is never overwritten.",
  ],
  examples: [
    "deno task keygen",
    "deno task keygen --out /root/app.key",
    "deno task keygen --hybrid --out ./quantum-safe.key",
  ],
  parser: object({
    out: textOption(
      "--out",
      "FILE",
      "The identity's file. Default: identity.txt in your configuration folder",
    ),
    hybrid: toggle(
      "--hybrid",
      "ML-KEM-768 with X25519, which holds against quantum computers; needs age 1.3 or later",
    ),
  }),
  run: async (args, cli) => {
    const file = args.out === undefined ? identityFile() : fromCaller(args.out, cli.folder);
    const recipient = await writeIdentity(file, args.hybrid ? "hybrid" : "x25519");
    cli.terminal.out(recipient);
    cli.say(
      `Wrote the identity to ${file}. Copy it to another place now: without it the backups cannot be read`,
    );
    return EXIT.complete;
  },
});
