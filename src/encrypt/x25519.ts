/**
 * The X25519 recipient and the header of an age file (C2SP age, "The X25519 recipient type" and "Header"), natively: what nearly every
 * backup needs, without loading the library, which takes longer than all else a small backup does. A header is read here only where all
 * of it is as it must be; what is said about any other is the library's word.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
  randomBytes,
  timingSafeEqual,
} from "node:crypto";
import { utf8 } from "../bytes.ts";
import type { U8 } from "../stage.ts";
import { decodeBech32, encodeBech32 } from "./bech32.ts";

const KEY = 32;
const TAG = 16;
const FILE_KEY = 16;
const CIPHER = "chacha20-poly1305";
const LABEL = "age-encryption.org/v1/X25519";
/** What stands before the 32 bytes of a private key in PKCS #8 (RFC 8410). */
const PKCS8 = Uint8Array.fromHex("302e020100300506032b656e04220420");
/** 32 bytes in base64. */
const B64 = "[A-Za-z0-9+/]{43}";
const HEADER = new RegExp(`^(age-encryption\\.org/v1\n(?:-> X25519 ${B64}\n${B64}\n)+---) (${B64})\n$`);
const STANZA = new RegExp(`-> X25519 (${B64})\n(${B64})\n`, "g");

/** A header in which every stanza is for an X25519 recipient. */
export interface X25519Header {
  /** What the MAC is made over. */
  readonly unsigned: string;
  /** The MAC that it has. */
  readonly mac: U8;
  /** Share and body of each stanza. */
  readonly stanzas: readonly (readonly [share: U8, body: U8])[];
}

/** The key of an `age1...` text; undefined when it is malformed. */
export function decodeRecipient(text: string): U8 | undefined {
  const decoded = text.startsWith("age1") ? decodeBech32(text) : undefined;
  return decoded?.prefix === "age" && decoded.bytes.length === KEY ? decoded.bytes : undefined;
}

/** The `age1...` text that belongs to an `AGE-SECRET-KEY-1...` text; undefined when that is malformed. */
export function recipientOfX25519(identity: string): string | undefined {
  const key = decodeIdentity(identity);
  return key && encodeBech32("age", rawOf(createPublicKey(key)));
}

function decodeIdentity(text: string): KeyObject | undefined {
  const decoded = text.startsWith("AGE-SECRET-KEY-1") ? decodeBech32(text) : undefined;
  if (decoded?.prefix !== "age-secret-key-" || decoded.bytes.length !== KEY) return undefined;
  return createPrivateKey({ key: Buffer.concat([PKCS8, decoded.bytes]), format: "der", type: "pkcs8" });
}

/** A header with its MAC, for recipients as {@linkcode decodeRecipient} gives them, and the new file key it wraps. */
export function makeX25519Header(recipients: readonly U8[]): { readonly bytes: U8; readonly fileKey: U8 } {
  const fileKey = new Uint8Array(randomBytes(FILE_KEY));
  const stanzas = recipients.map((recipient) => stanza(recipient, fileKey)).join("");
  const unsigned = `age-encryption.org/v1\n${stanzas}---`;
  return { bytes: utf8(`${unsigned} ${unpadded(macOf(fileKey, unsigned))}\n`), fileKey };
}

/** Reads a header; undefined for one with other stanzas, and for one that is not written as it must be. */
export function readX25519Header(header: U8): X25519Header | undefined {
  const [, unsigned, mac] = HEADER.exec(Buffer.from(header).toString("latin1")) ?? [];
  if (unsigned === undefined || mac === undefined) return undefined;
  const stanzas = Array.from(unsigned.matchAll(STANZA), ([, share, body]) => [share!, body!] as const);
  if (![mac, ...stanzas.flat()].every(isCanonical)) return undefined;
  return {
    unsigned,
    mac: fromUnpadded(mac),
    stanzas: stanzas.map(([share, body]) => [fromUnpadded(share), fromUnpadded(body)]),
  };
}

/**
 * The file key of a header whose MAC is right, for the first of these `AGE-SECRET-KEY-1...` texts that opens a stanza, as the library
 * asks them; undefined where none does, where one of the texts is something else, or anything is wrong.
 */
export function openX25519Header(
  { unsigned, mac, stanzas }: X25519Header,
  identities: readonly string[],
): U8 | undefined {
  const keys = identities.map(decodeIdentity);
  if (!keys.every((key) => key !== undefined)) return undefined;
  try {
    for (const privateKey of keys) {
      const recipient = rawOf(createPublicKey(privateKey));
      for (const [share, body] of stanzas) {
        const key = wrapping(agreed(privateKey, publicKeyOf(share)), share, recipient);
        const fileKey = unwrapped(key, body);
        if (fileKey) return timingSafeEqual(macOf(fileKey, unsigned), mac) ? fileKey : undefined;
      }
    }
  } catch {
    // A share of small order, for one.
  }
  return undefined;
}

function unwrapped(key: U8, body: U8): U8 | undefined {
  const decipher = createDecipheriv(CIPHER, key, new Uint8Array(12), { authTagLength: TAG });
  decipher.setAuthTag(body.subarray(FILE_KEY));
  try {
    return new Uint8Array(Buffer.concat([decipher.update(body.subarray(0, FILE_KEY)), decipher.final()]));
  } catch {
    return undefined;
  }
}

/** The file key for one recipient: under a key agreed on by it and a pair that exists only here. */
function stanza(recipient: U8, fileKey: U8): string {
  const { publicKey, privateKey } = generateKeyPairSync("x25519");
  const share = rawOf(publicKey);
  const key = wrapping(agreed(privateKey, publicKeyOf(recipient)), share, recipient);
  const cipher = createCipheriv(CIPHER, key, new Uint8Array(12), { authTagLength: TAG });
  const body = Buffer.concat([cipher.update(fileKey), cipher.final(), cipher.getAuthTag()]);
  return `-> X25519 ${unpadded(share)}\n${unpadded(body)}\n`;
}

/** Throws TypeError on a point of small order, with which everybody would know the result (RFC 7748, section 6.1). */
function agreed(privateKey: KeyObject, publicKey: KeyObject): Uint8Array {
  try {
    return diffieHellman({ privateKey, publicKey });
  } catch (cause) {
    throw new TypeError(
      "Cannot encrypt with age: one of the recipients is nobody's key. Make an identity with age-keygen, and give its recipient",
      { cause },
    );
  }
}

/** The key that a file key is encrypted with. */
function wrapping(shared: Uint8Array, share: U8, recipient: U8): U8 {
  return new Uint8Array(hkdfSync("sha256", shared, Buffer.concat([share, recipient]), LABEL, KEY));
}

function macOf(fileKey: U8, unsigned: string): Uint8Array {
  const key = new Uint8Array(hkdfSync("sha256", fileKey, "", "header", KEY));
  return createHmac("sha256", key).update(unsigned).digest();
}

function publicKeyOf(raw: U8): KeyObject {
  const jwk = { kty: "OKP", crv: "X25519", x: Buffer.from(raw).toString("base64url") };
  return createPublicKey({ key: jwk, format: "jwk" });
}

function rawOf(key: KeyObject): U8 {
  return new Uint8Array(Buffer.from(key.export({ format: "jwk" }).x!, "base64url"));
}

function unpadded(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64").replace(/=+$/, "");
}

function fromUnpadded(text: string): U8 {
  return new Uint8Array(Buffer.from(text, "base64"));
}

/** Whether no bit behind the last byte is set: else one header could be written in several ways. */
function isCanonical(text: string): boolean {
  return unpadded(fromUnpadded(text)) === text;
}
