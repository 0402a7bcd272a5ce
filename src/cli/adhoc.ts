/**
 * A backup of what the command line names, without a configuration.
 *
 * @module
 */
import { basename, join } from "node:path";
import type { Cli } from "../cli.ts";
import { ConfigError, NotFoundError } from "../errors.ts";
import { type AdHoc, adHocJob } from "../adhoc.ts";
import type { Choice } from "./choose.ts";
import { fromCaller, storeFromCaller } from "./folders.ts";
import { ownIdentities, ownRecipient } from "./identity.ts";
import { askPassphrase, passphraseFromFile } from "./passphrase.ts";

/** What the command line says. */
export interface AdHocArgs {
  /** What is named. */
  readonly paths: readonly string[];
  /** `--name`. */
  readonly name?: string | undefined;
  /** `--to`. */
  readonly to: readonly string[];
  /** `--exclude`. */
  readonly exclude: readonly string[];
  /** `--strict`. */
  readonly strict?: boolean | undefined;
  /** `--since`. */
  readonly since?: string | undefined;
  /** `--metadata`. */
  readonly metadata?: "full" | "basic" | undefined;
  /** `--rehash`. */
  readonly rehash?: boolean | undefined;
  /** `--recipient`. */
  readonly recipient: readonly string[];
  /** `--passphrase`. */
  readonly passphrase?: boolean | undefined;
  /** `--passphrase-file`. */
  readonly passphraseFile?: string | undefined;
  /** `--dry-run`. */
  readonly dryRun?: boolean | undefined;
  /** How the paths are collected. Default: as files. */
  readonly collect?: AdHoc["collect"];
}

/** The plan. Its key is made, and its passphrase asked for, only when the plan's turn comes. */
export function adHoc(args: AdHocArgs, cli: Cli): Choice {
  if (args.paths.length === 0) {
    const own = args.to.length > 0 ? "--to" : args.name !== undefined ? "--name" : undefined;
    if (own !== undefined) {
      throw new ConfigError(
        `Cannot back up: ${own} is for the backup of a PATH, and none is named. Pass one, or leave out ${own}: a configuration's plan ` +
          "says it itself",
      );
    }
    throw new ConfigError(
      "Cannot back up: nothing is named. Pass a PATH, or --config FILE, or put a backup.toml into this folder",
    );
  }
  const ways = [args.recipient.length > 0, args.passphrase === true, args.passphraseFile !== undefined];
  if (ways.filter(Boolean).length > 1) {
    throw new ConfigError(
      "Cannot encrypt in two ways: choose one of --recipient, --passphrase and --passphrase-file",
    );
  }
  if (args.rehash && args.since === undefined) {
    throw new ConfigError(
      "Cannot compare contents: --rehash is for a backup of what has changed. Pass --since latest too, or leave it out: all is read anyway",
    );
  }
  const paths = args.paths.map((path) => fromCaller(path, cli.folder));
  refuseTwice(paths);
  const name = args.name ?? nameOf(paths[0]!);
  const to = args.to.length > 0
    ? args.to.map((url) => storeFromCaller(url, cli.folder))
    : [join(cli.folder, "backups")];
  return {
    name,
    open: async () => {
      for (const path of paths) await mustExist(path); // before a key is made for a mistyped path
      const { recipients, passphrase } = await keysOf(args, cli);
      const keys = { passphrase, fallback: ownIdentities };
      return adHocJob({
        paths,
        name,
        to,
        exclude: args.exclude,
        strict: args.strict ?? false,
        since: args.since,
        metadata: args.metadata,
        recipients,
        keys,
        collect: args.collect,
      });
    },
  };
}

/** What is stored lies under its own last name: two of one name cannot lie in one backup. */
function refuseTwice(paths: readonly string[]): void {
  const taken = new Map<string, string>();
  for (const path of paths) {
    const other = taken.get(basename(path));
    if (other === path) throw new ConfigError(`Cannot back up "${path}" twice in one run. Name it once`);
    if (other !== undefined) {
      throw new ConfigError(
        `Cannot store "${other}" and "${path}" both as "${
          basename(path)
        }" in one backup. Back them up one by one, with ` +
          `a --name each, or write a backup.toml whose plan says collect = { files = { first = "${other}", second = "${path}" } }`,
      );
    }
    taken.set(basename(path), path);
  }
}

async function mustExist(path: string): Promise<void> {
  try {
    await Deno.lstat(path);
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotFound)) return; // the collector says what is wrong
    throw new NotFoundError(`Cannot back up "${path}": it does not exist. Check the path`, { cause });
  }
}

async function keysOf(
  args: AdHocArgs,
  cli: Cli,
): Promise<{ recipients: readonly string[]; passphrase?: () => Promise<string> }> {
  if (args.recipient.length > 0) return { recipients: args.recipient };
  if (args.dryRun && (args.passphrase || args.passphraseFile !== undefined)) {
    return { recipients: [], passphrase: () => Promise.reject(new Error("A dry run encrypts nothing")) };
  }
  const { passphraseFile } = args;
  if (passphraseFile !== undefined || args.passphrase) {
    // Before the run: nobody wants to be asked in the middle of one.
    const passphrase = passphraseFile === undefined
      ? await askPassphrase(true)
      : await passphraseFromFile(passphraseFile, (path) => fromCaller(path, cli.folder));
    return { recipients: [], passphrase: () => Promise.resolve(passphrase) };
  }
  return { recipients: [await ownRecipient(cli.say)] };
}

/** A path's last part as a backup's name: what the grammar does not know becomes "-". */
export function nameOf(path: string): string {
  const name = basename(path).replace(/[^A-Za-z0-9._-]+/g, "-").replace(/^[^A-Za-z0-9]+/, "").slice(0, 100);
  if (name !== "") return name;
  throw new ConfigError(`Cannot name the backup of "${path}". Pass --name`);
}
