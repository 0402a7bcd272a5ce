/**
 * Writes an OpenPGP message (RFC 9580): the session key for every recipient by the library, the encrypted body natively. The body
 * is the form every implementation reads: literal data, uncompressed, AES-256, with its integrity proven by an MDC (SEIPD version 1).
 *
 * @module
 */
import { createHash, randomBytes } from "node:crypto";
import { KeyError, messageOf } from "../errors.ts";
import { type Certificate, loadLibrary } from "../openpgp/keys.ts";
import { writeLength } from "../openpgp/packets.ts";
import type { U8 } from "../stage.ts";
import { BLOCK, HEADROOM, type Keystream, keystream, LEAD, masked } from "./cfb.ts";
import type { Intake } from "./intake.ts";

/** A part of the literal packet; partial lengths are powers of two. */
const PART_LOG = 18;
const PART = 2 ** PART_LOG;
/** What is encrypted at a time: each call has its cost, and what is larger does not stay in the cache of a core until it is written. */
const STEP_LOG = 18;
const STEP = 2 ** STEP_LOG;
const LITERAL = 0xcb;
const SEIPD = 0xd2;
const PARTIAL = 224;
const SMALLEST_FIRST = 512;
/** Binary, no file name, no date: equal input differs in nothing but the session key. */
const LITERAL_HEAD = Uint8Array.of(0x62, 0, 0, 0, 0, 0);

/** The start of a message, and the key of the rest. */
export interface Envelope {
  /** One packet for each recipient. */
  readonly packets: U8;
  /** AES-256. */
  readonly sessionKey: U8;
}

/** Draws a session key and encrypts it to every recipient. Throws {@linkcode KeyError} for one that is expired or revoked now. */
export async function makeEnvelope(certificates: readonly Certificate[]): Promise<Envelope> {
  const { readKey, encryptSessionKey } = await loadLibrary();
  const encryptionKeys = await Promise.all(certificates.map(async ({ fingerprint, bytes }) => {
    try {
      const key = await readKey({ binaryKey: bytes });
      await key.getEncryptionKey();
      return key;
    } catch (cause) {
      throw new KeyError(
        `Cannot encrypt to the OpenPGP key ${fingerprint}: ${
          messageOf(cause)
        }. Extend or replace it, and give the new certificate`,
        { cause },
      );
    }
  }));
  const sessionKey = new Uint8Array(randomBytes(32));
  const packets = await encryptSessionKey({
    data: sessionKey,
    algorithm: "aes256",
    encryptionKeys,
    format: "binary",
  });
  return { packets: new Uint8Array(packets as Uint8Array), sessionKey };
}

/** Encrypts a source under a session key. Closes the source. */
export async function* sealMessage(sessionKey: U8, source: Intake): AsyncGenerator<U8, void, undefined> {
  try {
    const frames = frame(steps(await keystream(sessionKey), plain(source)));
    for await (const chunk of frames) yield chunk;
  } finally {
    await source.close();
  }
}

/** What is encrypted: 18 bytes of prefix, the literal packet in parts, the MDC packet. */
async function* plain(source: Intake): AsyncGenerator<U8, void, undefined> {
  const hash = createHash("sha1");
  const seen = (bytes: U8): U8 => {
    hash.update(bytes);
    return bytes;
  };
  const prefix = new Uint8Array(BLOCK + 2);
  prefix.set(randomBytes(BLOCK));
  prefix.copyWithin(BLOCK, BLOCK - 2, BLOCK);
  yield seen(prefix);
  yield seen(Uint8Array.of(LITERAL));
  let head: U8 = LITERAL_HEAD;
  for (let last = false; !last;) {
    const { views, size, more } = await source.views(PART - head.length);
    last = !more;
    // A part whose length happens to be full may be the last: an empty one then follows, which is allowed.
    const full = size === PART - head.length;
    yield seen(full ? Uint8Array.of(PARTIAL + PART_LOG) : writeLength(head.length + size));
    if (head.length > 0) yield seen(head);
    for (const view of views) yield seen(view);
    if (last && full) yield seen(Uint8Array.of(0));
    head = new Uint8Array();
  }
  const start = seen(Uint8Array.of(0xd3, 0x14));
  yield start;
  yield new Uint8Array(hash.digest());
}

/** Gathers bytes into steps. While one is encrypted, the one before goes out, and the next is gathered and hashed. */
async function* steps(stream: Keystream, source: AsyncIterable<U8>): AsyncGenerator<U8, void, undefined> {
  let pending: Promise<U8> | undefined;
  let step = new Uint8Array(LEAD + STEP);
  let spare = new Uint8Array(LEAD + STEP);
  let fill = LEAD;
  for await (const bytes of source) {
    for (let at = 0; at < bytes.length;) {
      const take = Math.min(step.length - fill, bytes.length - at);
      step.set(bytes.subarray(at, at + take), fill);
      at += take;
      fill += take;
      if (fill < step.length) continue;
      const before = await pending;
      pending = stream(step);
      if (before) yield masked(before, spare);
      [step, spare] = [spare, step];
      step.set(spare.subarray(STEP));
      fill = LEAD;
    }
  }
  if (pending) yield masked(await pending, spare);
  if (fill > LEAD) yield masked(await stream(step.subarray(0, fill)), step.subarray(0, fill));
}

/** Puts the encrypted bytes into a packet whose length need not be known: in parts of powers of two. */
async function* frame(source: AsyncIterable<U8>): AsyncGenerator<U8, void, undefined> {
  yield Uint8Array.of(SEIPD);
  let held: U8 = Uint8Array.of(1); // the version
  let first = true;
  for await (const bytes of source) {
    if (held.length >= SMALLEST_FIRST || !first) {
      yield partial(held);
      first = false;
      held = bytes;
    } else {
      const joined = new Uint8Array(held.length + bytes.length);
      joined.set(held);
      joined.set(bytes, held.length);
      held = joined;
    }
  }
  yield writeLength(held.length);
  yield held;
}

function partial(bytes: U8): U8 {
  if (bytes.length === STEP && bytes.byteOffset >= HEADROOM) {
    const framed = new Uint8Array(bytes.buffer, bytes.byteOffset - 1, 1 + STEP);
    framed[0] = PARTIAL + STEP_LOG;
    return framed;
  }
  const powers: number[] = [];
  for (let left = bytes.length; left > 0;) {
    const power = Math.floor(Math.log2(left));
    powers.push(power);
    left -= 2 ** power;
  }
  const out = new Uint8Array(bytes.length + powers.length);
  let from = 0;
  let to = 0;
  for (const power of powers) {
    out[to++] = PARTIAL + power;
    out.set(bytes.subarray(from, from + 2 ** power), to);
    from += 2 ** power;
    to += 2 ** power;
  }
  return out;
}
