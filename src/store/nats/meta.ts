/**
 * What a bucket knows of an object: one message for each name, as every client of the object store writes it (ADR-20).
 *
 * @module
 */
import { text, utf8 } from "../../bytes.ts";
import { IntegrityError } from "../../errors.ts";
import { ApiError } from "../../nats/link.ts";
import { integerAt, isObject, objectAt, parseExact, textAt } from "../../nats/exact.ts";
import { CODE, isUnmade } from "./explain.ts";
import type { Session } from "./session.ts";

/** Where our own objects note the sequence of their first chunk, for reads that begin in the middle. */
export const FIRST = "holdfast-first-sequence";

/** The number of a chunk in its object, on each chunk of ours. */
export const CHUNK_HEADER = "Holdfast-Chunk";

/** The longest description that is read, in bytes. */
const LIMIT = 1 << 20;

/** What a name stands for. */
export interface Meta {
  /** Sequence of the description: what it must still be when it is replaced. */
  readonly seq: number;
  /** Which chunks. */
  readonly nuid: string;
  /** Length in bytes. */
  readonly bytes: number;
  /** Number of chunks. */
  readonly chunks: number;
  /** Lower-case hexadecimal SHA-256; "" where there is none. */
  readonly sha256: string;
  /** When it was written, by the server's clock. */
  readonly modified: Date;
  /** "object"; "deleted": a mark that other clients leave; "link": to another object, which is none of ours. */
  readonly kind: "object" | "deleted" | "link";
  /** Length of every chunk but the last, and the first one's sequence: only for what was written here. */
  readonly own?: { readonly chunkBytes: number; readonly first: number } | undefined;
}

/** The subject of a name's description. */
export function metaSubject({ settings: { bucket, prefix } }: Session, key: string): string {
  return `$O.${bucket}.M.${nameToken(prefix + key)}`;
}

/** A name as a part of a subject: base64 for URLs, padded. */
function nameToken(name: string): string {
  return utf8(name).toBase64({ alphabet: "base64url" });
}

/** The name in a description's subject, or undefined for what no client has written. */
export function nameIn(subject: string): string | undefined {
  const token = subject.slice(subject.lastIndexOf(".") + 1);
  try {
    const name = text(Uint8Array.fromBase64(token, { alphabet: "base64url" }));
    return nameToken(name) === token ? name : undefined;
  } catch {
    return undefined;
  }
}

/** The subject of an object's chunks. */
export function chunkSubject({ settings: { bucket } }: Session, nuid: string): string {
  return `$O.${bucket}.C.${nuid}`;
}

/** Asks the stream's leader, so that what was written is seen. Undefined: proven absent. */
export async function lookUp(
  session: Session,
  key: string,
  action: string,
  signal?: AbortSignal,
): Promise<Meta | undefined> {
  const { stream } = session.settings;
  const body = JSON.stringify({ last_by_subj: metaSubject(session, key) });
  return await session.call(action, async (link) => {
    try {
      const message = objectAt(await link.api(`STREAM.MSG.GET.${stream}`, body), "message");
      const data = Uint8Array.fromBase64(textAt(message, "data"));
      return metaOf(key, data, Number(integerAt(message, "seq")), new Date(textAt(message, "time")));
    } catch (error) {
      if (error instanceof ApiError && error.code === CODE.noMessage) return undefined;
      if (isUnmade(error, session.settings)) return undefined;
      throw error;
    }
  }, signal);
}

function metaOf(key: string, data: Uint8Array, seq: number, modified: Date): Meta {
  const wrong = (): IntegrityError =>
    new IntegrityError(`Cannot read what the bucket says of "${key}": it is no object's description`);
  let info;
  try {
    if (data.length > LIMIT) throw wrong();
    info = parseExact(text(data));
  } catch {
    throw wrong();
  }
  const options = objectAt(info, "options");
  const [bytes, chunks] = [Number(integerAt(info, "size")), Number(integerAt(info, "chunks"))];
  const nuid = textAt(info, "nuid");
  const kind = info.deleted === true ? "deleted" : isObject(options.link) ? "link" : "object";
  if (!Number.isSafeInteger(bytes) || bytes < 0 || chunks < 0 || chunks > bytes) throw wrong();
  if (kind === "object" && !/^[A-Za-z0-9_-]{1,64}$/.test(nuid)) throw wrong();
  const chunkBytes = Number(integerAt(options, "max_chunk_size"));
  const first = Number(textAt(objectAt(info, "metadata"), FIRST) || NaN);
  const isOwn = Number.isSafeInteger(first) && first > 0 && chunkBytes > 0 &&
    chunks === Math.ceil(bytes / chunkBytes);
  return {
    seq,
    nuid,
    bytes,
    chunks,
    sha256: digestIn(textAt(info, "digest")),
    modified,
    kind,
    ...(isOwn ? { own: { chunkBytes, first } } : {}),
  };
}

function digestIn(digest: string): string {
  const match = /^SHA-256=([A-Za-z0-9_-]{43}=?)$/.exec(digest);
  return match ? Uint8Array.fromBase64(match[1]!, { alphabet: "base64url" }).toHex() : "";
}

/** Whether a name is taken. */
export function isThere(meta: Meta | undefined): meta is Meta {
  return meta !== undefined && meta.kind !== "deleted";
}
