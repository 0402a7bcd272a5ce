/**
 * Entries to tar blocks: ustar headers, with PAX extended headers where ustar has no room.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import { cutBlock, type Fill, fillOf, giveBackRoom, takeBlock } from "../blocks.ts";
import { bytesOf, isRaw } from "../raw_name.ts";
import { type Digester, portable } from "../native/sha256.ts";
import type { Bytes, Entry, IndexEntry, U8 } from "../stage.ts";
import { attributeRecords } from "./attributes.ts";
import { checkEntry, indexEntry } from "./entry.ts";
import { type SparsePlan, sparsePlan } from "./extents.ts";
import { fits, MAX_ID, MAX_LONG, splitPath, UNIT, writeHeader } from "./header.ts";
import { encodePax, encodeTime, EXTRA_LIMIT } from "./pax.ts";
import { quote } from "./path.ts";

/** Length of every block but the last: 2 MiB, a multiple of 512, so that no header lies over an edge, and one zstd frame. */
export const BLOCK: number = 2 * 1024 * 1024;

/** What the writer tells while it works. */
export interface WriteHooks {
  /** An entry is written whole. May throw: the archive then fails. */
  readonly entry: (entry: IndexEntry) => void;
  /** Content bytes so far; once per MiB. */
  readonly progress: (bytes: number, entries: number) => void;
  /** Every entry is written; the two closing zero blocks come next. `bytes` is the archive's whole length. May throw. */
  readonly end: (bytes: number) => void;
}

const TELL_BYTES = 1024 * 1024;
const NONE: readonly U8[] = [];

interface Sink {
  block: U8;
  fill: number;
  /** Length of all blocks before this one. */
  before: number;
  ready: U8[];
  /** Content bytes so far. */
  bytes: number;
  /** Content bytes that progress has been told of. */
  told: number;
  /** Entries so far. */
  entries: number;
}

/** Writes entries as a tar archive that ends with two zero blocks, in blocks of 2 MiB; the last may be shorter. */
export async function* writeTar(
  entries: AsyncIterable<Entry>,
  hooks: WriteHooks,
  digester: Digester = portable,
): AsyncGenerator<U8, void, undefined> {
  const sink: Sink = {
    block: takeBlock(BLOCK),
    fill: 0,
    before: 0,
    ready: [],
    bytes: 0,
    told: 0,
    entries: 0,
  };
  for await (const entry of entries) {
    checkEntry(entry);
    const begun = sink.before + sink.fill;
    const sparse = entry.extents && sparsePlan(entry);
    putMember(sink, entry, sparse);
    const offset = sink.before + sink.fill;
    let digest: string | undefined;
    if (sparse) digest = yield* putSparse(sink, entry, sparse, hooks);
    else if (typeof entry.body === "function") {
      const fill = fillOf(entry.body);
      digest = yield* fill
        ? putFilled(sink, entry, fill, hooks)
        : putStream(sink, entry, entry.body(), hooks);
    } else if (entry.kind === "file") {
      digest = putWhole(sink, entry, entry.body ?? new Uint8Array(0), digester);
    }
    pad(sink);
    sink.entries++;
    const apart = sparse || entry.xattrs || entry.acl;
    const place = apart && { head: offset - begun, stored: sparse && sparse.stored };
    hooks.entry(indexEntry(entry, offset, digest, place));
    yield* take(sink, hooks);
  }
  zeros(sink, 2 * UNIT);
  hooks.end(sink.before + sink.fill);
  if (sink.fill > 0) sink.ready.push(cutBlock(sink.block, sink.fill));
  hooks.progress(sink.bytes, sink.entries);
  yield* sink.ready.splice(0);
}

/** What is ready. Tells progress when another MiB has gone by. */
function take(sink: Sink, hooks: WriteHooks): readonly U8[] {
  if (sink.bytes - sink.told >= TELL_BYTES) {
    sink.told = sink.bytes;
    hooks.progress(sink.bytes, sink.entries);
  }
  return sink.ready.length > 0 ? sink.ready.splice(0) : NONE;
}

const EMPTY_DIGEST = portable.hex(new Uint8Array(0));

/** Small content: without a turn of the event loop. Gives the digest. */
function putWhole(sink: Sink, entry: Entry, body: U8, { hex }: Digester): string {
  if (body.length !== entry.bytes) throw wrongLength(entry, body.length);
  append(sink, body);
  sink.bytes += body.length;
  let digest = EMPTY_DIGEST;
  if (entry.sha256) digest = hexDigest(entry);
  else if (body.length > 0) digest = hex(body);
  giveBackRoom(body);
  return digest;
}

async function* putStream(
  sink: Sink,
  entry: Entry,
  body: Bytes,
  hooks: WriteHooks,
): AsyncGenerator<U8, string, undefined> {
  const digest = entry.sha256 ? undefined : createHash("sha256");
  let seen = 0;
  for await (const chunk of body) {
    seen += chunk.length;
    if (seen > entry.bytes) break;
    digest?.update(chunk);
    append(sink, chunk);
    sink.bytes += chunk.length;
    yield* take(sink, hooks);
  }
  if (seen !== entry.bytes) throw wrongLength(entry, seen);
  return digest ? digest.digest("hex") : hexDigest(entry);
}

/** Content that is read straight into the blocks. */
async function* putFilled(
  sink: Sink,
  entry: Entry,
  fill: Fill,
  hooks: WriteHooks,
): AsyncGenerator<U8, string, undefined> {
  const digest = entry.sha256 ? undefined : createHash("sha256");
  let seen = 0;
  while (seen < entry.bytes) {
    const most = Math.min(BLOCK - sink.fill, entry.bytes - seen, TELL_BYTES);
    const room = sink.block.subarray(sink.fill, sink.fill + most);
    const got = await fill(room);
    if (got === 0) break;
    digest?.update(room.subarray(0, got));
    seen += got;
    sink.bytes += got;
    advance(sink, got);
    yield* take(sink, hooks);
  }
  if (seen !== entry.bytes) throw wrongLength(entry, seen);
  return digest ? digest.digest("hex") : hexDigest(entry);
}

/** A sparse file is read on for so long without a pause. */
const PAUSE_BYTES = 64 * 1024 * 1024;

/** Of a file with holes what is none; the digest is of all of it, as it reads. */
async function* putSparse(
  sink: Sink,
  entry: Entry,
  sparse: SparsePlan,
  hooks: WriteHooks,
): AsyncGenerator<U8, string, undefined> {
  append(sink, sparse.map);
  const digest = createHash("sha256");
  let seen = 0;
  for await (const chunk of (entry.body as () => Bytes)()) {
    seen += chunk.length;
    if (seen > entry.bytes) break;
    digest.update(chunk);
    sparse.cut(chunk.length, (start, end) => append(sink, chunk.subarray(start, end)));
    sink.bytes += chunk.length;
    yield* take(sink, hooks);
    // A hole gives nothing that anyone would wait for: without a pause no signal, timer or heartbeat is heard in it.
    if (seen % PAUSE_BYTES < chunk.length) await setImmediate();
  }
  if (seen !== entry.bytes) throw wrongLength(entry, seen);
  return digest.digest("hex");
}

function wrongLength({ path, bytes }: Entry, seen: number): Error {
  return new Error(
    `Cannot archive ${quote(path)}: it gave ${seen > bytes ? "more than" : `${seen} of`} ${bytes} bytes. ` +
      "It changed while it was read; run the backup again",
  );
}

function hexDigest(entry: Entry): string {
  const digest = entry.sha256!();
  if (digest.length !== 32) {
    throw new TypeError(
      `Cannot archive ${quote(entry.path)}: its SHA-256 has ${digest.length} bytes, not 32`,
    );
  }
  return digest.toHex();
}

const TYPES = { file: "0", hardlink: "1", symlink: "2", directory: "5" } as const;

function putMember(sink: Sink, entry: Entry, sparse: SparsePlan | undefined): void {
  const path = sparse?.path ?? (entry.kind === "directory" ? entry.path + "/" : entry.path);
  const target = entry.target ?? "";
  const bytes = sparse?.stored ?? entry.bytes;
  const records = paxRecords(entry, path, target, bytes);
  if (sparse) records.push(...sparse.records, ["GNU.sparse.name", raw(entry.path)]);
  if (entry.xattrs || entry.acl) records.push(...attributeRecords(entry));
  const seconds = Math.floor(entry.mtimeMs / 1000);
  if (records.length > 0) putPax(sink, encodePax(records), entry.path);
  putHeader(sink, {
    path,
    target,
    type: TYPES[entry.kind],
    mode: entry.mode,
    uid: entry.uid > MAX_ID ? 0 : entry.uid,
    gid: entry.gid > MAX_ID ? 0 : entry.gid,
    size: bytes > MAX_LONG ? 0 : bytes,
    mtime: seconds < 0 || seconds > MAX_LONG ? 0 : seconds,
    uname: entry.uname,
    gname: entry.gname,
  });
}

/** What ustar has no room for. */
function paxRecords(entry: Entry, path: string, target: string, bytes: number): PaxRecord[] {
  const records: PaxRecord[] = [];
  const add = (key: string, value: PaxRecord[1]): void => void records.push([key, value]);
  const { mtimeMs, mtimeNs = 0, uid, gid, uname, gname } = entry;
  const long = splitPath(path) < 0 || !fits(path, 256);
  const far = !fits(target, 100);
  if (long && isRaw(path) || far && isRaw(target)) add("hdrcharset", "BINARY");
  if (long) add("path", raw(path));
  if (far) add("linkpath", raw(target));
  if (bytes > MAX_LONG) add("size", String(bytes));
  if (uid > MAX_ID) add("uid", String(uid));
  if (gid > MAX_ID) add("gid", String(gid));
  if (mtimeMs < 0 || mtimeMs % 1000 !== 0 || mtimeNs !== 0 || mtimeMs / 1000 > MAX_LONG) {
    add("mtime", encodeTime(mtimeMs, mtimeNs));
  }
  if (!fits(uname, 31)) add("uname", uname);
  if (!fits(gname, 31)) add("gname", gname);
  return records;
}

type PaxRecord = readonly [key: string, value: string | Uint8Array];

/** Bytes of a name that is not UTF-8. */
function raw(name: string): string | Uint8Array {
  return isRaw(name) ? bytesOf(name) : name;
}

function putPax(sink: Sink, content: U8, path: string): void {
  if (content.length > EXTRA_LIMIT) {
    throw new TypeError(`Cannot archive ${quote(path)}: its names need more than ${EXTRA_LIMIT} bytes`);
  }
  // The number keeps the members apart for programs that do not know PAX and store them as files.
  putHeader(sink, {
    path: `PaxHeaders/${sink.entries}`,
    target: "",
    type: "x",
    mode: 0o644,
    uid: 0,
    gid: 0,
    size: content.length,
    mtime: 0,
    uname: "",
    gname: "",
  });
  append(sink, content);
  pad(sink);
}

function putHeader(sink: Sink, fields: Parameters<typeof writeHeader>[2]): void {
  sink.block.fill(0, sink.fill, sink.fill + UNIT);
  writeHeader(sink.block, sink.fill, fields);
  advance(sink, UNIT);
}

function append(sink: Sink, data: U8): void {
  for (let at = 0; at < data.length;) {
    const take = Math.min(BLOCK - sink.fill, data.length - at);
    sink.block.set(at === 0 && take === data.length ? data : data.subarray(at, at + take), sink.fill);
    at += take;
    advance(sink, take);
  }
}

function pad(sink: Sink): void {
  const over = sink.fill % UNIT;
  if (over > 0) zeros(sink, UNIT - over);
}

/** Blocks have been used before, so zeros are written too. */
function zeros(sink: Sink, size: number): void {
  for (let left = size; left > 0;) {
    const take = Math.min(left, BLOCK - sink.fill);
    sink.block.fill(0, sink.fill, sink.fill + take);
    left -= take;
    advance(sink, take);
  }
}

function advance(sink: Sink, size: number): void {
  sink.fill += size;
  if (sink.fill < BLOCK) return;
  sink.ready.push(sink.block);
  sink.before += BLOCK;
  sink.block = takeBlock(BLOCK);
  sink.fill = 0;
}
