/**
 * A collector's entries in a spool, so that they outlive the moment at which they may be read.
 *
 * @module
 */
import { concat, text, toBytes, utf8 } from "../../bytes.ts";
import { IntegrityError } from "../../errors.ts";
import type { Bytes, Context, Entry, Files, U8 } from "../../stage.ts";
import type { Spool } from "../spool.ts";

/** Content up to here is handed on as bytes. */
const SMALL = 256 * 1024;

/** Reads all entries into the spool: for each, the length of its metadata, the metadata, its content. */
export async function keepAll(
  files: Files,
  kept: Spool,
  context: Context,
  signal: AbortSignal,
): Promise<void> {
  for await (const entry of files.entries()) {
    signal.throwIfAborted();
    const { body, sha256: _digest, xattrs, ...meta } = entry;
    const attributes = xattrs && [...xattrs].map(([name, value]) => [name, value.toBase64()]);
    const json = utf8(JSON.stringify({ ...meta, attributes }));
    const length = new Uint8Array(4);
    new DataView(length.buffer).setUint32(0, json.length);
    kept.write(length);
    kept.write(json);
    let size = 0;
    for await (const chunk of body instanceof Uint8Array ? [body] : body?.() ?? []) {
      signal.throwIfAborted();
      size += chunk.length;
      kept.write(chunk);
    }
    if (size !== entry.bytes) {
      throw new IntegrityError(`Cannot back up "${entry.path}": ${size} of ${entry.bytes} bytes came`);
    }
    context.progress({ phase: "collect", bytes: kept.size() });
  }
}

/** The entries again, from the spool. */
export async function* keptEntries(kept: Spool): AsyncGenerator<Entry, void, undefined> {
  const source = reader(kept.read());
  try {
    for (;;) {
      const length = await source.take(4);
      if (length.length === 0) return;
      const json = await source.exactly(new DataView(length.buffer, length.byteOffset).getUint32(0));
      const meta = entryOf(JSON.parse(text(json)));
      if (meta.kind !== "file") yield meta;
      else if (meta.bytes <= SMALL) yield { ...meta, body: await source.exactly(meta.bytes) };
      else {
        let left = meta.bytes;
        const body = (): Bytes =>
          toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
            while (left > 0) {
              const part = await source.some(left);
              left -= part.length;
              yield part;
            }
          });
        yield { ...meta, body };
        while (left > 0) left -= (await source.some(left)).length; // skipped by whoever did not want it
      }
    }
  } finally {
    await source.cancel();
  }
}

function entryOf(
  { attributes, ...meta }: Entry & { attributes?: readonly (readonly [string, string])[] },
): Entry {
  if (!attributes) return meta;
  return {
    ...meta,
    xattrs: new Map(attributes.map(([name, value]) => [name, Uint8Array.fromBase64(value)])),
  };
}

/** Takes a stream apart. */
interface Source {
  /** So many bytes, or fewer at the end. */
  readonly take: (count: number) => Promise<U8>;
  /** So many bytes; throws at the end. */
  readonly exactly: (count: number) => Promise<U8>;
  /** At least one byte and at most so many; throws at the end. */
  readonly some: (most: number) => Promise<U8>;
  readonly cancel: () => Promise<void>;
}

function reader(bytes: Bytes): Source {
  const stream = bytes.getReader();
  let rest: U8 = new Uint8Array(0);

  async function next(most: number): Promise<U8> {
    while (rest.length === 0) {
      const { done, value } = await stream.read();
      if (done) return rest;
      rest = value;
    }
    const part = rest.slice(0, most); // a copy: whoever takes it may transfer its buffer
    rest = rest.subarray(part.length);
    return part;
  }

  async function take(count: number): Promise<U8> {
    const parts: U8[] = [];
    for (let got = 0; got < count;) {
      const part = await next(count - got);
      if (part.length === 0) break;
      got += part.length;
      parts.push(part);
    }
    return concat(parts);
  }

  function whole(bytes: U8, least: number): U8 {
    if (bytes.length < least) throw new IntegrityError("Cannot read what was spooled: it is cut. Run again");
    return bytes;
  }

  return {
    take,
    exactly: async (count) => whole(await take(count), count),
    some: async (most) => whole(await next(most), 1),
    cancel: () => stream.cancel().catch(() => {}),
  };
}
