/**
 * Chatto: backups that its own `chatto restore` takes, restores of its own archives, and its keys.
 *
 * @module
 */
import { basename, dirname, resolve } from "node:path";
import { utf8 } from "../bytes.ts";
import { INDEX, RECEIPT } from "../catalog.ts";
import { makeContext, type RunOptions } from "../context.ts";
import { ConfigError } from "../errors.ts";
import { restore, type RestoreResult } from "../restore.ts";
import { backup, type BackupResult } from "../run.ts";
import type { Conflict, Context, RestoreAction, Store } from "../stage.ts";
import {
  chattoFilePlan,
  chattoPlan,
  type ChattoPlanOptions,
  chattoReader,
  sealText,
} from "./chatto/chain.ts";
import { chattoExportKeys, chattoImportKeys } from "./chatto/key_calls.ts";
import { chattoCollector, type ChattoOptions } from "./chatto/collector.ts";
import { chattoNaming } from "./chatto/names.ts";
import { replaceWith } from "./chatto/files.ts";
import { exportKeys, type KeyImport } from "./chatto/keys.ts";
import { connectForBackup, type ServerOptions } from "./chatto/server.ts";
import { readSettings } from "./chatto/settings.ts";

export { type ChangeOptions, chattoChangePassphrase } from "./chatto/change.ts";
export {
  chattoCollector,
  chattoExportKeys,
  chattoImportKeys,
  chattoNaming,
  type ChattoOptions,
  chattoPlan,
  type ChattoPlanOptions,
  type KeyImport,
  type ServerOptions,
};

/** Suffixes of what comes along with an archive, the receipt first. */
const SIDECARS: readonly string[] = [RECEIPT, INDEX, ".sha256"];

/** A passphrase, asked for when it is needed. */
type Passphrase = () => string | Promise<string>;

/** What to back up, and where to. */
export interface ChattoBackupOptions extends ChattoPlanOptions {
  /** A file of its own, instead of `to`. */
  readonly output?: string | undefined;
  /** Export the keys after the data, into a file of their own with the same retention. Default: false. */
  readonly splitKeys?: boolean | undefined;
}

/**
 * Backs a Chatto server up into the file `output`, which is replaced only once the new archive is whole: until then the old one
 * stays. Its checksum, index and receipt come along beside it. Without `output`, into `options.to` under Chatto's own names.
 */
export async function chattoBackup(
  options: ChattoBackupOptions,
  run: RunOptions = {},
): Promise<BackupResult> {
  const { output, splitKeys } = options;
  if (splitKeys) checkSplit(options);
  if (output !== undefined) {
    const path = resolve(output);
    const result = await replaceWith(
      path,
      SIDECARS,
      (folder, name) => backup(chattoFilePlan(options, folder, name), run),
    );
    if (splitKeys) {
      await chattoExportKeys(keysBeside(path), { ...options, passphrase: options.passphrase! }, run);
    }
    return result;
  }
  const plan = chattoPlan(options);
  const result = await backup(plan, run);
  if (splitKeys) await storeKeys(plan.shelf!.stores, result, options, makeContext(run));
  return result;
}

/** Where the keys of a split backup lie: `x-keys.age` beside `x.tar.gz.age`. */
function keysBeside(archive: string): string {
  return `${archive.replace(/(?:\.tar)?(?:\.gz)?(?:\.age)?$/, "")}-keys.age`;
}

function checkSplit({ passphrase, includeKeys }: ChattoBackupOptions): void {
  if (!passphrase) throw new ConfigError("Cannot export keys in the clear: encrypt the backup (--encrypt)");
  if (includeKeys) {
    throw new ConfigError("Cannot split what is included: drop --include-keys or --split-keys");
  }
}

/** Keys are read after the data: who joined in between has a key too many, never one too few. They go when their archive goes. */
async function storeKeys(
  stores: readonly Store[],
  result: BackupResult,
  options: ChattoBackupOptions,
  context: Context,
): Promise<void> {
  const link = await connectForBackup(readSettings(options.config ?? "chatto.toml"), "export keys");
  try {
    const keys = await exportKeys(link, context.log);
    const good = result.copies.filter(({ error }) => !error).map(({ store }) => store);
    for (const store of stores.filter(({ url }) => good.includes(url))) {
      await store.put(keysBeside(result.id), await sealText(utf8(keys.text), options.passphrase!, context));
      for (const { id, keep } of result.verdicts.filter((verdict) => verdict.store === store.url)) {
        if (!keep) await store.delete(keysBeside(id));
      }
    }
  } finally {
    await link.close();
  }
}

/** What to restore, and how. */
export interface ChattoRestoreOptions extends ServerOptions {
  /** Gives the passphrase, if the archive is encrypted. */
  readonly passphrase?: Passphrase | undefined;
  /** What to do with streams that exist. Default: "error". */
  readonly conflict?: Conflict | undefined;
  /** Globs over stream names; "assets" are those of S3. Default: all. */
  readonly only?: readonly string[] | undefined;
  /** Whether assets are restored into S3, where the archive has some. Default: true. */
  readonly assets?: boolean | undefined;
  /** Report only. */
  readonly dryRun?: boolean | undefined;
  /** Told about each stream. */
  readonly report?: ((stream: string, action: RestoreAction) => void) | undefined;
}

/**
 * Restores an archive of Chatto's or of ours into the server of chatto.toml, all or none. With a receipt beside it the archive is
 * verified by that too.
 */
export async function chattoRestore(
  file: string,
  options: ChattoRestoreOptions,
  run: RunOptions = {},
): Promise<RestoreResult> {
  const path = resolve(file);
  const plan = chattoReader(options, dirname(path), basename(path));
  const { conflict, only, dryRun, report } = options;
  const receipted = await exists(path + RECEIPT);
  return await restore(plan, {
    ...run,
    ...(receipted ? { id: basename(path) } : { file: path }),
    inPlace: true,
    conflict,
    only,
    dryRun,
    report,
  });
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch {
    return false;
  }
}
