/**
 * `deno task chatto:keys:export` and `chatto:keys:import`, with Chatto's own flags.
 *
 * @module
 */
import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { argument, option } from "@optique/core/primitives";
import { type Command, command } from "../../../cli.ts";
import { outputArgs, toggle, word } from "../../../cli/args.ts";
import { EXIT } from "../../../cli/exit.ts";
import { fromCaller } from "../../../cli/folders.ts";
import { safe } from "../../../cli/terminal.ts";
import { chattoExportKeys, chattoImportKeys } from "../../chatto.ts";
import { passphraseOf } from "../passphrase.ts";
import { config, passphraseArgs, warnOf, where } from "./args.ts";

/** `deno task chatto:keys:export` */
export const chattoKeysExportCommand: Command = command({
  name: "chatto:keys:export",
  usage: "-o FILE [OPTION...]",
  brief: "Exports the encryption keys of a running Chatto, encrypted with a passphrase.",
  about: ["The file is that of `chatto keys export`. Keys of voice calls under way are left out."],
  examples: ["deno task chatto:keys:export -o keys.backup --passphrase-file pw"],
  parser: object({
    config,
    output: option("-o", "--output", word("FILE"), { description: message`The file` }),
    ...passphraseArgs,
    ...outputArgs,
  }),
  run: async (args, cli) => {
    const run = cli.runOptions(args.quiet);
    const resolve = (path: string): string => fromCaller(path, cli.folder);
    const passphrase = passphraseOf(args, { confirm: true, resolve });
    await passphrase();
    warnOf(args.passphrase, run.log);
    const count = await chattoExportKeys(
      resolve(args.output),
      { ...where(args.config, cli), passphrase },
      run,
    );
    cli.clear();
    if (args.json) cli.terminal.out(JSON.stringify({ keys: count, file: count > 0 ? args.output : null }));
    else if (count > 0) cli.terminal.out(safe(args.output));
    run.note(count > 0 ? `Exported ${count} keys` : "There are no encryption keys: no file was written");
    return EXIT.complete;
  },
});

/** `deno task chatto:keys:import` */
export const chattoKeysImportCommand: Command = command({
  name: "chatto:keys:import",
  usage: "FILE [OPTION...]",
  brief: "Imports exported encryption keys into a running Chatto. Existing keys are never overwritten.",
  about: [
    "Keys that were erased since (deleted accounts) stay erased, unless --revive is given. Restart Chatto afterwards.",
  ],
  examples: ["deno task chatto:keys:import keys.backup --passphrase-file pw"],
  parser: object({
    file: argument(word("FILE"), { description: message`The key export` }),
    config,
    revive: toggle("--revive", "Bring back erased keys, and with them what deleted accounts wrote"),
    ...passphraseArgs,
    ...outputArgs,
  }),
  run: async (args, cli) => {
    const run = cli.runOptions(args.quiet);
    const resolve = (path: string): string => fromCaller(path, cli.folder);
    warnOf(args.passphrase, run.log);
    const done = await chattoImportKeys(resolve(args.file), {
      ...where(args.config, cli),
      passphrase: passphraseOf(args, { confirm: false, resolve }),
      revive: args.revive,
    }, run);
    cli.clear();
    if (args.json) cli.terminal.out(JSON.stringify(done));
    run.note(
      `Imported ${done.imported} keys; ${done.existing} existed, ${done.wrapped} wrapped data keys were passed over`,
    );
    if (done.revived > 0) {
      run.note(`${done.revived} erased keys were brought back: what they encrypt can be read again`);
    }
    if (done.erased > 0) {
      run.log.warn(
        "erased",
        `${done.erased} keys have been erased since the export and stay so; --revive brings them back`,
      );
    }
    return run.warned() > 0 ? EXIT.warnings : EXIT.complete;
  },
});
