/**
 * What is inside an OpenPGP message once it is decrypted: literal data, perhaps compressed, perhaps signed.
 *
 * @module
 */
import { Readable } from "node:stream";
import { createInflate, createInflateRaw } from "node:zlib";
import { toBytes } from "../bytes.ts";
import { findError, IntegrityError, messageOf } from "../errors.ts";
import { HEADER_MOST, MARKER, newLength, packetHeader, PADDING } from "../openpgp/packets.ts";
import type { U8 } from "../stage.ts";
import { type Intake, intake } from "./intake.ts";

const SIGNATURE = 2;
const ONE_PASS = 4;
const COMPRESSED = 8;
const LITERAL = 11;
const STEP = 2 ** 20;
const INFLATE = { 1: createInflateRaw, 2: createInflate } as const;

/**
 * The content of the literal packet. Signatures inside are passed over: who signed is for detached signatures to say. The last
 * bytes are handed on when the source has come to its end without an error. Closes the source.
 */
export async function* literalData(input: Intake, what: string): AsyncGenerator<U8, void, undefined> {
  try {
    for (;;) {
      const header = packetHeader(await input.peek(HEADER_MOST));
      if (header?.tag === COMPRESSED) {
        yield* literalData(intake(toBytes(() => expanded(input, what))), what);
        return;
      }
      if (header?.tag === LITERAL) break;
      if (!header || ![SIGNATURE, ONE_PASS, MARKER, PADDING].includes(header.tag)) {
        throw malformed(what, "it holds no data that could be read");
      }
      for await (const _bytes of content(input, what));
    }
    yield* literal(input, what);
  } finally {
    await input.close();
  }
}

async function* literal(input: Intake, what: string): AsyncGenerator<U8, void, undefined> {
  const body = intake(toBytes(() => content(input, what)));
  const [, nameLength] = await body.take(2);
  await body.take((nameLength ?? 0) + 4); // name and date
  let held: U8 | undefined;
  for await (const bytes of body.rest()) {
    if (held) yield held;
    held = bytes.slice(); // what is handed on is given away, and this is a part of something larger
  }
  while (await input.more()) {
    const header = packetHeader(await input.peek(HEADER_MOST));
    if (!header || ![SIGNATURE, MARKER, PADDING].includes(header.tag)) {
      throw malformed(what, "something follows its data");
    }
    for await (const _bytes of content(input, what));
  }
  if (held) yield held;
}

/** The content of the packet that comes next. */
async function* content(input: Intake, what: string): AsyncGenerator<U8, void, undefined> {
  const header = packetHeader(await input.peek(HEADER_MOST))!;
  await input.take(header.size);
  let { length, partial } = header;
  for (;;) {
    for (let left = length ?? Infinity; left > 0;) {
      const bytes = await input.take(Math.min(left, STEP));
      left -= bytes.length;
      if (bytes.length > 0) yield bytes;
      else if (length === undefined) return;
      else throw malformed(what, "it is cut short");
    }
    if (!partial) return;
    const next = newLength(await input.peek(5));
    if (!next) throw malformed(what, "it is cut short");
    await input.take(next.size);
    ({ length, partial } = next);
  }
}

async function* expanded(input: Intake, what: string): AsyncGenerator<U8, void, undefined> {
  const body = intake(toBytes(() => content(input, what)));
  const [algorithm] = await body.take(1);
  const rest = toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
    for (let bytes = await body.take(STEP); bytes.length > 0; bytes = await body.take(STEP)) {
      yield bytes.slice();
    }
    if (await input.more()) throw malformed(what, "something follows its data");
  });
  if (algorithm === 0) {
    for await (const bytes of rest) yield bytes;
    return;
  }
  if (algorithm !== 1 && algorithm !== 2) {
    throw new IntegrityError(
      `Cannot decompress ${what}: OpenPGP's algorithm ${algorithm} (3 is bzip2) is not known here. Decrypt it with "gpg -d"`,
    );
  }
  // Sequoia pads behind the end of the compressed data; the literal packet inside says whether that was complete.
  const inflated = INFLATE[algorithm]();
  const source = Readable.fromWeb(rest as never);
  source.on("error", (cause) => inflated.destroy(cause));
  try {
    for await (const bytes of source.pipe(inflated)) yield new Uint8Array(bytes as Uint8Array);
  } catch (cause) {
    throw findError(cause, IntegrityError) ?? malformed(what, messageOf(cause));
  } finally {
    source.destroy();
    inflated.destroy();
  }
}

function malformed(what: string, why: string): IntegrityError {
  return new IntegrityError(`Cannot read ${what}: ${why}. Restore another copy or an older backup`);
}
