/**
 * Ranges of what is encrypted with age: its 64 KiB chunks lie at computable offsets, and each is authentic or an error.
 *
 * @module
 */
import { labelled, stepping } from "../bytes.ts";
import { IntegrityError } from "../errors.ts";
import type { Body, Bytes, Reader, U8 } from "../stage.ts";
import { intake } from "./intake.ts";
import { CHUNK, NONCE, openChunk, streamKey, TAG } from "./payload.ts";
import { header, notAge, type Unlock } from "./unlock.ts";

/** How much of a header is asked for at a time: most fit. */
const STEP = 16 * 1024;
/** From this length on the header of a body is read by ranges. */
const LONG = 4 * 1024 * 1024;
const SEALED_CHUNK = CHUNK + TAG;

/** The bytes of a body, for who looks at its start: a short one is read whole, digest and all; of a long one no more is sent than is read. */
export async function startOf(body: Body): Promise<Bytes> {
  const reader = await body.open?.();
  return reader && reader.size > LONG ? stepping(reader, STEP) : body.read();
}

/** Where the chunks lie. */
interface Layout {
  readonly key: Uint8Array;
  /** Offset of the first. */
  readonly start: number;
  /** How many. */
  readonly chunks: number;
  /** Length of all content. */
  readonly size: number;
}

/**
 * Opens for ranged reads; undefined for ASCII armor. The last chunk is read at once: as in age itself, only it tells that the length,
 * from which all offsets follow, is not that of a cut file. Throws {@linkcode IntegrityError}, and KeyError when no key fits.
 */
export async function openRanges(
  open: () => Promise<Reader | undefined>,
  unlock: Unlock,
  what: string,
): Promise<Reader | undefined> {
  try {
    const sealed = await open();
    const layout = sealed && await layOut(sealed, unlock, what);
    if (!layout) return undefined;
    await decrypt(sealed, layout, layout.chunks - 1, layout.chunks, what);
    return {
      size: layout.size,
      at: async (start, end) => {
        if (!(start >= 0 && start <= end && end <= layout.size)) {
          throw new RangeError(`Cannot read bytes ${start} to ${end} of ${layout.size}`);
        }
        if (start === end) return new Uint8Array(0);
        const first = Math.floor(start / CHUNK);
        try {
          const plain = await decrypt(sealed, layout, first, Math.ceil(end / CHUNK), what);
          return plain.subarray(start - first * CHUNK, end - first * CHUNK);
        } catch (error) {
          throw labelled("age", error);
        }
      },
    };
  } catch (error) {
    throw labelled("age", error);
  }
}

async function layOut(sealed: Reader, unlock: Unlock, what: string): Promise<Layout | undefined> {
  const input = intake(stepping(sealed, STEP));
  try {
    const opened = await header(input, what);
    if (!opened) throw notAge(what);
    if (opened.armor) return undefined;
    const fileKey = await unlock(opened.header, what);
    const nonce = await opened.rest.take(NONCE);
    const start = opened.header.length + NONCE;
    const payload = sealed.size - start;
    const chunks = Math.ceil(payload / SEALED_CHUNK);
    if (payload < TAG || payload - (chunks - 1) * SEALED_CHUNK < TAG) throw damaged(what, "is cut short");
    return { key: streamKey(fileKey, nonce), start, chunks, size: payload - chunks * TAG };
  } finally {
    await input.close();
  }
}

/** The content of chunks `first` to `end` (exclusive), all authentic, each where it stands. */
async function decrypt(
  sealed: Reader,
  { key, start, chunks, size }: Layout,
  first: number,
  end: number,
  what: string,
): Promise<U8> {
  const bytes = await sealed.at(
    start + first * SEALED_CHUNK,
    Math.min(start + end * SEALED_CHUNK, sealed.size),
  );
  const plain = new Uint8Array(Math.min(end * CHUNK, size) - first * CHUNK);
  for (let number = first; number < end; number++) {
    const at = (number - first) * SEALED_CHUNK;
    const piece = openChunk(key, number, number === chunks - 1, bytes.subarray(at, at + SEALED_CHUNK));
    if (!piece || (piece.length === 0 && chunks > 1)) {
      throw damaged(what, `is damaged, cut or was changed at its byte ${number * CHUNK}`);
    }
    plain.set(piece, (number - first) * CHUNK);
  }
  return plain;
}

function damaged(what: string, why: string): IntegrityError {
  return new IntegrityError(`Cannot decrypt ${what}: it ${why}. Restore another copy or an older backup`);
}
