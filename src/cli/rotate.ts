/**
 * `deno task rotate`
 *
 * @module
 */
import { object } from "@optique/core/constructs";
import type { InferValue } from "@optique/core/parser";
import { type Cli, type Command, command } from "../cli.ts";
import { adHocJob, messageSecrets } from "../adhoc.ts";
import { formatBytes, several } from "../bytes.ts";
import { detect } from "../encrypt/mod.ts";
import { ConfigError, messageOf } from "../errors.ts";
import { forget } from "../rotate/forget.ts";
import { reencrypt } from "../rotate/reencrypt.ts";
import type { RotateResult, RotateStep } from "../rotate/result.ts";
import { keyArgs, outputArgs, planArgs, shelfArgs, textOption, textOptions, toggle } from "./args.ts";
import { type Choice, eachPlan, failedAsJson, keysFrom, whereOf } from "./choose.ts";
import { EXIT, exitCode, gravest } from "./exit.ts";
import { fromCaller, storeFromCaller } from "./folders.ts";
import { passphraseFromFile } from "./passphrase.ts";
import { chooseShelves } from "./shelves.ts";
import { table } from "./terminal.ts";

/** What no re-encryption can take back. */
export const HONEST: string =
  "What this does not undo: whoever has copied these backups and has the old key can read their copies for ever; the store's own " +
  "versions, snapshots and copies elsewhere still hold the old files; and what was in them is as known as it was. Change the secrets " +
  "that were backed up. Full verifications and drills of the old files do not count for the new ones: run drill.";

const parser = object({
  reencrypt: toggle(
    "--reencrypt",
    "For a leaked key: encrypt again, with the plan's keys of today, what other keys read",
  ),
  forget: textOptions(
    "--forget",
    "RECIPIENT",
    "For a lost key: remove what nobody else can read. The recipient or fingerprint, or passphrase",
  ),
  key: textOption("--key", "RECIPIENT", "With --reencrypt: only what this recipient or fingerprint can read"),
  oldPassphraseFile: textOption(
    "--old-passphrase-file",
    "FILE",
    "With --reencrypt: the passphrase until now; - for standard input",
  ),
  recipient: textOptions(
    "--recipient",
    "RECIPIENT",
    "Without a configuration: the new public keys to encrypt to",
  ),
  dryRun: toggle("--dry-run", "Change nothing: what happens without --confirm"),
  confirm: toggle("--confirm", "Do it"),
  wait: toggle("--wait", "Wait for another run of the same backup"),
  ...planArgs,
  ...shelfArgs,
  ...keyArgs,
  ...outputArgs,
});

type Args = InferValue<typeof parser>;

/** The command. */
export const rotateCommand: Command = command({
  name: "rotate",
  usage: "--reencrypt|--forget RECIPIENT [--confirm] [OPTION...]",
  brief: "After a key has leaked or is lost: encrypts backups again, or removes what nobody can read.",
  about: [
    "For a new key in the normal course of things there is nothing to do here: put it into the plan, and keep the old one for as long as " +
    "there are backups made with it (keys says which).",
    "--reencrypt reads each backup with the old key (--identity), verifies and decrypts it, and writes it anew to the plan's recipients, " +
    "under the next free second of its time, with checksum, signatures and a receipt that names its predecessor. That is read back, and " +
    "only then is the predecessor removed. Stopped at any moment, each backup is there at least once; run it again to go on.",
    HONEST,
    "Standard output: a line a backup. --json: an object a backup with plan, id, successor, stores, bytes, done, error. Exit code: 0; 3 " +
    "with warnings; 4 when no key at hand opens a backup, 5 when one is damaged: those stay as they are.",
  ],
  examples: [
    "deno task rotate --reencrypt --config /etc/holdfast/backup.toml --identity /media/stick/2024.key",
    "deno task rotate --reencrypt --config /etc/holdfast/backup.toml --identity /media/stick/2024.key --confirm",
    "deno task rotate --reencrypt --from /mnt/disk/backups --name docs --recipient age1... --identity old.key --confirm",
    "deno task rotate --forget age1... --from /mnt/disk/backups --name docs",
  ],
  parser,
  run: async (args, cli) => {
    check(args);
    const choices = args.recipient.length > 0 ? [adHoc(args, cli)] : await chooseShelves(args, cli);
    const confirm = args.confirm ?? false;
    const failed = failedAsJson(args, cli);
    return await eachPlan(choices, cli, async (job) => {
      const options = cli.runOptions(args.quiet);
      options.note(`${args.reencrypt ? "Re-encrypting" : "Forgetting"} in ${whereOf(job)}`);
      const run = { ...options, confirm, wait: args.wait ?? false };
      const opens = oldPassphrase(args, cli);
      const result = args.reencrypt
        ? await reencrypt(job.plan, { ...run, key: args.key, opens })
        : await forget(job.plan, { ...run, keys: args.forget });
      cli.clear();
      show(job.name, result, args, cli);
      options.note(ending(result, args));
      const codes = result.steps.flatMap(({ error }) => error ? [exitCode(error)] : []);
      return gravest([...codes, options.warned() > 0 ? EXIT.warnings : EXIT.complete]);
    }, failed);
  },
});

function check(args: Args): void {
  const { forget, key, recipient, oldPassphraseFile } = args;
  if (args.confirm && args.dryRun) {
    throw new ConfigError("Cannot use both --dry-run and --confirm: choose one");
  }
  if (Boolean(args.reencrypt) === forget.length > 0) {
    throw new ConfigError(
      "Cannot rotate: pass one of --reencrypt (a key has leaked) and --forget RECIPIENT (a key is lost)",
    );
  }
  if (args.reencrypt) {
    if (recipient.length > 0 && args.from.length === 0) {
      throw new ConfigError("Cannot use --recipient without --from: a configuration's plan says it itself");
    }
    return;
  }
  const odd = Object.entries({
    "--key": key,
    "--recipient": recipient[0],
    "--old-passphrase-file": oldPassphraseFile,
  })
    .find(([, value]) => value !== undefined)?.[0];
  if (odd !== undefined) throw new ConfigError(`Cannot use ${odd} with --forget: it is for --reencrypt`);
}

/** A store without a configuration, and the recipients from now on. */
function adHoc(args: Args, cli: Cli): Choice {
  const { name, recipient: recipients } = args;
  if (name === undefined || args.config !== undefined || args.plan !== undefined) {
    throw new ConfigError(
      "Cannot re-encrypt without a configuration: pass --from, --name and --recipient, and no --config",
    );
  }
  const to = args.from.map((url) => storeFromCaller(url, cli.folder));
  const keys = keysFrom(args, cli);
  return {
    name,
    open: () =>
      Promise.resolve().then(() =>
        adHocJob({ paths: ["."], name, to, exclude: [], strict: false, recipients, keys })
      ),
  };
}

/** What opens backups of a passphrase that has changed. */
// deno-lint-ignore explicit-function-return-type -- the stage's own type
function oldPassphrase(args: Args, cli: Cli) {
  const { oldPassphraseFile } = args;
  if (oldPassphraseFile === undefined) return undefined;
  const keys = keysFrom(args, cli);
  return detect({
    identities: keys.identities ?? keys.fallback,
    passphrase: () => passphraseFromFile(oldPassphraseFile, (path) => fromCaller(path, cli.folder)),
    openpgp: messageSecrets(keys),
  });
}

function show(plan: string, { steps }: RotateResult, args: Args, { terminal }: Cli): void {
  if (args.json) {
    for (const { error, ...step } of steps) {
      const done = Boolean(args.confirm) && !error;
      terminal.out(JSON.stringify({ plan, ...step, done, error: error && messageOf(error) }));
    }
    return;
  }
  for (
    const line of table(
      steps.map((step) => [wordFor(step, args), step.id, formatBytes(step.bytes), textOf(step)]),
    )
  ) {
    terminal.out(line);
  }
}

function wordFor({ error, successor }: RotateStep, { reencrypt, confirm }: Args): string {
  if (error) return successor === undefined ? "stays" : "partly";
  if (reencrypt) return confirm ? "re-encrypted" : "re-encrypt";
  return confirm ? "removed" : "remove";
}

function textOf({ error, successor }: RotateStep): string {
  if (error) return messageOf(error);
  return successor === undefined ? "" : `as ${successor}`;
}

function ending({ steps, others }: RotateResult, { confirm, reencrypt }: Args): string {
  const bad = steps.filter(({ error }) => error).length;
  if (steps.length === 0) return `Nothing to do: none of ${several(others, "backup")} is concerned`;
  const rest = `${others} others are not concerned`;
  if (!confirm) {
    return `Dry run: nothing was changed. --confirm ${reencrypt ? "encrypts again" : "removes"} ${
      steps.length - bad
    } of ` +
      `${steps.length}; ${rest}${reencrypt ? `. ${HONEST}` : ""}`;
  }
  return reencrypt
    ? `Encrypted again: ${steps.length - bad} of ${steps.length}; ${rest}. ${HONEST}`
    : `Removed ${steps.length - bad}; ${rest}`;
}
