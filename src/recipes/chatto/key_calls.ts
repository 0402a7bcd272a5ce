/**
 * Key files of Chatto: out of a running server, and into one.
 *
 * @module
 */
import { resolve } from "node:path";
import { readAll, text, utf8 } from "../../bytes.ts";
import { makeContext, type RunOptions } from "../../context.ts";
import { IntegrityError, messageOf } from "../../errors.ts";
import type { Context, U8 } from "../../stage.ts";
import { openText, sealText } from "./chain.ts";
import { readyFor, replaceFile } from "./files.ts";
import { exportKeys, importKeys, type KeyImport } from "./keys.ts";
import { connectForBackup, type ServerOptions } from "./server.ts";
import { readSettings } from "./settings.ts";

const KEYS_LIMIT = 256 * 1024 * 1024;

/** A passphrase, asked for when it is needed. */
type Passphrase = () => string | Promise<string>;

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
  await readyFor(resolve(output));
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
  const refuseBackup = (bytes: U8): U8 => {
    if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
    throw new IntegrityError("it is a backup, not a key export. Use chatto:restore");
  };
  try {
    const stored = refuseBackup(await Deno.readFile(file) as U8);
    const clear = await openText(stored, passphrase, context);
    return text(refuseBackup(await readAll(clear, KEYS_LIMIT, "it")));
  } catch (cause) {
    context.signal.throwIfAborted();
    throw new Error(`Cannot import "${file}": ${messageOf(cause)}`, { cause });
  }
}
