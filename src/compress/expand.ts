/**
 * Unpacks what an archive may come in: zstd, gzip or nothing, told by its first bytes and not by its name.
 *
 * @module
 */
import { IntegrityError, messageOf } from "../errors.ts";
import type { Body, Limits, U8 } from "../stage.ts";
import { type Engine, gzipEngine } from "./engine.ts";
import { inOrder, type SourceReader, through } from "./flow.ts";
import { FRAME_MAGIC, isSkippable, uint32 } from "./frames.ts";
import { createGuard, type Guard } from "./guard.ts";
import { createInput, type Input } from "./input.ts";
import type { PoolOptions } from "./pool.ts";
import { createUnpack } from "./unpack.ts";
import { walk } from "./walk.ts";

/** Packed and unpacked bytes that may be under way. */
const READ_AHEAD_BYTES = 16 * 1024 * 1024;
/** Gzip unfolds a piece at most 1,032 times: 16 MiB. */
const GZIP_PIECE_BYTES = 16 * 1024;
const BLOCK_BYTES = 512;

/** How an object is unpacked. */
export interface ExpandOptions {
  /** Bounds on what comes out: `bytes` (with room for tar headers) and `ratio`. */
  readonly limits: Limits;
  /** The object in messages. Default "the archive". */
  readonly what?: string | undefined;
  /**
   * Whether a zstd object must end with a seek table. True for what this stage wrote: without it, a cut between two frames could
   * not be told from the end. Foreign objects have none; there, the two zero blocks of tar tell. Default false.
   */
  readonly table?: boolean | undefined;
  /** The workers. */
  readonly pool?: PoolOptions | undefined;
}

/**
 * The unpacked bytes. The stream throws {@linkcode IntegrityError} on a cut, on damage, on trailing bytes, past a limit, and on
 * anything that is neither zstd (RFC 8878), gzip (RFC 1952) nor tar.
 */
export function expand(body: Body, options: ExpandOptions): Body {
  return { read: () => through(body.read, (source) => expanded(source, options)) };
}

async function* expanded(source: SourceReader, options: ExpandOptions): AsyncGenerator<U8> {
  const { limits, what = "the archive", table = false } = options;
  const input = createInput(source);
  const guard = createGuard(limits, what);
  const kind = detect(await input.peek(2 * BLOCK_BYTES));
  if (kind === "tar") return yield* plain(input, guard);
  if (kind === "gzip") return yield* gunzip(input, guard, what);
  if (kind === undefined) {
    throw unknown(await input.peek(2 * BLOCK_BYTES), what);
  }
  const { unpack, close } = createUnpack(options.pool);
  try {
    yield* inOrder(
      walk({ input, unpack, guard, what, table, room: { bytes: 512 * 1024 } }),
      READ_AHEAD_BYTES,
      source,
    );
  } finally {
    await close();
  }
}

/** Formats that others pack in, by their first bytes, and what unpacks them. */
const FOREIGN: readonly (readonly [name: string, tool: string, magic: readonly number[]])[] = [
  ["xz", "xz -d", [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
  ["bzip2", "bzip2 -d", [0x42, 0x5a, 0x68]],
  ["zip", "unzip", [0x50, 0x4b, 0x03, 0x04]],
  ["7z", "7z x", [0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c]],
  ["lz4", "lz4 -d", [0x04, 0x22, 0x4d, 0x18]],
  ["lzip", "lzip -d", [0x4c, 0x5a, 0x49, 0x50]],
];

/** The error for bytes that are none of the formats read here. */
function unknown(head: U8, what: string): IntegrityError {
  const foreign = FOREIGN.find(([, , magic]) => magic.every((byte, i) => head[i] === byte));
  const why = foreign === undefined
    ? `it is ${head.length === 0 ? "empty" : "neither zstd, gzip nor tar"}. ` +
      "Take another copy, or decrypt it first if it is encrypted"
    : `it is ${foreign[0]} data, which is not read here. Unpack it first with "${foreign[1]}"`;
  return new IntegrityError(`Cannot unpack ${what}: ${why}`);
}

/** What the first 1,024 bytes (fewer when there are no more) belong to. */
export function detect(head: U8): "zstd" | "gzip" | "tar" | undefined {
  if (head.length >= 4) {
    const magic = uint32(head, 0);
    if (magic === FRAME_MAGIC || isSkippable(magic)) return "zstd";
  }
  // 8 is deflate, the only method there is.
  if (head[0] === 0x1f && head[1] === 0x8b && head[2] === 8) return "gzip";
  return isTar(head) ? "tar" : undefined;
}

/** A header with the right checksum (also of a tar older than "ustar"), or an archive of nothing. */
function isTar(head: U8): boolean {
  if (head.length < BLOCK_BYTES) return false;
  if (String.fromCharCode(...head.subarray(257, 262)) === "ustar") return true;
  if (head.every((byte) => byte === 0)) return head.length === 2 * BLOCK_BYTES;
  let sum = 8 * 0x20;
  for (let i = 0; i < BLOCK_BYTES; i++) sum += i < 148 || i >= 156 ? head[i]! : 0;
  const field = String.fromCharCode(...head.subarray(148, 156)).replace(/[\0 ]+$/, "").trimStart();
  return /^[0-7]+$/.test(field) && parseInt(field, 8) === sum;
}

async function* plain(input: Input, guard: Guard): AsyncGenerator<U8> {
  while (true) {
    const piece = await input.some(1024 * 1024);
    if (!piece) return;
    guard.count(piece.length, input.taken());
    yield new Uint8Array(piece);
  }
}

/** Members one after another; zero bytes after the last are padding (as `gzip` takes them), anything else is an error. */
async function* gunzip(input: Input, guard: Guard, what: string): AsyncGenerator<U8> {
  const engine = gzipEngine();
  try {
    while (true) {
      const piece = await input.some(GZIP_PIECE_BYTES);
      const output = await unpacked(engine, piece, what);
      guard.count(output.length, input.taken());
      if (output.length > 0) yield output;
      if (!piece) return;
      // The decoder ends at a zero byte between members and looks at nothing after it.
      const unused = input.taken() - engine.used();
      if (unused > 0) return await padding(input, piece.subarray(piece.length - unused), what);
    }
  } finally {
    engine.close();
  }
}

async function unpacked(engine: Engine, piece: U8 | undefined, what: string): Promise<U8> {
  try {
    return piece ? await engine.write(new Uint8Array(piece)) : await engine.end();
  } catch (cause) {
    const text = `Cannot unpack ${what}: its gzip data is cut or damaged: ${
      messageOf(cause)
    }. Take another copy`;
    throw new IntegrityError(text, { cause });
  }
}

async function padding(input: Input, rest: U8, what: string): Promise<void> {
  for (let piece: U8 | undefined = rest; piece; piece = await input.some(GZIP_PIECE_BYTES)) {
    if (piece.some((byte) => byte !== 0)) {
      throw new IntegrityError(
        `Cannot unpack ${what}: trailing bytes follow its gzip data. Take another copy`,
      );
    }
  }
}
