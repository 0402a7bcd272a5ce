/**
 * Walks the frames of a zstd object (RFC 8878): whole frames go to the pool, long ones and those of unknown size through the stream
 * decoder, a block at a time. Every edge is checked, so a cut or a trailing byte is an error wherever it is.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { giveBack, takeAtLeast } from "../blocks.ts";
import { formatBytes } from "../bytes.ts";
import { IntegrityError, messageOf } from "../errors.ts";
import type { U8 } from "../stage.ts";
import { zstdEngine } from "./engine.ts";
import type { Unit } from "./flow.ts";
import {
  FRAME_MAGIC,
  type FrameHeader,
  isSkippable,
  MAX_BLOCK_BYTES,
  MAX_HEADER_BYTES,
  parseBlockHeader,
  parseFrameHeader,
  uint32,
} from "./frames.ts";
import type { Guard } from "./guard.ts";
import type { Input } from "./input.ts";
import { FOOTER_BYTES, parseFooter, TABLE_MAGIC } from "./seekable.ts";

/** Longest content that is unpacked whole. Four of them and their packed forms are held at a time. */
const WHOLE_BYTES = 8 * 1024 * 1024;
/** What `zstd -d` allows without --long=28 and more. */
const MAX_WINDOW_BYTES = 128 * 1024 * 1024;
/** Output of the stream decoder is handed on in chunks of about this size. */
const CHUNK_BYTES = 512 * 1024;

/** What a walk needs. */
export interface Walk {
  /** The object, from its first byte. */
  readonly input: Input;
  /** Unpacks a whole frame; its buffer may be gone or in use again afterwards. */
  readonly unpack: (frame: U8, size: number) => Promise<U8>;
  /** Who counts. */
  readonly guard: Guard;
  /** The object's name in messages. */
  readonly what: string;
  /** Room for the next packed frame in bytes: a guess. */
  readonly room: { bytes: number };
  /** Whether an object without a seek table is not complete. */
  readonly table: boolean;
}

/** The sizes of the frames so far, as a seek table would list them: a digest, because a hostile object may have billions. */
interface Ledger {
  readonly add: (stored: number, content: number) => void;
  readonly frames: () => number;
  readonly digest: () => string;
}

/** Gives the content of an object in order. Throws {@linkcode IntegrityError} unless every byte of it makes sense. */
export async function* walk(job: Walk): AsyncGenerator<Unit> {
  const ledger = createLedger();
  while (true) {
    const head = await job.input.peek(4);
    if (head.length === 0) break;
    const magic = head.length === 4 ? uint32(head, 0) : 0;
    if (magic === FRAME_MAGIC) {
      const start = job.input.taken();
      const before = job.guard.total();
      yield* frame(job, ledger.frames());
      ledger.add(job.input.taken() - start, job.guard.total() - before);
    } else if (magic === TABLE_MAGIC) {
      return await checkTable(job, ledger);
    } else if (isSkippable(magic)) {
      ledger.add(await skip(job), 0);
    } else {
      throw fault(job, `what follows frame ${ledger.frames()} is no frame (trailing bytes, or damage)`);
    }
  }
  if (job.table) throw fault(job, "it is cut: its seek table is missing");
}

async function* frame(job: Walk, index: number): AsyncGenerator<Unit> {
  const header = readHeader(job, await job.input.peek(MAX_HEADER_BYTES), index);
  const { contentBytes, windowBytes, dictionary } = header;
  if (dictionary !== 0) {
    throw fault(job, `frame ${index} needs dictionary ${dictionary}. Unpack it with "zstd -d -D DICTIONARY"`);
  }
  if (contentBytes !== undefined && contentBytes <= WHOLE_BYTES) {
    yield await whole(job, header, contentBytes, index);
    return;
  }
  if (windowBytes > MAX_WINDOW_BYTES) {
    const bits = Math.ceil(Math.log2(windowBytes));
    throw fault(
      job,
      `frame ${index} needs ${formatBytes(windowBytes)} of memory. Unpack it with "zstd -d --long=${bits}"`,
    );
  }
  yield* streamed(job, header, index);
}

function readHeader(job: Walk, bytes: U8, index: number): FrameHeader {
  let header: FrameHeader | undefined;
  try {
    header = parseFrameHeader(bytes);
  } catch (cause) {
    throw fault(job, `frame ${index} is damaged: ${messageOf(cause)}`, cause);
  }
  if (!header) throw cut(job, index);
  return header;
}

/** Gathers a frame of known size and has it unpacked whole. */
async function whole(job: Walk, header: FrameHeader, size: number, index: number): Promise<Unit> {
  const start = job.input.taken();
  // No encoder makes a frame much larger than its content; a stream of empty blocks would have no end.
  const most = size + (size >> 1) + MAX_BLOCK_BYTES;
  let frame = takeAtLeast(Math.min(most, job.room.bytes));
  let fill = 0;
  for await (const length of sections(job, header, index)) {
    if (fill + length > most) throw fault(job, `frame ${index} is far larger than its content`);
    if (fill + length > frame.length) {
      const larger = takeAtLeast(Math.min(most, 2 * frame.length + length));
      larger.set(frame.subarray(0, fill));
      giveBack(frame);
      frame = larger;
    }
    await exactly(job, frame.subarray(fill, fill + length), index);
    fill += length;
  }
  // Frames are much like the one before.
  job.room.bytes = fill + (fill >> 4) + MAX_BLOCK_BYTES;
  job.guard.count(size, job.input.taken());
  const bytes = job.unpack(frame.subarray(0, fill), size).catch((cause) => {
    if (cause instanceof DOMException) throw cause;
    throw fault(job, `frame ${index} (at byte ${start}) is damaged: ${messageOf(cause)}`, cause);
  });
  return { weight: size + fill, bytes };
}

/** Unpacks a frame a block at a time. */
async function* streamed(job: Walk, header: FrameHeader, index: number): AsyncGenerator<Unit> {
  const engine = zstdEngine();
  try {
    let held: U8[] = [];
    let heldBytes = 0;
    let total = 0;
    const take = (bytes: U8): void => {
      job.guard.count(bytes.length, job.input.taken());
      total += bytes.length;
      heldBytes += bytes.length;
      held.push(bytes);
    };
    const flush = (): Unit => {
      const unit = { weight: heldBytes, bytes: Promise.resolve(join(held, heldBytes)) };
      held = [];
      heldBytes = 0;
      return unit;
    };
    for await (const length of sections(job, header, index)) {
      const piece = await exactly(job, new Uint8Array(length), index);
      take(await decoded(job, index, () => engine.write(piece)));
      if (heldBytes >= CHUNK_BYTES) yield flush();
    }
    take(await decoded(job, index, () => engine.end()));
    if (header.contentBytes !== undefined && header.contentBytes !== total) {
      throw fault(job, `frame ${index} declares ${header.contentBytes} bytes and holds ${total}`);
    }
    if (heldBytes > 0) yield flush();
  } finally {
    engine.close();
  }
}

async function decoded(job: Walk, index: number, step: () => Promise<U8>): Promise<U8> {
  try {
    return await step();
  } catch (cause) {
    throw fault(job, `frame ${index} is damaged: ${messageOf(cause)}`, cause);
  }
}

/** Lengths of the frame's header, of each block with its header, and of the checksum; each is taken before the next is asked for. */
async function* sections(job: Walk, header: FrameHeader, index: number): AsyncGenerator<number> {
  yield header.headerBytes;
  const blockMost = Math.min(MAX_BLOCK_BYTES, Math.max(header.windowBytes, 1024));
  for (let last = false; !last;) {
    const bytes = await job.input.peek(3);
    if (bytes.length < 3) throw cut(job, index);
    const block = blockHeader(job, bytes, index, blockMost);
    last = block.last;
    yield 3 + block.bytes;
  }
  if (header.checksumBytes > 0) yield header.checksumBytes;
}

function blockHeader(job: Walk, bytes: U8, index: number, most: number): ReturnType<typeof parseBlockHeader> {
  try {
    const header = parseBlockHeader(bytes);
    if (header.bytes > most) {
      throw new RangeError(`a block claims ${header.bytes} bytes, more than its window`);
    }
    return header;
  } catch (cause) {
    throw fault(job, `frame ${index} is damaged: ${messageOf(cause)}`, cause);
  }
}

/** Passes over a skippable frame; gives its length. */
async function skip(job: Walk): Promise<number> {
  const head = new Uint8Array(8);
  if (await job.input.fill(head) < 8) throw fault(job, "it is cut inside a skippable frame");
  const length = uint32(head, 4);
  for (let left = length; left > 0;) {
    const piece = await job.input.some(left);
    if (!piece) throw fault(job, "it is cut inside a skippable frame");
    left -= piece.length;
  }
  return 8 + length;
}

/** The seek table must list exactly the frames that were read, and be the end of the object. */
async function checkTable(job: Walk, ledger: Ledger): Promise<void> {
  const head = new Uint8Array(8);
  if (await job.input.fill(head) < 8) throw fault(job, "it is cut inside its seek table");
  const frames = ledger.frames();
  const body = uint32(head, 4) - FOOTER_BYTES;
  const entryBytes = body === 12 * frames && frames > 0 ? 12 : 8;
  if (body !== entryBytes * frames) throw fault(job, `its seek table does not list its ${frames} frames`);

  const listed = createLedger();
  const entry = new Uint8Array(entryBytes);
  for (let i = 0; i < frames; i++) {
    if (await job.input.fill(entry) < entryBytes) throw fault(job, "it is cut inside its seek table");
    listed.add(uint32(entry, 0), uint32(entry, 4));
  }
  const end = new Uint8Array(FOOTER_BYTES);
  if (await job.input.fill(end) < FOOTER_BYTES) throw fault(job, "it is cut inside its seek table");
  const footer = parseFooter(end);
  const agrees = footer?.frames === frames && footer.entryBytes === entryBytes;
  if (!agrees || listed.digest() !== ledger.digest()) {
    throw fault(job, "its seek table does not agree with its frames");
  }
  if ((await job.input.peek(1)).length > 0) throw fault(job, "trailing bytes follow its seek table");
}

function createLedger(): Ledger {
  const hash = createHash("sha256");
  const sizes = new Float64Array(2);
  const bytes = new Uint8Array(sizes.buffer);
  let frames = 0;
  return {
    add: (stored, content) => {
      sizes[0] = stored;
      sizes[1] = content;
      hash.update(bytes);
      frames++;
    },
    frames: () => frames,
    digest: () => hash.digest("hex"),
  };
}

async function exactly(job: Walk, target: U8, index: number): Promise<U8> {
  if (await job.input.fill(target) < target.length) throw cut(job, index);
  return target;
}

function join(parts: readonly U8[], size: number): U8 {
  const all = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

function cut(job: Walk, index: number): IntegrityError {
  return fault(job, `it is cut inside frame ${index} (after ${job.input.taken()} bytes)`);
}

function fault(job: Walk, cause: string, error?: unknown): IntegrityError {
  // Where another program reads it, the cause names that program.
  const next = cause.endsWith('"') ? "" : ". Take another copy";
  return new IntegrityError(`Cannot unpack ${job.what}: ${cause}${next}`, { cause: error });
}
