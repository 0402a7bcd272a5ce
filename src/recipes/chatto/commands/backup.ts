/**
 * `deno task chatto:backup`, with Chatto's own flags.
 *
 * @module
 */
import { object } from "@optique/core/constructs";
import { message, text } from "@optique/core/message";
import { optional } from "@optique/core/modifiers";
import type { InferValue } from "@optique/core/parser";
import { option } from "@optique/core/primitives";
import { formatBytes } from "../../../bytes.ts";
import { type Cli, type Command, command } from "../../../cli.ts";
import { numberOption, outputArgs, textOptions, toggle, word } from "../../../cli/args.ts";
import { EXIT } from "../../../cli/exit.ts";
import { fromCaller, storeFromCaller } from "../../../cli/folders.ts";
import { safe } from "../../../cli/terminal.ts";
import { isUrl } from "../../../config/shape.ts";
import { ConfigError } from "../../../errors.ts";
import type { Store } from "../../../stage.ts";
import { directory, open } from "../../../store/mod.ts";
import { chattoBackup } from "../../chatto.ts";
import { passphraseOf } from "../passphrase.ts";
import { config, passphraseArgs, warnOf, where, withoutAssets } from "./args.ts";

const policy = {
  keepLast: numberOption("--keep-last", "Afterwards, keep so many backups"),
  keepDaily: numberOption("--keep-daily", "Afterwards, keep the last backup of so many days"),
  keepWeekly: numberOption("--keep-weekly", "Afterwards, keep the last backup of so many weeks"),
} as const;

const backupArgs = object({
  config,
  output: optional(option("-o", "--output", word("FILE"), {
    description: message`${
      text("A file, replaced once the new one is whole. Default: backups/<UTC>.tar.gz[.age]")
    }`,
  })),
  to: textOptions("--to", "STORE", "A folder or a URL instead of ./backups; several get a copy each"),
  encrypt: toggle("--encrypt", "Encrypt with a passphrase"),
  includeKeys: toggle("--include-keys", "With the encryption keys: one archive that restores everything"),
  splitKeys: toggle(
    "--split-keys",
    "Export the keys after the data, into <UTC>-keys.age, which goes when its archive goes",
  ),
  includeConfig: toggle("--include-config", "With chatto.toml (encrypted archives only)"),
  withoutAssets,
  partial: toggle("--partial", "When a stream fails store the others (exit code 3)"),
  plaintext: toggle("--plaintext", "Do store an unencrypted archive in a remote store"),
  ...policy,
  ...passphraseArgs,
  ...outputArgs,
});

/** `deno task chatto:backup` */
export const chattoBackupCommand: Command = command({
  name: "chatto:backup",
  usage: "[OPTION...]",
  brief: "Backs up a running Chatto server, in the format of `chatto backup`.",
  about: [
    "Standard output: the archive. Unlike `chatto backup` a stream that fails makes the exit code say so, nothing unencrypted touches " +
    "the disk when encrypting, and a checksum, an index and a receipt come along.",
  ],
  examples: [
    "deno task chatto:backup -c /etc/chatto/chatto.toml --encrypt --include-keys --passphrase-file /etc/chatto/backup-passphrase",
    "deno task chatto:backup --encrypt --include-keys --passphrase-file pw --keep-daily 14 --keep-weekly 8",
  ],
  parser: backupArgs,
  run: runBackup,
});

async function runBackup(args: InferValue<typeof backupArgs>, cli: Cli): Promise<number> {
  const { encrypt, output } = args;
  checkBackup(args);
  const run = cli.runOptions(args.quiet);
  const passphrase = encrypt
    ? passphraseOf(args, { confirm: true, resolve: (path) => fromCaller(path, cli.folder) })
    : undefined;
  await passphrase?.();
  warnOf(args.passphrase, run.log);
  if (args.includeKeys && !encrypt) {
    run.log.info(
      "The encryption keys are in an unencrypted archive: whoever has it can read every message",
    );
  }
  const keep = { keepLast: args.keepLast, keepDaily: args.keepDaily, keepWeekly: args.keepWeekly };
  const result = await chattoBackup({
    ...where(args.config, cli),
    passphrase,
    includeKeys: args.includeKeys,
    splitKeys: args.splitKeys,
    includeConfig: args.includeConfig,
    assets: !args.withoutAssets,
    partial: args.partial,
    output: output === undefined ? undefined : fromCaller(output, cli.folder),
    to: storesOf(args.to, cli),
    keep: Object.values(keep).some((count) => count !== undefined) ? keep : undefined,
  }, run);
  cli.clear();
  const bytes = result.receipt.objects[0]?.bytes ?? 0;
  const path = output ?? result.id;
  if (args.json) {
    cli.terminal.out(JSON.stringify({ id: path, bytes, status: result.status, warnings: result.warnings }));
  } else cli.terminal.out(safe(path));
  run.note(
    `Backed up to ${result.copies.map(({ store }) => output ?? store).join(", ")}, ${formatBytes(bytes)}`,
  );
  run.note(
    args.includeKeys
      ? `The encryption keys are in it: who has the archive${
        encrypt ? " and its passphrase" : ""
      } can read everything`
      : args.splitKeys
      ? "The encryption keys are in the file beside it: a restore needs both"
      : "The encryption keys are not in it: without exported keys no message can be read after a restore",
  );
  return result.status === "complete" ? EXIT.complete : EXIT.warnings;
}

function checkBackup(args: InferValue<typeof backupArgs>): void {
  const { encrypt, to, output, plaintext } = args;
  const given = args.passphrase ?? args.passphraseFile ?? args.passphraseStdin;
  if (!encrypt && given !== undefined) {
    throw new ConfigError("Cannot use a passphrase without --encrypt: the archive would not be encrypted");
  }
  if (output !== undefined && to.length > 0) throw new ConfigError("Cannot use both --output and --to");
  if (output !== undefined && (args.keepLast ?? args.keepDaily ?? args.keepWeekly) !== undefined) {
    throw new ConfigError(
      "Cannot prune with --output: retention works on the names of a folder. Drop --output",
    );
  }
  if (!encrypt && !plaintext && to.some(isUrl)) {
    throw new ConfigError(
      "Cannot store an unencrypted archive in a remote store: pass --encrypt, or --plaintext if you mean it",
    );
  }
}

function storesOf(to: readonly string[], { folder }: Cli): readonly Store[] {
  return to.length === 0
    ? [directory(fromCaller("backups", folder))]
    : to.map((url) => open(storeFromCaller(url, folder)));
}
