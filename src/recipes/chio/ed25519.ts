/**
 * Seeds and keys: 32 bytes in hexadecimal, as Chio keeps them.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { createPrivateKey, createPublicKey, type KeyObject, sign } from "node:crypto";

/** Before a raw seed, the DER of its PrivateKeyInfo (RFC 8410). */
const PKCS8 = "302e020100300506032b657004220420";

/** A key that can sign. */
export interface SigningKey {
  /** Its public half, lower-case hexadecimal. */
  readonly hex: string;
  /** Signs a text; lower-case hexadecimal. */
  readonly sign: (text: string) => string;
}

/** The key of a seed's text (64 hexadecimal digits, "0x" and white space allowed); undefined when it is none. Nothing of it is in an error. */
export function keyOfSeed(text: string): SigningKey | undefined {
  const [, seed] = /^\s*(?:0x)?([0-9a-fA-F]{64})\s*$/.exec(text) ?? [];
  if (seed === undefined) return undefined;
  const key = createPrivateKey({ key: Buffer.from(PKCS8 + seed, "hex"), format: "der", type: "pkcs8" });
  return signingKey(key);
}

/** A key from its object. */
export function signingKey(key: KeyObject): SigningKey {
  const der = createPublicKey(key).export({ type: "spki", format: "der" });
  return {
    hex: Buffer.from(der.subarray(der.length - 32)).toString("hex"),
    sign: (text) => sign(null, Buffer.from(text, "utf8"), key).toString("hex"),
  };
}
