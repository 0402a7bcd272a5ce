/**
 * The X25519 recipient and the header of an age file (C2SP age, "The X25519 recipient type" and "Header"), written natively: what
 * nearly every backup needs, without loading the library, which takes longer than all else a small backup does. Headers are read by
 * the library alone.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import {
  createCipheriv,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
  randomBytes,
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

/** The key of an `age1...` text; undefined when it is malformed. */
export function decodeRecipient(text: string): U8 | undefined {
  const decoded = text.startsWith("age1") ? decodeBech32(text) : undefined;
  return decoded?.prefix === "age" && decoded.bytes.length === KEY ? decoded.bytes : undefined;
}

/** The `age1...` text that belongs to an `AGE-SECRET-KEY-1...` text; undefined when that is malformed. */
export function recipientOfX25519(identity: string): string | undefined {
  const decoded = identity.startsWith("AGE-SECRET-KEY-1") ? decodeBech32(identity) : undefined;
  if (decoded?.prefix !== "age-secret-key-" || decoded.bytes.length !== KEY) return undefined;
  const der = Buffer.concat([PKCS8, decoded.bytes]);
  return encodeBech32(
    "age",
    rawOf(createPublicKey(createPrivateKey({ key: der, format: "der", type: "pkcs8" }))),
  );
}

/** A header with its MAC, for recipients as {@linkcode decodeRecipient} gives them, and the new file key it wraps. */
export function makeX25519Header(recipients: readonly U8[]): { readonly bytes: U8; readonly fileKey: U8 } {
  const fileKey = new Uint8Array(randomBytes(FILE_KEY));
  const stanzas = recipients.map((recipient) => stanza(recipient, fileKey)).join("");
  const unsigned = `age-encryption.org/v1\n${stanzas}---`;
  const key = new Uint8Array(hkdfSync("sha256", fileKey, "", "header", KEY));
  const mac = createHmac("sha256", key).update(unsigned).digest();
  return { bytes: utf8(`${unsigned} ${unpadded(mac)}\n`), fileKey };
}

/** The file key for one recipient: under a key agreed on by it and a pair that exists only here. */
function stanza(recipient: U8, fileKey: U8): string {
  const { publicKey, privateKey } = generateKeyPairSync("x25519");
  const jwk = { kty: "OKP", crv: "X25519", x: Buffer.from(recipient).toString("base64url") };
  const shared = agreed(privateKey, createPublicKey({ key: jwk, format: "jwk" }));
  const share = rawOf(publicKey);
  const key = new Uint8Array(hkdfSync("sha256", shared, Buffer.concat([share, recipient]), LABEL, KEY));
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

function rawOf(key: KeyObject): U8 {
  return new Uint8Array(Buffer.from(key.export({ format: "jwk" }).x!, "base64url"));
}

function unpadded(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64").replace(/=+$/, "");
}
