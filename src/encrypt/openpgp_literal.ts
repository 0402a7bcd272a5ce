/**
 * What is inside an OpenPGP message once it is decrypted: literal data, perhaps compressed, perhaps signed.
 *
 * @module
 */
import { Readable } from "node:stream";
import { createInflate, createInflateRaw } from "node:zlib";
import { cutBlock, takeBlock } from "../blocks.ts";
import { rechunk, toBytes } from "../bytes.ts";
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
      for await (const _bytes of content(input, cutIn(what)));
    }
    yield* literal(input, what);
  } finally {
    await input.close();
  }
}

async function* literal(input: Intake, what: string): AsyncGenerator<U8, void, undefined> {
  let held: U8 | undefined;
  let head = true;
  for await (const block of blocks(input, what)) {
    if (held) yield held;
    held = head ? block.subarray(6 + (block[1] ?? 0)) : block; // format, name and date
    head = false;
  }
  while (await input.more()) {
    const header = packetHeader(await input.peek(HEADER_MOST));
    if (!header || ![SIGNATURE, MARKER, PADDING].includes(header.tag)) {
      throw malformed(what, "something follows its data");
    }
    for await (const _bytes of content(input, cutIn(what)));
  }
  if (held && held.length > 0) yield held;
}

/** The content of the packet that comes next, in views to be read at once. Throws what `cut` makes when the source ends in it. */
export async function* content(input: Intake, cut: () => Error): AsyncGenerator<U8, void, undefined> {
  const header = packetHeader(await input.peek(HEADER_MOST))!;
  await input.take(header.size);
  let { length, partial } = header;
  for (;;) {
    for (let left = length ?? Infinity; left > 0;) {
      const { views, size } = await input.views(Math.min(left, STEP));
      for (const view of views) yield view;
      left -= size;
      if (size > 0) continue;
      if (length === undefined) return;
      throw cut();
    }
    if (!partial) return;
    const next = newLength(await input.peek(5));
    if (!next) throw cut();
    await input.take(next.size);
    ({ length, partial } = next);
  }
}

async function* expanded(input: Intake, what: string): AsyncGenerator<U8, void, undefined> {
  const body = intake(toBytes(() => blocks(input, what)));
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

function cutIn(what: string): () => Error {
  return () => malformed(what, "it is cut short");
}

/** The content that comes next, in blocks that can be given away, all full but the last. */
function blocks(input: Intake, what: string): AsyncGenerator<U8, void, undefined> {
  return rechunk(content(input, cutIn(what)), STEP, takeBlock, cutBlock);
}
