/**
 * The reading half of the NATS store: chunk by chunk, some asked for ahead. Chunks of our own carry their number, so a read can begin
 * in the middle; those of other clients are counted from the first.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { toBytes } from "../../bytes.ts";
import { IntegrityError, NotFoundError, StoreError } from "../../errors.ts";
import type { ByteRange, Bytes, U8 } from "../../stage.ts";
import { checkKey, checkRange, resolveRange } from "../key.ts";
import { direct, type Found } from "./direct.ts";
import { chunkSubject, lookUp, type Meta } from "./meta.ts";
import { pause, type Session } from "./session.ts";

/** Most chunks asked for ahead. */
const AHEAD = 8;

/** The longest piece handed on, in bytes. */
const PIECE_BYTES = 1024 * 1024;

/** How often a chunk is asked for that ought to be there: a replica may be behind its leader. */
const MOST_TRIES = 4;

/** Opens an object or a part of it. */
export async function read(session: Session, key: string, range: ByteRange | undefined): Promise<Bytes> {
  checkKey(key);
  if (range) checkRange(range);
  const action = `Cannot read "${key}"`;
  const meta = await lookUp(session, key, action);
  if (meta?.kind !== "object") {
    throw new NotFoundError(`${action}: it is not in ${session.settings.url}`);
  }
  const part = resolveRange(key, meta.bytes, range);
  return toBytes(() => bytesOf({ session, key, action, meta }, part));
}

/** An object being read. */
interface Reading {
  readonly session: Session;
  readonly key: string;
  readonly action: string;
  readonly meta: Meta;
}

async function* bytesOf(reading: Reading, { start, end }: ByteRange): AsyncGenerator<U8, void, undefined> {
  const { session, meta } = reading;
  const whole = start === 0 && end === meta.bytes;
  const hash = whole && meta.sha256 !== "" ? createHash("sha256") : undefined;
  const from = meta.own ? Math.floor(start / meta.own.chunkBytes) : 0;
  let at = from * (meta.own?.chunkBytes ?? 0);
  const release = session.hold();
  try {
    if (start === end) return;
    for await (const data of chunksOf(reading, from)) {
      hash?.update(data);
      const [a, b] = [Math.max(start - at, 0), Math.min(end - at, data.length)];
      for (let i = a; i < b; i += PIECE_BYTES) yield data.slice(i, Math.min(i + PIECE_BYTES, b));
      at += data.length;
      if (at >= end) break;
    }
  } finally {
    release();
  }
  if (at < end || (whole && at !== end) || (hash && hash.digest("hex") !== meta.sha256)) {
    throw damaged(reading);
  }
}

function damaged({ action, session }: Reading): IntegrityError {
  return new IntegrityError(
    `${action} in ${session.settings.url}: its bytes are not what the bucket says they are. They have been damaged or ` +
      `changed; restore another backup, and find out why`,
  );
}

/** The chunks from number `from` on, in order. */
async function* chunksOf(reading: Reading, from: number): AsyncGenerator<U8, void, undefined> {
  const { meta } = reading;
  const ask = asker(reading, meta.own ? meta.own.first + from : 1);
  try {
    for (let index = from; index < meta.chunks; index++) {
      const found = await take(reading, ask, index);
      const expected = meta.own && Math.min(meta.own.chunkBytes, meta.bytes - index * meta.own.chunkBytes);
      if (expected !== undefined && found.data.length !== expected) throw damaged(reading);
      yield new Uint8Array(found.data); // a copy: the client's buffer holds more than this
    }
  } finally {
    await ask.end();
  }
}

/** The chunk with this number; walks on to it where others' chunks lie between. */
async function take(reading: Reading, ask: Asker, index: number): Promise<Found> {
  const { session, meta, action, key } = reading;
  for (let attempt = 1; attempt <= MOST_TRIES;) {
    const found = await ask.next(meta.chunks - index);
    if (found && (!meta.own || found.index === index)) return found;
    if (found?.index !== undefined && found.index < index) {
      ask.seek(found.seq + index - found.index); // every chunk of ours lies at least as far on as its number
      continue;
    }
    const now = await lookUp(session, key, action);
    if (now?.nuid !== meta.nuid) {
      throw new StoreError(
        `${action} in ${session.settings.url}: it was ${now ? "replaced" : "deleted"} while it was read`,
      );
    }
    ask.seek(1); // a bucket that was copied has other sequences
    await pause(attempt++, undefined);
    if (!meta.own) await ask.skip(index);
  }
  throw new IntegrityError(
    `${action} in ${session.settings.url}: chunk ${index + 1} of ${meta.chunks} is missing from the bucket`,
  );
}

/** Asks for the messages of one subject, in order of their sequences. */
interface Asker {
  /** The next one; undefined when there is none. At most `left` are asked for ahead. */
  readonly next: (left: number) => Promise<Found | undefined>;
  /** Goes on from another sequence. */
  readonly seek: (seq: number) => void;
  /** Passes over `count` messages. */
  readonly skip: (count: number) => Promise<void>;
  /** Waits for what was asked for ahead and is not wanted any more. */
  readonly end: () => Promise<void>;
}

function asker({ session, meta, action }: Reading, start: number): Asker {
  const subject = chunkSubject(session, meta.nuid);
  const open = new Set<Promise<unknown>>();
  let waiting: Promise<Found | undefined>[] = [];
  let from = start;
  let seen = start - 1;
  let width = 1;

  async function next(left: number): Promise<Found | undefined> {
    for (;;) {
      while (waiting.length < Math.min(width, left)) {
        const question = { seq: from++, next_by_subj: subject };
        const asked = session.call(action, (link) => direct(session, link, question));
        open.add(asked);
        asked.catch(() => {}).finally(() => open.delete(asked)); // its error is told in its turn
        waiting.push(asked);
      }
      const found = await waiting.shift();
      if (!found) return undefined;
      if (found.seq <= seen) { // others' messages lie between: asked for twice
        width = Math.max(1, width >> 1);
        continue;
      }
      seen = found.seq;
      from = Math.max(from, seen + 1);
      width = Math.min(AHEAD, width + 1);
      return found;
    }
  }

  function seek(seq: number): void {
    waiting = [];
    from = seq;
    seen = seq - 1;
    width = 1;
  }

  return {
    next,
    seek,
    end: async () => void await Promise.allSettled(open),
    skip: async (count) => {
      for (let i = 0; i < count; i++) await next(count - i);
    },
  };
}
