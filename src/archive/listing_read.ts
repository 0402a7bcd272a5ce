/**
 * Reading an index: the tail by one or two ranged reads (or a pass over the stream), then frame by frame.
 *
 * @module
 */
import * as v from "valibot";
import type { Body, IndexEntry, U8 } from "../stage.ts";
import { type Access, damaged, openAccess } from "./access.ts";
import { unpackFrame } from "./frame.ts";
import type { IndexFrame, IndexTail } from "./listing.ts";
import { FOOTER_BYTES, FOOTER_MAGIC, FOOTER_MARK, FRAME_ENTRIES, FRAME_LIMIT } from "./listing.ts";
import { comparePaths, quote } from "./path.ts";

/** An index opened for reading. */
export interface IndexReader {
  /** The last line; read once and kept. Throws {@linkcode IntegrityError} on a cut or damaged index. */
  readonly tail: () => Promise<IndexTail>;
  /** Every entry in path order. Throws {@linkcode IntegrityError} when frames, counts, sizes or order do not agree with the tail. */
  readonly entries: () => AsyncIterable<IndexEntry>;
  /** The entries of one frame of the tail, by one ranged read where the body allows it. */
  readonly frame: (frame: IndexFrame) => Promise<readonly IndexEntry[]>;
}

const size = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const id = size;
const hex64 = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));

const tailSchema = v.strictObject({
  schema: v.literal("holdfast.index.v1"),
  entries: size,
  bytes: size,
  archiveBytes: size,
  salt: hex64,
  merkleRoot: hex64,
  ordered: v.boolean(),
  notes: v.record(v.string(), v.unknown()),
  frames: v.array(v.strictObject({ first: v.string(), offset: size, size, count: size, root: hex64 })),
});

const entrySchema = v.strictObject({
  path: v.pipe(v.string(), v.minLength(1)),
  kind: v.picklist(["file", "directory", "symlink", "hardlink"]),
  mode: v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(0o7777)),
  mtimeMs: v.pipe(v.number(), v.safeInteger()),
  mtimeNs: v.optional(v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(999_999))),
  uid: id,
  gid: id,
  uname: v.string(),
  gname: v.string(),
  bytes: size,
  target: v.optional(v.string()),
  sha256: v.optional(hex64),
  attributes: v.optional(hex64),
  head: v.optional(size),
  stored: v.optional(size),
  offset: size,
});

/** Opens an index. Nothing is read before the first call. */
export function readIndex(body: Body): IndexReader {
  let access: Promise<Access> | undefined;
  let tail: Promise<IndexTail> | undefined;
  const open = (): Promise<Access> => access ??= openAccess(body);
  const load = (): Promise<IndexTail> => tail ??= open().then(readTail);
  return {
    tail: load,
    entries: async function* (): AsyncGenerator<IndexEntry, void, undefined> {
      const tail = await load();
      yield* readEntries(tail, (await open()).frames(tail.frames));
    },
    frame: async (frame) => {
      await load();
      for await (const bytes of (await open()).frames([frame])) return parseFrame(frame, bytes);
      return [];
    },
  };
}

async function readTail(access: Access): Promise<IndexTail> {
  if (access.size < FOOTER_BYTES) throw damaged(`it has only ${access.size} bytes`);
  const footer = await access.from(access.size - FOOTER_BYTES);
  const view = new DataView(footer.buffer, footer.byteOffset, footer.length);
  const mark = String.fromCharCode(...footer.subarray(16));
  if (
    view.getUint32(0, true) !== FOOTER_MAGIC || view.getUint32(4, true) !== FOOTER_BYTES - 8 ||
    mark !== FOOTER_MARK
  ) {
    throw damaged("its last bytes are not those of an index");
  }
  const end = Number(view.getBigUint64(8, true));
  const length = access.size - FOOTER_BYTES - end;
  if (length <= 0 || length > FRAME_LIMIT) throw damaged("its last line lies nowhere");
  const bytes = (await access.from(end)).subarray(0, length);
  const tail = parseTail(unpackFrame(bytes, FRAME_LIMIT, "the index"));
  checkFrames(tail, end);
  return tail;
}

function parseTail(line: string): IndexTail {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw damaged("its last line is not JSON");
  }
  const result = v.safeParse(tailSchema, value);
  if (!result.success) {
    const issue = result.issues[0];
    throw damaged(`its last line is not of the schema (${v.getDotPath(issue) ?? "top"}: ${issue.message})`);
  }
  return result.output;
}

/** Frames lie edge to edge from the start to the tail, all full but the last, in order. */
function checkFrames(tail: IndexTail, end: number): void {
  let offset = 0;
  let entries = 0;
  tail.frames.forEach((frame, i) => {
    const before = tail.frames[i - 1];
    const full = i === tail.frames.length - 1 ? frame.count <= FRAME_ENTRIES : frame.count === FRAME_ENTRIES;
    if (
      frame.offset !== offset || frame.size === 0 || frame.size > FRAME_LIMIT || frame.count === 0 || !full
    ) {
      throw damaged(`frame ${i} does not lie where its last line says`);
    }
    if (before && comparePaths(before.first, frame.first) >= 0) throw damaged(`frame ${i} is out of order`);
    offset += frame.size;
    entries += frame.count;
  });
  if (offset !== end || entries !== tail.entries) {
    throw damaged("its frames are not as many as its last line says");
  }
}

async function* readEntries(
  tail: IndexTail,
  frames: AsyncIterable<U8>,
): AsyncGenerator<IndexEntry, void, undefined> {
  let number = 0;
  let bytes = 0;
  let last: string | undefined;
  for await (const packed of frames) {
    for (const entry of parseFrame(tail.frames[number]!, packed)) {
      if (last !== undefined && comparePaths(last, entry.path) >= 0) {
        throw damaged(`${quote(entry.path)} is out of order`);
      }
      last = entry.path;
      bytes += entry.bytes;
      yield entry;
    }
    number++;
  }
  if (bytes !== tail.bytes) throw damaged("its lengths do not add up to what its last line says");
}

function parseFrame(frame: IndexFrame, packed: U8): IndexEntry[] {
  const lines = unpackFrame(packed, FRAME_LIMIT, "the index").split("\n");
  if (lines.pop() !== "" || lines.length !== frame.count) {
    throw damaged(`the frame of ${quote(frame.first)} has not the ${frame.count} lines it should have`);
  }
  const entries = lines.map(parseEntry);
  if (entries[0]?.path !== frame.first) {
    throw damaged(`the frame of ${quote(frame.first)} starts with another path`);
  }
  return entries;
}

function parseEntry(line: string): IndexEntry {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw damaged("a line is not JSON");
  }
  if (!v.is(entrySchema, value)) throw damaged("a line is no entry");
  return value;
}
