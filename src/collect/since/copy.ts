/**
 * The host's own copy of an index: the stored one is sealed against the host. Lines in path order, in zstd frames with a length before
 * each, then a SHA-256 of all before it. Mode 0600, in a folder of mode 0700.
 *
 * @module
 */
import { createHash } from "node:crypto";
import {
  closeSync,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { text, utf8 } from "../../bytes.ts";
import { type Line, readLine, writeLine } from "./line.ts";

/** Characters that make a frame. */
const FRAME_CHARS = 512 * 1024;
/** A frame that unfolds to more is damaged. */
const FRAME_LIMIT = 64 * 1024 * 1024;
const DIGEST_BYTES = 32;
const SCHEMA = "holdfast.since.v1";

/** Whose copy it is. */
export interface CopyKey {
  /** Where copies lie. */
  readonly folder: string;
  /** What tells one plan's from another's: 32 hexadecimal digits. */
  readonly plan: string;
}

/** A copy under way. */
export interface CopyWriter {
  /** Takes the next line. */
  readonly add: (line: Line) => void;
  /** Completes it, on disk. */
  readonly finish: () => void;
  /** Gives it up, unless it is complete. */
  readonly close: () => void;
}

const nameOf = ({ plan }: CopyKey, run: string): string => `${plan}_${run}.index`;

/** Begins the copy that belongs to a run. Throws what node:fs throws. */
export function writeCopy(key: CopyKey, run: string): CopyWriter {
  mkdirSync(key.folder, { recursive: true, mode: 0o700 });
  const path = join(key.folder, nameOf(key, run));
  const fd = openSync(`${path}.part`, "wx", 0o600);
  const hash = createHash("sha256");
  let lines: string[] = [JSON.stringify({ schema: SCHEMA, plan: key.plan, run }) + "\n"];
  let chars = 0;
  let open = true;
  const write = (bytes: Uint8Array): void => {
    hash.update(bytes);
    for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at);
  };
  const flush = (): void => {
    if (lines.length === 0) return;
    const bytes = utf8(lines.join(""));
    // Room for the whole frame at once: Deno 2.9.6 adds an empty frame to output that takes more than one chunk.
    const chunkSize = bytes.length + (bytes.length >> 7) + 1024;
    const frame = zstdCompressSync(bytes, { params: { [constants.ZSTD_c_compressionLevel]: 1 }, chunkSize });
    const length = new Uint8Array(4);
    new DataView(length.buffer).setUint32(0, frame.length, true);
    write(length);
    write(frame);
    lines = [];
    chars = 0;
  };
  const close = (): void => {
    if (!open) return;
    open = false;
    closeSync(fd);
    unlinkSync(`${path}.part`);
  };
  return {
    add: (line) => {
      const written = writeLine(line);
      lines.push(written);
      chars += written.length;
      if (chars >= FRAME_CHARS) flush();
    },
    finish: () => {
      flush();
      write(hash.copy().digest());
      fsyncSync(fd);
      open = false;
      closeSync(fd);
      renameSync(`${path}.part`, path);
    },
    close,
  };
}

/** The lines of the copy that belongs to a run, to be read once. "missing" where there is none, "damaged" where it is not what was written. */
export function readCopy(
  key: CopyKey,
  run: string,
): { readonly lines: Generator<Line, void, undefined> } | "missing" | "damaged" {
  let fd: number;
  try {
    fd = openSync(join(key.folder, nameOf(key, run)), "r");
  } catch (error) {
    return (error as { code?: unknown }).code === "ENOENT" ? "missing" : "damaged";
  }
  try {
    const end = checkedEnd(fd);
    const all = end === undefined ? undefined : linesIn(fd, end);
    const first = all?.next();
    const header = first && !first.done ? JSON.parse(first.value) : undefined;
    if (header?.schema === SCHEMA && header.plan === key.plan && header.run === run) {
      return { lines: parsed(fd, all!) };
    }
  } catch {
    // damaged
  }
  closeSync(fd);
  return "damaged";
}

/** Removes a plan's copies but those of some runs and the `spare` newest others, and what runs that died have left. */
export function removeCopies(key: CopyKey, runs: readonly string[], spare: number): void {
  const kept = runs.flatMap((run) => [nameOf(key, run), `${nameOf(key, run)}.part`]);
  const others = readdirSync(key.folder).filter((name) =>
    name.startsWith(`${key.plan}_`) && !kept.includes(name)
  );
  const whole = others.filter((name) => name.endsWith(".index")).sort(); // a run's id sorts by time
  for (const name of others) {
    if (whole.indexOf(name) < whole.length - spare || name.endsWith(".part")) {
      unlinkSync(join(key.folder, name));
    }
  }
}

/** Where the frames end, when the digest is right. */
function checkedEnd(fd: number): number | undefined {
  const end = fstatSync(fd).size - DIGEST_BYTES;
  if (end <= 0) return undefined;
  const hash = createHash("sha256");
  const chunk = new Uint8Array(1024 * 1024);
  for (let at = 0; at < end;) {
    const got = readSync(fd, chunk, 0, Math.min(chunk.length, end - at), at);
    if (got === 0) return undefined;
    hash.update(chunk.subarray(0, got));
    at += got;
  }
  return hash.digest().equals(read(fd, end, DIGEST_BYTES)) ? end : undefined;
}

function* linesIn(fd: number, end: number): Generator<string, void, undefined> {
  for (let at = 0; at < end;) {
    const bytes = read(fd, at, 4);
    const length = new DataView(bytes.buffer).getUint32(0, true);
    const frame = read(fd, at + 4, length);
    const lines = text(zstdDecompressSync(frame, { maxOutputLength: FRAME_LIMIT })).split("\n");
    lines.pop();
    yield* lines;
    at += 4 + length;
  }
}

function* parsed(fd: number, lines: Generator<string, void, undefined>): Generator<Line, void, undefined> {
  try {
    for (const line of lines) yield readLine(line);
  } finally {
    closeSync(fd);
  }
}

function read(fd: number, from: number, size: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size;) {
    const got = readSync(fd, bytes, at, size - at, from + at);
    if (got === 0) throw new RangeError("Cannot read the copy of the index: it is cut");
    at += got;
  }
  return bytes;
}
