/** What the compression tests share. */
import { concat, toBytes } from "../../src/bytes.ts";
import { expand, type ExpandOptions } from "../../src/compress/expand.ts";
import type { Archive, Bytes, FactSheet, Limits, Stage, U8 } from "../../src/stage.ts";
import { inChunks, testContext } from "../support.ts";

/** The limits of a restore that names none. */
export const LIMITS: Limits = { entries: 10_000_000, bytes: 2 ** 40, ratio: 200, pathBytes: 4096 };

/** Text that compresses about as well as logs do, the same every time. */
export function lines(size: number): U8 {
  const encoder = new TextEncoder();
  const bytes = new Uint8Array(size);
  let x = 7;
  for (let at = 0, i = 0; at < size; i++) {
    x = (Math.imul(x, 1103515245) + 12345) >>> 0;
    const line = `{"id":${i},"user":"user${x % 997}","at":${1_700_000_000 + i * 37},"note":"${
      x.toString(36)
    }"}\n`;
    at += encoder.encodeInto(line, bytes.subarray(at)).written;
    if (size - at < 128) return bytes.fill(10, at);
  }
  return bytes;
}

/** Gives the same piece again and again. */
export function repeated(piece: U8, times: number): Bytes {
  return toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
    for (let i = 0; i < times; i++) yield new Uint8Array(piece);
  });
}

/** An archive of these bytes. */
export function archive(read: () => Bytes, suffix = ".tar", stages: FactSheet["stages"] = []): Archive {
  return { kind: "archive", suffix, body: { read }, facts: () => ({ sources: [], stages }) };
}

/** Reads a stream whole. */
export async function all(bytes: Bytes): Promise<U8> {
  const chunks: U8[] = [];
  for await (const chunk of bytes) chunks.push(chunk);
  return concat(chunks);
}

/** Reads a stream and forgets it; gives its length. */
export async function count(bytes: Bytes): Promise<number> {
  let size = 0;
  for await (const chunk of bytes) size += chunk.length;
  return size;
}

/** What a stage makes of these bytes. */
export async function pack(
  stage: Stage<Archive, Archive>,
  bytes: U8,
  chunkBytes = 256 * 1024,
): Promise<U8> {
  const out = await stage.run(archive(() => inChunks(bytes, chunkBytes)), testContext());
  return await all(out.body.read());
}

/** What an object unfolds to. */
export function unpack(
  object: Uint8Array,
  options: Partial<ExpandOptions> = {},
  chunkBytes = 256 * 1024,
): Promise<U8> {
  return all(expand({ read: () => inChunks(object, chunkBytes) }, { limits: LIMITS, ...options }).read());
}
