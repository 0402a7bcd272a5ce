/**
 * Backups that Prose 0.5 made itself: their names, their sidecars, and the way back.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { tar } from "../../archive/mod.ts";
import { label, toBytes } from "../../bytes.ts";
import { zstd } from "../../compress/mod.ts";
import { makeContext, type RunOptions } from "../../context.ts";
import { plaintext } from "../../encrypt/mod.ts";
import { IntegrityError, NotFoundError } from "../../errors.ts";
import { pipeline } from "../../pipeline.ts";
import { type RestoreOptions, wantOf } from "../../restore.ts";
import type { Bytes, Seal, Sealed, Store, U8 } from "../../stage.ts";
import { readSidecar } from "../../upload/download.ts";
import { proseCollector } from "./collector.ts";
import type { ProsePlanOptions } from "./plan.ts";

/** A name of Prose 0.5: `prose_backup-1772432392-Automatic%20backup.tar.zst.pgp`. */
export interface OldName {
  /** What the operator called it. */
  readonly description: string;
  /** When it was made, to the second. */
  readonly time: Date;
  /** By its name. */
  readonly encrypted: boolean;
}

const PART = "((?:[A-Za-z0-9_~]|%[0-9A-F]{2})+)";
const NAME = new RegExp(`^${PART}-(\\d{10})-${PART}(\\.tar(?:\\.zst)?(\\.pgp)?)$`);
/** Signature and longest checksum suffix fit behind it. */
const LONGEST = 240;

/** The parts of such a name; undefined for any other. Canonical: a name that could be written otherwise is none. */
export function parseOldName(id: string): OldName | undefined {
  const [, prefix, seconds, described, , pgp] = id.length <= LONGEST ? NAME.exec(id) ?? [] : [];
  if (prefix === undefined || described === undefined) return undefined;
  try {
    const decoded = [prefix, described].map(decodeURIComponent);
    if (decoded.some((part, i) => encode(part) !== [prefix, described][i])) return undefined;
    return { description: decoded[1]!, time: new Date(Number(seconds) * 1000), encrypted: pgp !== undefined };
  } catch {
    return undefined;
  }
}

function encode(part: string): string {
  const upper = encodeURIComponent(part).replaceAll(
    /[-.!*'()]/g,
    (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return upper;
}

/** Where such backups lie, and their checks, which may be kept apart. */
export interface OldShelf {
  readonly store: Store;
  readonly checks: Store;
}

/**
 * Restores such a backup in place, or into a folder. What the plan demands of its own backups is demanded here: a signature by its key,
 * made when the name says; encryption. Without a signature to demand, the checksum that Prose stored beside it. All of it is read and
 * found right before anything changes.
 */
export async function restoreOld(
  options: ProsePlanOptions,
  shelf: OldShelf,
  id: string,
  run: RunOptions & Pick<RestoreOptions, "into" | "dryRun" | "limits"> = {},
): Promise<void> {
  const name = parseOldName(id);
  if (!name) throw new NotFoundError(`Cannot restore "${id}": it is no name of Prose 0.5`);
  if (options.encrypt && !name.encrypted) {
    throw new IntegrityError(
      `Cannot trust "${id}": the plan's policy demands encryption, and this lies there in the clear. Someone may have put it there`,
    );
  }
  if (!options.encrypt && name.encrypted) {
    throw new IntegrityError(
      `Cannot read "${id}": it is encrypted, and the plan has no key. Add encrypt.openpgp with its secret key`,
    );
  }
  const want = wantOf({
    into: run.into,
    inPlace: run.into === undefined,
    conflict: "overwrite",
    dryRun: run.dryRun,
    limits: run.limits,
  });
  const context = { ...makeContext(run), want };
  const sealed = await openOld(shelf, id, name, options.sign?.seals?.[0]);
  const chain = pipeline(proseCollector(options)).pipe(tar()).pipe(zstd()).pipe(
    options.encrypt ?? plaintext(),
  );
  await chain.undo(sealed, context);
}

async function openOld(shelf: OldShelf, id: string, name: OldName, seal: Seal | undefined): Promise<Sealed> {
  if (!await shelf.store.head(id)) throw new NotFoundError(`Cannot find "${id}" in ${shelf.store.url}`);
  const check = seal ? await bySignature(shelf, id, name, seal) : await byChecksum(shelf, id);
  return {
    kind: "sealed",
    suffix: /(\.tar.*)$/.exec(id)![1]!,
    body: { read: () => label("prose", checked(shelf.store, id, check)) },
    facts: () => ({ sources: [], stages: [] }),
    signers: [],
  };
}

/** Bytes under check; `end` throws unless they are right. */
interface Check {
  readonly add: (chunk: Uint8Array) => void;
  readonly end: () => Promise<void>;
}

async function bySignature(
  { checks }: OldShelf,
  id: string,
  name: OldName,
  seal: Seal,
): Promise<() => Promise<Check>> {
  const signature = await readSidecar(checks, `${id}.sig`);
  if (!signature) {
    throw new IntegrityError(
      `Cannot trust "${id}": it is not signed ("${id}.sig" is missing), and the plan asks for a signature. A checksum does not replace it`,
    );
  }
  const { created } = await seal.check(signature, id);
  if (created && Math.abs(created.getTime() - name.time.getTime()) > 1000) {
    throw new IntegrityError(
      `Cannot trust "${id}": its name says ${name.time.toISOString()}, its signature was made ${created.toISOString()}. It was renamed`,
    );
  }
  return () => seal.check(signature, id);
}

async function byChecksum({ checks }: OldShelf, id: string): Promise<() => Promise<Check>> {
  for (const suffix of [".blake3", ".sha256"]) {
    const expected = await readSidecar(checks, id + suffix);
    if (!expected) continue;
    if (expected.length !== 32) {
      throw new IntegrityError(`Cannot read "${id}${suffix}": it is not 32 bytes. Restore another backup`);
    }
    return async () => {
      const hash = suffix === ".sha256"
        ? createHash("sha256")
        : (await import("@noble/hashes/blake3.js")).blake3.create();
      return {
        add: (chunk) => void hash.update(chunk),
        end: () => {
          const found = new Uint8Array(hash.digest());
          if (found.toHex() === expected.toHex()) return Promise.resolve();
          throw new IntegrityError(
            `Cannot trust "${id}": it is not what "${id}${suffix}" says. It has been damaged or changed`,
          );
        },
      };
    };
  }
  throw new IntegrityError(
    `Cannot trust "${id}": neither a signature, nor "${id}.blake3", nor "${id}.sha256" is there`,
  );
}

/** The last bytes are handed on when all have proven right. */
function checked(store: Store, id: string, open: () => Promise<Check>): Bytes {
  return toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
    const check = await open();
    let held: U8 | undefined;
    for await (const chunk of await store.get(id)) {
      check.add(chunk);
      if (held) yield held;
      held = chunk;
    }
    await check.end();
    if (held) yield held;
  });
}
