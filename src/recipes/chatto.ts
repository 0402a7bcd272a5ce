/**
 * Chatto: backups that its own `chatto restore` takes, restores of its own archives, and its keys.
 *
 * @module
 */
import { basename, dirname, resolve } from "node:path";
import { readAll, text, utf8 } from "../bytes.ts";
import { INDEX, RECEIPT } from "../catalog.ts";
import { makeContext, type RunOptions } from "../context.ts";
import { ConfigError, IntegrityError } from "../errors.ts";
import { restore, type RestoreResult } from "../restore.ts";
import { backup, type BackupResult } from "../run.ts";
import type { Conflict, Context, RestoreAction, Store, U8 } from "../stage.ts";
import {
  chattoFilePlan,
  chattoPlan,
  type ChattoPlanOptions,
  chattoReader,
  openText,
  sealText,
} from "./chatto/chain.ts";
import { chattoCollector, type ChattoOptions } from "./chatto/collector.ts";
import { chattoNaming } from "./chatto/names.ts";
import { replaceFile, replaceWith } from "./chatto/files.ts";
import { exportKeys, importKeys, type KeyImport } from "./chatto/keys.ts";
import { connectForBackup, type ServerOptions } from "./chatto/server.ts";
import { readSettings } from "./chatto/settings.ts";

export { type ChangeOptions, chattoChangePassphrase } from "./chatto/change.ts";
export {
  chattoCollector,
  chattoNaming,
  type ChattoOptions,
  chattoPlan,
  type ChattoPlanOptions,
  type KeyImport,
  type ServerOptions,
};

/** Suffixes of what comes along with an archive, the receipt first. */
const SIDECARS: readonly string[] = [RECEIPT, INDEX, ".sha256"];
const KEYS_LIMIT = 256 * 1024 * 1024;

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

/**
 * Exports the encryption keys of a running Chatto into a file encrypted with the passphrase, replaced only once it is whole. Gives
 * their number; with none, no file is written.
 */
export async function chattoExportKeys(
  output: string,
  options: ServerOptions & { readonly passphrase: Passphrase },
  run: RunOptions = {},
): Promise<number> {
  const context = makeContext(run);
  const link = await connectForBackup(readSettings(options.config ?? "chatto.toml"), "export keys");
  try {
    const keys = await exportKeys(link, context.log);
    if (keys.count > 0) {
      await replaceFile(resolve(output), await sealText(utf8(keys.text), options.passphrase, context));
    }
    return keys.count;
  } finally {
    await link.close();
  }
}

/** Imports exported keys into a running Chatto. Existing keys stay; erased ones come back with `revive` alone. */
export async function chattoImportKeys(
  file: string,
  options: ServerOptions & { readonly passphrase: Passphrase; readonly revive?: boolean | undefined },
  run: RunOptions = {},
): Promise<KeyImport> {
  const settings = readSettings(options.config ?? "chatto.toml");
  const keys = await readKeyFile(file, options.passphrase, makeContext(run));
  const link = await connectForBackup(settings, "import keys");
  try {
    return await importKeys(link, keys, { replicas: settings.replicas, revive: options.revive ?? false });
  } finally {
    await link.close();
  }
}

async function readKeyFile(file: string, passphrase: Passphrase, context: Context): Promise<string> {
  const stored = await Deno.readFile(file) as U8;
  const clear = await openText(stored, passphrase, context);
  const bytes = await readAll(clear, KEYS_LIMIT, `"${file}"`);
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) {
    throw new IntegrityError(`Cannot import "${file}": it is a backup, not a key export. Use chatto:restore`);
  }
  return text(bytes);
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch {
    return false;
  }
}
