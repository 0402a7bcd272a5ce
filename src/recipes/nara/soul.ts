/**
 * A nara's soul: 32 bytes that are its key, 8 that bind it to its name; what it signs and opens.
 *
 * @module
 */
import {
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  hkdfSync,
  type KeyObject,
  randomBytes,
  sign,
  verify,
} from "node:crypto";
import { utf8 } from "../../bytes.ts";
import { KeyError } from "../../errors.ts";
import type { U8 } from "../../stage.ts";

/** A soul that has been read. Nothing of it can be printed by accident: the secrets are in closures. */
export interface Soul {
  /** Public key, standard base64, as naras show it. */
  readonly publicKey: string;
  /** Signs; gives standard base64. */
  readonly sign: (bytes: Uint8Array) => string;
  /** Whether it was made for this name. */
  readonly fits: (name: string) => boolean;
  /** The nara's id under this name. */
  readonly id: (name: string) => string;
  /** The key its stash is encrypted with, 32 bytes. */
  readonly stashKey: () => U8;
}

const ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const SOUL_BYTES = 40;

/** Reads a soul's text; a line end after it is no part of it. Throws {@linkcode KeyError}, which never repeats it. */
export function parseSoul(text: string): Soul {
  const trimmed = text.replace(/\r?\n$/, "");
  const bytes = trimmed.length <= 60 ? decodeBase58(trimmed) : undefined;
  if (bytes?.length !== SOUL_BYTES) throw new KeyError(`Cannot use the soul: ${whatIsWrong(trimmed, bytes)}`);
  const seed = bytes.subarray(0, 32);
  const key = privateKey(seed);
  const publicKey = createPublicKey(key).export({ format: "der", type: "spki" }).subarray(-32).toString(
    "base64",
  );
  return {
    publicKey,
    sign: (data) => sign(null, data, key).toString("base64"),
    fits: (name) => {
      const tag = createHmac("sha256", seed).update(`nara:name:v2:${name}`).digest().subarray(0, 8);
      return name !== "" && tag.equals(bytes.subarray(32));
    },
    id: (name) => encodeBase58(createHash("sha256").update(bytes).update(name).digest()),
    stashKey: () => new Uint8Array(hkdfSync("sha256", seed, "nara:stash:v1", "symmetric", 32)),
  };
}

/** A new soul's text, bound to a name: for drills and tests. */
export function newSoul(name: string): string {
  const seed = randomBytes(32);
  const tag = createHmac("sha256", seed).update(`nara:name:v2:${name}`).digest().subarray(0, 8);
  return encodeBase58(new Uint8Array([...seed, ...tag]));
}

function whatIsWrong(text: string, bytes: U8 | undefined): string {
  const form = "a soul is 40 bytes in base58, 54 or 55 characters";
  if (text.trim() === "") return `it is empty; ${form}`;
  if (/\s/.test(text)) return `it has blanks or line ends in it; ${form}`;
  if (bytes === undefined) {
    return text.length > 60
      ? `it has ${text.length} characters; ${form}`
      : `it has characters that base58 does not (0, O, I, l, or others); ${form}`;
  }
  return `it has ${text.length} characters and stands for ${bytes.length} bytes; ${form}`;
}

/** Whether a signature (standard base64) is the public key's (standard base64). False for anything malformed. */
export function verified(publicKey: string, data: Uint8Array, signature: string): boolean {
  try {
    const raw = fromBase64(publicKey);
    if (raw.length !== 32) return false;
    return verify(null, data, keyOf(publicKey, raw), fromBase64(signature));
  } catch {
    return false;
  }
}

const keys = new Map<string, KeyObject>();

function keyOf(text: string, raw: Uint8Array): KeyObject {
  let key = keys.get(text);
  if (!key) {
    const der = new Uint8Array([...fromHex("302a300506032b6570032100"), ...raw]);
    // deno-lint-ignore no-explicit-any -- the key is bytes, whatever the type of Buffer says
    key = createPublicKey({ key: der as any, format: "der", type: "spki" });
    if (keys.size > 10_000) keys.clear();
    keys.set(text, key);
  }
  return key;
}

function privateKey(seed: Uint8Array): KeyObject {
  const der = new Uint8Array([...fromHex("302e020100300506032b657004220420"), ...seed]);
  // deno-lint-ignore no-explicit-any -- the key is bytes, whatever the type of Buffer says
  return createPrivateKey({ key: der as any, format: "der", type: "pkcs8" });
}

function fromHex(hex: string): U8 {
  return Uint8Array.from(hex.match(/../g)!, (pair) => parseInt(pair, 16));
}

function fromBase64(text: string): U8 {
  return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
}

/** SHA-256 of a text. */
export function digest(text: string): U8 {
  return new Uint8Array(createHash("sha256").update(utf8(text)).digest());
}

/** Base58 with Bitcoin's alphabet. */
export function encodeBase58(bytes: Uint8Array): string {
  let value = 0n;
  for (const byte of bytes) value = value << 8n | BigInt(byte);
  let text = "";
  for (; value > 0n; value /= 58n) text = ALPHABET[Number(value % 58n)] + text;
  const zeros = bytes.findIndex((byte) => byte !== 0);
  return "1".repeat(zeros < 0 ? bytes.length : zeros) + text;
}

/** The bytes of a base58 text; undefined when it is none. */
export function decodeBase58(text: string): U8 | undefined {
  let value = 0n;
  for (const char of text) {
    const digit = ALPHABET.indexOf(char);
    if (digit < 0) return undefined;
    value = value * 58n + BigInt(digit);
  }
  const zeros = /^1*/.exec(text)![0].length;
  const hex = value === 0n ? "" : value.toString(16);
  const body = hex === "" ? new Uint8Array(0) : fromHex(hex.length % 2 === 0 ? hex : `0${hex}`);
  const bytes = new Uint8Array(zeros + body.length);
  bytes.set(body, zeros);
  return bytes;
}
