/**
 * Another passphrase for a file of Chatto's: an archive or a key export.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { label, toBytes } from "../../bytes.ts";
import { makeContext, type RunOptions } from "../../context.ts";
import { age } from "../../encrypt/mod.ts";
import { ConfigError, messageOf, NotFoundError } from "../../errors.ts";
import type { Bytes, Sealed, U8 } from "../../stage.ts";
import { replaceFile } from "./files.ts";

/** The passphrase until now, and from now on. */
export interface ChangeOptions {
  /** Gives the one it is encrypted with. */
  readonly old: () => string | Promise<string>;
  /** Gives the one it will be encrypted with. */
  readonly passphrase: () => string | Promise<string>;
}

/**
 * Decrypts a file and encrypts it again in one stream; what stood there stays until the new one is whole. Throws KeyError when the old
 * passphrase does not fit, IntegrityError when the file is damaged, and {@linkcode ConfigError} for an archive with a receipt or a
 * checksum, which `rotate` re-encrypts with its plan: they would not fit any more.
 */
export async function chattoChangePassphrase(
  file: string,
  { old, passphrase }: ChangeOptions,
  run: RunOptions = {},
): Promise<void> {
  const context = makeContext(run);
  if (!existsSync(file)) {
    throw new NotFoundError(`Cannot change the passphrase of "${file}": it does not exist`);
  }
  const beside = [".receipt.json", ".sha256"].find((suffix) => existsSync(file + suffix));
  if (beside !== undefined) {
    throw new ConfigError(
      `Cannot change the passphrase of "${file}" alone: "${file}${beside}" is about its bytes. Use rotate --reencrypt with a plan ` +
        "made by chattoPlan()",
    );
  }
  const facts = (): ReturnType<Sealed["facts"]> => ({ sources: [], stages: [] });
  const body = { read: () => readFile(file) };
  const sealed: Sealed = { kind: "sealed", suffix: ".age", body, facts, signers: [] };
  const clear = await age({ passphrase: old }).undo(sealed, context);
  await replaceFile(file, (await age({ passphrase }).run(clear, context)).body.read());
}

function readFile(path: string): Bytes {
  return label(
    "file",
    toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
      let file: Deno.FsFile;
      try {
        file = await Deno.open(path);
      } catch (cause) {
        throw new NotFoundError(`Cannot read "${path}": ${messageOf(cause)}`, { cause });
      }
      yield* file.readable as ReadableStream<U8>;
    }),
  );
}
