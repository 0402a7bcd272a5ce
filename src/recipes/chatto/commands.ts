/**
 * `deno task chatto:backup`, `chatto:restore`, `chatto:keys:export`, `chatto:keys:import`, with Chatto's own flags.
 *
 * @module
 */
import { object } from "@optique/core/constructs";
import { message, text } from "@optique/core/message";
import { optional, withDefault } from "@optique/core/modifiers";
import { argument, flag, option } from "@optique/core/primitives";
import type { InferValue } from "@optique/core/parser";
import { choice, string } from "@optique/core/valueparser";
import { formatBytes } from "../../bytes.ts";
import { type Cli, type Command, command } from "../../cli.ts";
import { numberOption, outputArgs, textOption, textOptions, toggle, word } from "../../cli/args.ts";
import { EXIT } from "../../cli/exit.ts";
import { fromCaller, storeFromCaller } from "../../cli/folders.ts";
import { safe } from "../../cli/terminal.ts";
import { ConfigError } from "../../errors.ts";
import { isUrl } from "../../config/shape.ts";
import type { Store } from "../../stage.ts";
import { directory, open } from "../../store/mod.ts";
import { chattoBackup, chattoExportKeys, chattoImportKeys, chattoRestore } from "../chatto.ts";
import { passphraseOf } from "./passphrase.ts";

const config = optional(
  option("-c", "--config", word("FILE"), {
    description: message`Chatto's configuration. Default: chatto.toml`,
  }),
);
const passphraseArgs = {
  passphrase: optional(option("--passphrase", string({ metavar: "VALUE" }), {
    description: message`${text("The passphrase itself. Every user of this machine can see it: use a file")}`,
  })),
  passphraseFile: textOption("--passphrase-file", "FILE", "A file that holds the passphrase"),
  passphraseStdin: toggle("--passphrase-stdin", "The passphrase is all of standard input"),
} as const;
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
  encrypt: flagOf("--encrypt", "Encrypt with a passphrase"),
  includeKeys: flagOf("--include-keys", "With the encryption keys: one archive that restores everything"),
  splitKeys: flagOf(
    "--split-keys",
    "Export the keys after the data, into <UTC>-keys.age, which goes when its archive goes",
  ),
  includeConfig: flagOf("--include-config", "With chatto.toml (encrypted archives only)"),
  partial: flagOf("--partial", "When a stream fails store the others (exit code 3)"),
  plaintext: flagOf("--plaintext", "Do store an unencrypted archive in a remote store"),
  ...policy,
  ...passphraseArgs,
  ...outputArgs,
});

function flagOf(name: `--${string}`, about: string): ReturnType<typeof toggle> {
  return optional(flag(name, { description: message`${text(about)}` }));
}

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
    run.log.warn(
      "plaintext",
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
      ? "The encryption keys are in it: who has the archive and its passphrase can read everything"
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

function where(file: string | undefined, { folder }: Cli): { readonly config: string; readonly cwd: string } {
  return { config: fromCaller(file ?? "chatto.toml", folder), cwd: folder };
}

function warnOf(passphrase: string | undefined, log: { readonly info: (message: string) => void }): void {
  if (passphrase === undefined) return;
  log.info(
    "The passphrase stands on the command line, where every user of this machine can see it: use --passphrase-file",
  );
}

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
    only: textOptions("--only", "GLOB", "Only streams whose name matches"),
    dryRun: toggle("--dry-run", "Say what would be restored; nothing is changed"),
    natsServer: textOption("--nats-server", "PROGRAM", "The nats-server to use. Default: from the PATH"),
    ...passphraseArgs,
    ...outputArgs,
  }),
  run: async (args, cli) => {
    const run = cli.runOptions(args.quiet);
    const resolve = (path: string): string => fromCaller(path, cli.folder);
    warnOf(args.passphrase, run.log);
    const acts: { stream: string; action: string }[] = [];
    await chattoRestore(resolve(args.archive), {
      ...where(args.config, cli),
      natsServer: args.natsServer,
      passphrase: passphraseOf(args, { confirm: false, resolve }),
      conflict: args.conflict,
      only: args.only,
      dryRun: args.dryRun,
      report: (stream, action) => void acts.push({ stream, action }),
    }, run);
    cli.clear();
    for (const { stream, action } of acts) {
      if (args.json) cli.terminal.out(JSON.stringify({ action, stream }));
      else if (args.dryRun) cli.terminal.out(`${action}  ${safe(stream)}`);
    }
    const skipped = acts.filter(({ action }) => action === "skip").length;
    run.note(
      args.dryRun
        ? "Dry run: nothing was changed"
        : `Restored ${acts.length - skipped} streams, skipped ${skipped}. Start Chatto now`,
    );
    return run.warned() > 0 ? EXIT.warnings : EXIT.complete;
  },
});

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
