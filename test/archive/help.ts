/** What the archive tests share: entries by hand, packing and unpacking, raw tar members. */
import { zstdCompressSync } from "node:zlib";
import { concat, readAll, utf8 } from "../../src/bytes.ts";
import { writeHeader } from "../../src/archive/header.ts";
import { encodePax } from "../../src/archive/pax.ts";
import { type IndexTail, tar, type TarOptions } from "../../src/archive/mod.ts";
import type { Archive, Bytes, Entry, Files, Limits, U8 } from "../../src/stage.ts";
import { inChunks, testContext } from "../support.ts";

const GIB = 2 ** 30;

/** An entry with defaults. */
export function entry(path: string, rest: Partial<Entry> = {}): Entry {
  const kind = rest.kind ?? "file";
  const body = rest.body ?? (kind === "file" ? utf8(`content of ${path}`) : undefined);
  return {
    path,
    kind,
    mode: kind === "directory" ? 0o755 : 0o644,
    mtimeMs: 1_700_000_000_000,
    uid: 0,
    gid: 0,
    uname: "root",
    gname: "root",
    bytes: body instanceof Uint8Array ? body.length : 0,
    ...(body === undefined ? {} : { body }),
    ...rest,
  };
}

/** A file whose content comes as a stream of chunks. */
export function streamed(path: string, content: Uint8Array, chunk = 300_000): Entry {
  return entry(path, { bytes: content.length, body: () => inChunks(content, chunk) });
}

/** Files over a list. */
export function filesOf(entries: Iterable<Entry>, rest: Partial<Files> = {}): Files {
  return {
    kind: "files",
    entries: async function* (): AsyncGenerator<Entry, void, undefined> {
      yield* entries;
    },
    facts: () => ({ sources: [], stages: [] }),
    ...rest,
  };
}

/** An archive over bytes, as if it came from a store. */
export function archiveOf(bytes: Uint8Array | Bytes, rest: Partial<Archive> = {}): Archive {
  return {
    kind: "archive",
    suffix: ".tar",
    body: { read: () => bytes instanceof Uint8Array ? inChunks(bytes, 1 << 20) : bytes },
    facts: () => ({ sources: [], stages: [] }),
    ...rest,
  };
}

/** Writes entries; gives the archive and its bytes. */
export async function pack(
  entries: Iterable<Entry>,
  options?: TarOptions,
  rest?: Partial<Files>,
): Promise<{ archive: Archive; bytes: U8 }> {
  const archive = await tar(options).run(filesOf(entries, rest), testContext());
  const bytes = await readAll(archive.body.read(), GIB);
  return { archive, bytes };
}

/** An entry with its content read. */
export type Read = Omit<Entry, "body" | "sha256"> & { body?: U8 };

/** Reads an archive whole. */
export async function unpack(
  from: Uint8Array | Bytes | Archive,
  limits: Partial<Limits> = {},
): Promise<Read[]> {
  const archive = "kind" in from ? from : archiveOf(from);
  const defaults = testContext().want.limits;
  const context = testContext({ want: { limits: { ...defaults, ...limits } } });
  const files = await tar().undo(archive, context);
  const out: Read[] = [];
  for await (const { body, sha256: _, ...rest } of files.entries()) {
    if (body === undefined) out.push(rest);
    else out.push({ ...rest, body: typeof body === "function" ? await readAll(body(), GIB) : body });
  }
  return out;
}

/** The entries as `unpack` gives them. */
export async function plain(entries: Iterable<Entry>): Promise<Read[]> {
  const out: Read[] = [];
  for (const { body, sha256: _, ...rest } of entries) {
    const content = typeof body === "function" ? await readAll(body(), GIB) : body;
    out.push({ ...rest, ...(rest.kind === "file" ? { body: content ?? new Uint8Array(0) } : {}) });
  }
  return out;
}

/** What a raw header holds. */
export type Raw = Partial<Parameters<typeof writeHeader>[2]>;

/** One tar member by hand, padded; `patch` may spoil the header before the checksum is made anew. */
export function member(
  fields: Raw,
  content: Uint8Array = new Uint8Array(0),
  patch?: (header: U8) => void,
): U8 {
  const block = new Uint8Array(512 + Math.ceil(content.length / 512) * 512);
  writeHeader(block, 0, {
    path: "x",
    type: "0",
    mode: 0o644,
    uid: 0,
    gid: 0,
    size: content.length,
    mtime: 0,
    target: "",
    uname: "",
    gname: "",
    ...fields,
  });
  if (patch) {
    patch(block);
    seal(block);
  }
  block.set(content, 512);
  return block;
}

/** Makes a header's checksum anew. */
export function seal(header: U8): void {
  header.fill(0x20, 148, 156);
  const sum = header.subarray(0, 512).reduce((total, byte) => total + byte, 0);
  header.set(utf8(sum.toString(8).padStart(6, "0") + "\0"), 148);
}

/** A PAX member. */
export function pax(records: readonly (readonly [string, string])[], type = "x"): U8 {
  return member({ path: "PaxHeaders/0", type }, encodePax(records));
}

/** Members closed by two zero blocks. */
export function archived(...members: Uint8Array[]): U8 {
  return concat([...members.map((bytes) => new Uint8Array(bytes)), new Uint8Array(1024)]);
}

/** An index of given parts, as an attacker would make it. */
export function assemble(tail: IndexTail, ...parts: U8[]): U8 {
  const offset = parts.reduce((sum, part) => sum + part.length, 0);
  const footer = new Uint8Array(24);
  footer.set([0x50, 0x2a, 0x4d, 0x18, 16]);
  new DataView(footer.buffer).setBigUint64(8, BigInt(offset), true);
  footer.set(utf8("HFINDEX1"), 16);
  return concat([...parts, zstd(JSON.stringify(tail) + "\n"), footer]);
}

/** One zstd frame. */
export function zstd(text: string): U8 {
  const bytes = utf8(text);
  return new Uint8Array(zstdCompressSync(bytes, { chunkSize: bytes.length + 1024 }));
}
