/**
 * The writing half of the NATS store. Chunks go up one by one, each on the condition that the one before is the last of its
 * subject: a chunk that is sent again cannot be there twice, nor out of order. The object appears with its description, which is
 * written on the condition that the name still stands for what was seen.
 *
 * @module
 */
import { createHash, randomBytes } from "node:crypto";
import { giveBack } from "../../blocks.ts";
import { sha256, utf8 } from "../../bytes.ts";
import { ExistsError, StoreError } from "../../errors.ts";
import type { Bytes, PutOptions, U8 } from "../../stage.ts";
import { checkKey } from "../key.ts";
import { type Source, sourceOf } from "../source.ts";
import { prepare } from "./bucket.ts";
import { chunkSubject, FIRST, isThere, lookUp, type Meta, metaSubject } from "./meta.ts";
import { purge } from "./purge.ts";
import { EXPECTED, isOutrun, publish, sendAll, type Upload } from "./send.ts";
import { pause, type Session } from "./session.ts";

/** How often a name may change between look and write before the write gives up. */
const MOST_RACES = 50;

/** Writes an object: whole when it resolves, not there when it rejects. */
export async function write(
  session: Session,
  key: string,
  body: Bytes | U8,
  { ifAbsent = false, signal }: PutOptions,
): Promise<void> {
  checkKey(key);
  const action = `Cannot write "${key}"`;
  const source = sourceOf(body, signal);
  const release = session.hold();
  try {
    signal?.throwIfAborted();
    const chunkBytes = await prepare(session, action, signal);
    const there = await lookUp(session, key, action, signal);
    if (ifAbsent && isThere(there)) return await compare(source, there, session, key);
    const upload: Upload = {
      session,
      key,
      action,
      signal,
      ifAbsent,
      nuid: nuidOf(session.settings.prefix + key),
      chunkBytes,
      hash: createHash("sha256"),
      bytes: 0,
      chunks: 0,
      first: 0,
      last: 0,
    };
    try {
      await sendAll(upload, source);
      signal?.throwIfAborted();
      await describe(upload, there);
    } catch (error) {
      await purge(session, chunkSubject(session, upload.nuid)).catch(() => {}); // swept a day later
      throw error;
    }
  } catch (error) {
    await source.cancel(error);
    throw error;
  } finally {
    release();
    source.release();
  }
}

/** Names chunks so that a sweep can tell whose they are and since when: `HF<time><key's digest><random>`. */
function nuidOf(name: string): string {
  const time = Date.now().toString(36).padStart(9, "0");
  return `HF${time}${markOf(name)}${randomBytes(6).toString("hex")}`;
}

/** A name's mark within such a name. */
export function markOf(name: string): string {
  return sha256(utf8(name)).slice(0, 16);
}

/** A taken name is no error when it already holds these very bytes. */
async function compare(source: Source, there: Meta, session: Session, key: string): Promise<void> {
  const hash = createHash("sha256");
  let bytes = 0;
  for (let chunk = await source.next(); chunk; chunk = await source.next()) {
    bytes += chunk.length;
    if (bytes > there.bytes) throw exists(session, key);
    hash.update(chunk);
    giveBack(chunk);
  }
  if (there.kind !== "object" || bytes !== there.bytes || hash.digest("hex") !== there.sha256) {
    throw exists(session, key);
  }
}

function exists({ settings }: Session, key: string): ExistsError {
  return new ExistsError(
    `Cannot write "${key}": it exists in ${settings.url} with other content. Choose another name, or delete it first`,
  );
}

/** Makes the object visible in the place of what was seen there, and removes the chunks of that. */
async function describe(upload: Upload, seen: Meta | undefined): Promise<void> {
  const { session, key, action, ifAbsent } = upload;
  const sum = upload.hash.digest("hex");
  const data = utf8(JSON.stringify(infoOf(upload, sum)));
  let before = seen;
  for (let races = 0; races < MOST_RACES; races++) {
    if (races > 1) await pause(1, upload.signal);
    if (await tryDescribe(upload, data, before?.seq ?? 0)) return await removeOld(session, before);
    const now = await lookUp(session, key, action);
    if (now?.nuid === upload.nuid) return await removeOld(session, before); // written before, and its answer was lost
    if (ifAbsent && isThere(now)) {
      if (now.kind !== "object" || now.bytes !== upload.bytes || now.sha256 !== sum) {
        throw exists(session, key);
      }
      return await purge(session, chunkSubject(session, upload.nuid)).catch(() => {});
    }
    before = now;
  }
  throw new StoreError(`${action} in ${session.settings.url}: others keep replacing it`, { retryable: true });
}

async function tryDescribe(upload: Upload, data: U8, expected: number): Promise<boolean> {
  const { session, key, action, signal } = upload;
  const headers = { "Nats-Rollup": "sub", [EXPECTED]: String(expected) };
  return await session.call(action, async (link) => {
    try {
      await publish(link, metaSubject(session, key), data, headers);
      return true;
    } catch (error) {
      if (isOutrun(error)) return false;
      throw error;
    }
  }, signal);
}

async function removeOld(session: Session, before: Meta | undefined): Promise<void> {
  if (!before || before.kind !== "object" || before.chunks === 0) return;
  await purge(session, chunkSubject(session, before.nuid)).catch(() => {}); // the write has succeeded; swept later
}

/** The description as every client of the object store reads it. */
function infoOf(upload: Upload, sum: string): Record<string, unknown> {
  const { bucket, prefix } = upload.session.settings;
  return {
    name: prefix + upload.key,
    bucket,
    nuid: upload.nuid,
    size: upload.bytes,
    chunks: upload.chunks,
    mtime: new Date().toISOString(),
    digest: `SHA-256=${Uint8Array.fromHex(sum).toBase64({ alphabet: "base64url" })}`,
    options: { max_chunk_size: upload.chunkBytes },
    ...(upload.first > 0 ? { metadata: { [FIRST]: String(upload.first) } } : {}),
  };
}
