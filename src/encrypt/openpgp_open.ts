/**
 * Reads an OpenPGP message: ours, and those of other implementations. A body with an MDC under AES is decrypted natively; any
 * other that has integrity protection (AEAD, older ciphers) through the library, which is slower.
 *
 * @module
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { concat, toBytes } from "../bytes.ts";
import { IntegrityError, messageOf } from "../errors.ts";
import { loadLibrary } from "../openpgp/keys.ts";
import { HEADER_MOST, MARKER, type PacketHeader, packetHeader, PADDING } from "../openpgp/packets.ts";
import type { U8 } from "../stage.ts";
import { BLOCK, decryptCfb } from "./cfb.ts";
import { type Intake, intake } from "./intake.ts";
import { content, literalData } from "./openpgp_literal.ts";

/** What starts a message: the packets before the encrypted body. */
export interface MessageStart {
  /** The encrypted session keys, as they stand. */
  readonly packets: U8;
  /** The header of the encrypted body, which comes next. */
  readonly body: PacketHeader;
}

/** A session key with its cipher. */
export interface SessionKey {
  /** The key. */
  readonly data: Uint8Array;
  /** "aes256"; null where the body itself says it. */
  readonly algorithm: string | null;
}

const PKESK = 1;
const SKESK = 3;
const SEIPD = 18;
const AEAD = 20;
const SYMMETRIC = 9;
const MDC = 22;
const STEP = 2 ** 18;
const START_MOST = 2 ** 20;
const NEXT = "Restore another copy or an older backup";

/** Whether bytes start an encrypted message; reads nothing away. */
export async function startsMessage(input: Intake): Promise<boolean> {
  const header = packetHeader(await input.peek(HEADER_MOST));
  return header !== undefined && !(header.tag === SYMMETRIC && header.length === undefined) &&
    [PKESK, SKESK, MARKER, SEIPD, AEAD, SYMMETRIC].includes(header.tag);
}

/** Takes what comes before the encrypted body. Throws {@linkcode IntegrityError} when it is malformed or has no integrity protection. */
export async function takeStart(input: Intake, what: string): Promise<MessageStart> {
  const packets: U8[] = [];
  let size = 0;
  for (;;) {
    const header = packetHeader(await input.peek(HEADER_MOST));
    if (header?.tag === SEIPD || header?.tag === AEAD) return { packets: concat(packets), body: header };
    if (header?.tag === SYMMETRIC) {
      throw new IntegrityError(
        `Cannot decrypt ${what}: it has no integrity protection (neither MDC nor AEAD), so nobody could tell whether it was changed. ` +
          NEXT,
      );
    }
    const known = header && [PKESK, SKESK, MARKER, PADDING].includes(header.tag);
    const length = header && !header.partial ? header.length : undefined;
    size += length ?? 0;
    if (!known || length === undefined || size > START_MOST) throw damaged(what, "its start is malformed");
    const packet = await input.take(header.size + length);
    if (packet.length < header.size + length) throw damaged(what, "it is cut short");
    if (header.tag === PKESK || header.tag === SKESK) packets.push(packet.slice());
  }
}

/**
 * Decrypts the body that comes next. The last bytes are handed on only when all of it has proven authentic; throws
 * {@linkcode IntegrityError} for anything damaged, cut, or followed by something.
 */
export async function* openMessage(
  start: MessageStart,
  key: SessionKey,
  input: Intake,
  what: string,
): AsyncGenerator<U8, void, undefined> {
  const aes = /^aes(128|192|256)$/.exec(key.algorithm ?? "");
  const [version] = await peekBody(input, start.body);
  if (start.body.tag !== SEIPD || version !== 1 || !aes || key.data.length * 8 !== Number(aes[1])) {
    yield* throughLibrary(start, key, input, what);
    return;
  }
  yield* literalData(intake(toBytes(() => authentic(key.data, packetBody(input, what), what))), what);
}

async function peekBody(input: Intake, { size }: PacketHeader): Promise<U8> {
  return (await input.peek(size + 1)).subarray(size);
}

/** The content of the packet that comes next, in views to be read at once; it must be the last. */
async function* packetBody(input: Intake, what: string): AsyncGenerator<U8, void, undefined> {
  yield* content(input, () => damaged(what, "it is cut short"));
  if (await input.more()) throw damaged(what, "something follows its end");
}

/** The plaintext between prefix and MDC; ends in an error unless the MDC is right. The end is held back until then. */
async function* authentic(
  key: Uint8Array,
  cipher: AsyncIterable<U8>,
  what: string,
): AsyncGenerator<U8, void, undefined> {
  const hash = createHash("sha1");
  let held: U8 = new Uint8Array();
  let prefix = BLOCK + 2;
  function release(bytes: U8): U8 {
    hash.update(bytes);
    const from = Math.min(prefix, bytes.length);
    prefix -= from;
    return bytes.subarray(from);
  }
  for await (const clear of clearSteps(key, cipher)) {
    if (held.length === 0) {
      checkPrefix(clear, what);
      held = clear;
    } else if (clear.length < MDC) held = concat([held, clear]);
    else {
      yield release(held);
      held = clear;
    }
  }
  const end = Math.max(0, held.length - MDC);
  const rest = release(held.subarray(0, end));
  const code = held.subarray(end);
  hash.update(code.subarray(0, 2));
  const right = code.length === MDC && prefix === 0 && code[0] === 0xd3 && code[1] === 0x14 &&
    timingSafeEqual(hash.digest(), code.subarray(2));
  if (!right) throw damaged(what, "its integrity code is wrong. It was damaged, cut or changed");
  if (rest.length > 0) yield rest;
}

/** The plaintext of a body, version byte and all, in steps. */
async function* clearSteps(
  key: Uint8Array,
  cipher: AsyncIterable<U8>,
): AsyncGenerator<U8, void, undefined> {
  const { step: decrypt, close } = decryptCfb(key);
  const step = new Uint8Array(BLOCK + STEP);
  let fill = BLOCK - 1; // the version goes into the room in front, which is zeros
  try {
    for await (const bytes of cipher) {
      for (let at = 0; at < bytes.length;) {
        const take = Math.min(step.length - fill, bytes.length - at);
        step.set(bytes.subarray(at, at + take), fill);
        if (fill < BLOCK) step[fill] = 0;
        at += take;
        fill += take;
        if (fill < step.length) continue;
        yield decrypt(step);
        step.copyWithin(0, STEP);
        fill = BLOCK;
      }
    }
    if (fill > BLOCK) yield decrypt(step.subarray(0, fill));
  } finally {
    close();
  }
}

/** The prefix repeats two bytes, which shows damage early; it proves nothing. */
function checkPrefix(clear: U8, what: string): void {
  if (clear[BLOCK - 2] === clear[BLOCK] && clear[BLOCK - 1] === clear[BLOCK + 1]) return;
  throw damaged(what, "its first bytes are wrong. It was damaged or changed");
}

/** By the library: bodies with AEAD, and ciphers that are not there natively. Nothing unauthenticated is handed on. */
async function* throughLibrary(
  start: MessageStart,
  key: SessionKey,
  input: Intake,
  what: string,
): AsyncGenerator<U8, void, undefined> {
  const { readMessage, decrypt, config } = await loadLibrary();
  try {
    const binaryMessage = toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
      yield start.packets;
      for (;;) {
        const bytes = await input.take(STEP);
        if (bytes.length === 0) return;
        yield bytes.slice();
      }
    });
    const message = await readMessage({ binaryMessage });
    const { data } = await decrypt({
      message,
      sessionKeys: [key as never],
      format: "binary",
      config: { ...config, allowUnauthenticatedStream: false, parseAEADEncryptedV4KeysAsLegacy: true },
    });
    let held: U8 | undefined;
    for await (const chunk of data as unknown as AsyncIterable<Uint8Array>) {
      if (held) yield held;
      held = new Uint8Array(chunk);
    }
    if (held) yield held;
  } catch (cause) {
    throw damaged(what, messageOf(cause), cause);
  }
}

/** The error of a message that cannot be trusted. */
export function damaged(what: string, why: string, cause?: unknown): IntegrityError {
  return new IntegrityError(`Cannot decrypt ${what}: ${why}. ${NEXT}`, { cause });
}
