/**
 * `deno task chatto:restore`, with Chatto's own flags.
 *
 * @module
 */
import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { withDefault } from "@optique/core/modifiers";
import { argument, option } from "@optique/core/primitives";
import { choice } from "@optique/core/valueparser";
import { type Command, command } from "../../../cli.ts";
import { outputArgs, textOption, textOptions, toggle, word } from "../../../cli/args.ts";
import { EXIT } from "../../../cli/exit.ts";
import { fromCaller } from "../../../cli/folders.ts";
import { safe } from "../../../cli/terminal.ts";
import { chattoRestore } from "../../chatto.ts";
import { passphraseOf } from "../passphrase.ts";
import { config, passphraseArgs, warnOf, where, withoutAssets } from "./args.ts";

/** `deno task chatto:restore` */
export const chattoRestoreCommand: Command = command({
  name: "chatto:restore",
  usage: "ARCHIVE [OPTION...]",
  brief: "Restores an archive of `chatto backup` or of ours, all or none; stop Chatto first.",
  about: [
    "With an embedded server it is restored into its data folder by a nats-server of our own; else into the server of chatto.toml. " +
    "All conflicts are found before anything is touched. Standard output: with --dry-run what would be done.",
  ],
  examples: [
    "deno task chatto:restore backups/2026-11-20T03-00-00Z.tar.gz.age -c chatto.toml --passphrase-file pw",
    "deno task chatto:restore theirs.tar.gz --conflict overwrite --only 'KV_*'",
  ],
  parser: object({
    archive: argument(word("FILE"), { description: message`The archive` }),
    config,
    conflict: withDefault(
      option("--conflict", choice(["error", "skip", "overwrite"], { metavar: "MODE" }), {
        description: message`What to do with streams that exist`,
      }),
      "error" as const,
    ),
    only: textOptions("--only", "GLOB", 'Only streams whose name matches; "assets" are those of S3'),
    withoutAssets,
    dryRun: toggle("--dry-run", "Say what would be restored; nothing is changed"),
    natsServer: textOption("--nats-server", "PROGRAM", "The nats-server to use. Default: from the PATH"),
    ...passphraseArgs,
    ...outputArgs,
  }),
  run: async (args, cli) => {
    const run = cli.runOptions(args.quiet);
    const resolve = (path: string): string => fromCaller(path, cli.folder);
    warnOf(args.passphrase, run.log);
    const ask = passphraseOf(args, { confirm: false, resolve });
    // It is asked for in the middle of a run: not on the line of the progress bar.
    const passphrase = (): Promise<string> => {
      cli.clear();
      return ask();
    };
    const isAsset = (name: string): boolean => name.startsWith("assets/");
    const acts: { stream: string; action: string }[] = [];
    await chattoRestore(resolve(args.archive), {
      ...where(args.config, cli),
      natsServer: args.natsServer,
      passphrase,
      conflict: args.conflict,
      only: args.only,
      assets: !args.withoutAssets,
      dryRun: args.dryRun,
      report: (stream, action) => void acts.push({ stream, action }),
    }, run);
    cli.clear();
    for (const { stream, action } of acts) {
      if (args.json) cli.terminal.out(JSON.stringify({ action, stream }));
      else if (args.dryRun) cli.terminal.out(`${action}  ${safe(stream)}`);
    }
    const streams = acts.filter(({ stream }) => !isAsset(stream));
    const skipped = streams.filter(({ action }) => action === "skip").length;
    run.note(
      args.dryRun
        ? "Dry run: nothing was changed"
        : `Restored ${streams.length - skipped} streams, skipped ${skipped}. Start Chatto now`,
    );
    return run.warned() > 0 ? EXIT.warnings : EXIT.complete;
  },
});
