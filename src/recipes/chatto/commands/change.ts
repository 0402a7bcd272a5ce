/**
 * `deno task chatto:passphrase`
 *
 * @module
 */
import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { argument, option } from "@optique/core/primitives";
import { type Command, command } from "../../../cli.ts";
import { outputArgs, word } from "../../../cli/args.ts";
import { EXIT } from "../../../cli/exit.ts";
import { fromCaller } from "../../../cli/folders.ts";
import { passphraseFromFile } from "../../../cli/passphrase.ts";
import { safe } from "../../../cli/terminal.ts";
import { chattoChangePassphrase } from "../change.ts";

/** `deno task chatto:passphrase` */
export const chattoPassphraseCommand: Command = command({
  name: "chatto:passphrase",
  usage: "FILE --old-passphrase-file FILE --passphrase-file FILE",
  brief: "Gives a key export or an archive of `chatto backup` another passphrase.",
  about: [
    "The file is replaced once the new one is whole. Whoever has a copy of the old file and its passphrase can still read that copy. " +
    "Archives of chatto:backup, which have a receipt, are re-encrypted by rotate with their plan.",
  ],
  examples: ["deno task chatto:passphrase keys.backup --old-passphrase-file old --passphrase-file new"],
  parser: object({
    file: argument(word("FILE"), { description: message`The key export or archive` }),
    old: option("--old-passphrase-file", word("FILE"), { description: message`The passphrase until now` }),
    passphraseFile: option("--passphrase-file", word("FILE"), {
      description: message`The passphrase from now on`,
    }),
    ...outputArgs,
  }),
  run: async (args, cli) => {
    const run = cli.runOptions(args.quiet);
    const resolve = (path: string): string => fromCaller(path, cli.folder);
    await chattoChangePassphrase(resolve(args.file), {
      old: () => passphraseFromFile(args.old, resolve),
      passphrase: () => passphraseFromFile(args.passphraseFile, resolve),
    }, run);
    cli.clear();
    cli.terminal.out(args.json ? JSON.stringify({ file: args.file }) : safe(args.file));
    return EXIT.complete;
  },
});
