/**
 * OpenPGP's outer shape (RFC 9580, sections 4 to 6): armor, packets, fingerprints. Enough to tell whose key something is
 * without loading a library; the cryptography is the library's.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { concat, utf8 } from "../bytes.ts";
import type { U8 } from "../stage.ts";

/** One packet. */
export interface Packet {
  /** What it is: 1 encrypted session key, 2 signature, 5 secret key, 6 public key, 14 public subkey. */
  readonly tag: number;
  /** Its content, partial lengths joined. */
  readonly body: U8;
  /** Offset behind it. */
  readonly end: number;
}

/** A packet's tag and the length of its body, or of the first part of it. */
export interface PacketHeader {
  /** The tag. */
  readonly tag: number;
  /** Bytes that the header takes. */
  readonly size: number;
  /** Bytes of the body, or of its first part; undefined: up to the end of the data (old format only). */
  readonly length: number | undefined;
  /** Whether another part follows. */
  readonly partial: boolean;
}

/** Packet types that carry nothing and may stand among others. */
export const MARKER = 10;
/** The same, since RFC 9580. */
export const PADDING = 21;
/** Bytes a header takes at most. */
export const HEADER_MOST = 6;

/** Reads a packet header, or undefined when these bytes start none. */
export function packetHeader(bytes: Uint8Array): PacketHeader | undefined {
  const first = bytes[0];
  if (first === undefined || first < 0x80) return undefined;
  if (first & 0x40) {
    const length = newLength(bytes.subarray(1));
    return length && { tag: first & 0x3f, size: 1 + length.size, ...lengthOf(length) };
  }
  const tag = (first >> 2) & 0x0f;
  const kind = first & 3;
  if (kind === 3) return { tag, size: 1, length: undefined, partial: false };
  const size = 1 << kind;
  if (bytes.length < 1 + size) return undefined;
  let length = 0;
  for (let i = 0; i < size; i++) length = length * 256 + bytes[1 + i]!;
  return { tag, size: 1 + size, length, partial: false };
}

function lengthOf({ length, partial }: Length): Pick<PacketHeader, "length" | "partial"> {
  return { length, partial };
}

/** A length in the new format. */
export interface Length {
  /** Bytes it takes. */
  readonly size: number;
  /** What it says. */
  readonly length: number;
  /** Whether another part follows. */
  readonly partial: boolean;
}

/** Reads a new-format length; undefined when it is cut. */
export function newLength(bytes: Uint8Array): Length | undefined {
  const a = bytes[0];
  if (a === undefined) return undefined;
  if (a < 192) return { size: 1, length: a, partial: false };
  if (a < 224) {
    return bytes.length < 2
      ? undefined
      : { size: 2, length: ((a - 192) << 8) + bytes[1]! + 192, partial: false };
  }
  if (a < 255) return { size: 1, length: 2 ** (a & 0x1f), partial: true };
  if (bytes.length < 5) return undefined;
  const length = ((bytes[1]! * 256 + bytes[2]!) * 256 + bytes[3]!) * 256 + bytes[4]!;
  return { size: 5, length, partial: false };
}

/** Writes a new-format length that is not partial. */
export function writeLength(length: number): U8 {
  if (length < 192) return Uint8Array.of(length);
  if (length < 8384) return Uint8Array.of(((length - 192) >> 8) + 192, (length - 192) & 0xff);
  return Uint8Array.of(255, length >>> 24, length >>> 16, length >>> 8, length);
}

/** Every packet of small data. Throws SyntaxError when it is cut or none. */
export function readPackets(bytes: U8): Packet[] {
  const packets: Packet[] = [];
  for (let at = 0; at < bytes.length;) {
    const header = packetHeader(bytes.subarray(at, at + HEADER_MOST));
    if (!header) throw new SyntaxError(`no OpenPGP packet starts at byte ${at}`);
    let start = at + header.size;
    let part: Pick<Length, "length" | "partial"> = {
      length: header.length ?? bytes.length - start,
      partial: header.partial,
    };
    const parts: U8[] = [];
    for (;;) {
      if (start + part.length > bytes.length) throw new SyntaxError("an OpenPGP packet is cut");
      parts.push(bytes.subarray(start, start + part.length));
      start += part.length;
      if (!part.partial) break;
      const next = newLength(bytes.subarray(start, start + 5));
      if (!next) throw new SyntaxError("an OpenPGP packet is cut");
      start += next.size;
      part = next;
    }
    packets.push({ tag: header.tag, body: concat(parts), end: start });
    at = start;
  }
  return packets;
}

/** A key's fingerprint in upper-case hexadecimal: SHA-1 for version 4, SHA-256 for 6. Throws SyntaxError for others. */
export function fingerprintOf(body: Uint8Array): string {
  const [version] = body;
  const { length } = body;
  if (version === 4) {
    return digest("sha1", Uint8Array.of(0x99, length >> 8, length), body);
  }
  if (version === 6) {
    return digest("sha256", Uint8Array.of(0x9b, length >>> 24, length >>> 16, length >>> 8, length), body);
  }
  throw new SyntaxError(`it is a key of version ${version}; 4 and 6 are known here`);
}

function digest(algorithm: string, ...parts: Uint8Array[]): string {
  const hash = createHash(algorithm);
  for (const part of parts) hash.update(part);
  return hash.digest("hex").toUpperCase();
}

/** A key's id: the last 8 bytes of a version 4 fingerprint, the first 8 of a version 6 one. */
export function keyIdOf(fingerprint: string): string {
  return fingerprint.length === 40 ? fingerprint.slice(24) : fingerprint.slice(0, 16);
}

/** Armored or binary data as binary, with the label of its armor. Several blocks are joined. Throws SyntaxError. */
export function dearmor(
  data: string | Uint8Array,
): { readonly label?: string | undefined; readonly bytes: U8 } {
  const bytes = typeof data === "string" ? utf8(data) : new Uint8Array(data);
  if (bytes.length > 0 && bytes[0]! >= 0x80) return { bytes };
  const text = new TextDecoder().decode(bytes);
  const blocks = [...text.matchAll(
    /-----BEGIN PGP ([A-Z ]+)-----\r?\n(?:[A-Za-z]+: [^\n]*\n)*\s*\n([A-Za-z0-9+/=\s]+?)-----END PGP \1-----/g,
  )];
  if (blocks.length === 0) throw new SyntaxError("it is neither armored nor binary OpenPGP data");
  const parts = blocks.map(([, , body]) => {
    // The checksum line starts with "=" at the start of a line; it is optional and says nothing about integrity.
    const base64 = body!.replace(/\n=[A-Za-z0-9+/]{4}\s*$/, "\n").replaceAll(/\s+/g, "");
    return Uint8Array.fromBase64(base64);
  });
  return { label: blocks[0]![1], bytes: concat(parts) };
}

/** Binary data in armor. */
export function armor(label: string, bytes: Uint8Array): string {
  const lines = bytes.toBase64().match(/.{1,64}/g) ?? [];
  return `-----BEGIN PGP ${label}-----\n\n${lines.join("\n")}\n-----END PGP ${label}-----\n`;
}
