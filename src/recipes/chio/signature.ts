/**
 * Chio's keys and signatures: Ed25519 in bare hexadecimal, ECDSA with a prefix.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { createPublicKey, type KeyObject, verify } from "node:crypto";

/** Before a raw key, the DER of its SubjectPublicKeyInfo (RFC 8410, RFC 5480). */
const SPKI = {
  ed25519: "302a300506032b6570032100",
  p256: "3059301306072a8648ce3d020106082a8648ce3d030107034200",
  p384: "3076301006072a8648ce3d020106052b81040022036200",
} as const;

/** Length of a raw key in bytes. */
const LENGTH = { ed25519: 32, p256: 65, p384: 97 } as const;

/** What a signature turned out to be. "unsupported": an algorithm that is not known here. */
export type Verdict = "good" | "bad" | "unsupported";

const keys = new Map<string, KeyObject | undefined>();

/** Checks a signature over a text. Never throws. */
export function checkSignature(key: string, signature: string, text: string): Verdict {
  const [algorithm, signed] = split(signature);
  const [keyAlgorithm] = split(key);
  if (algorithm === undefined || keyAlgorithm === undefined) return "unsupported";
  if (algorithm !== keyAlgorithm) return "bad";
  const object = keyOf(key);
  if (!object || !/^(?:[0-9a-f]{2})+$/.test(signed)) return "bad";
  const hash = algorithm === "ed25519" ? null : algorithm === "p256" ? "sha256" : "sha384";
  try {
    return verify(hash, Buffer.from(text, "utf8"), object, Buffer.from(signed, "hex")) ? "good" : "bad";
  } catch {
    return "bad";
  }
}

/** A key as PEM (SubjectPublicKeyInfo). Throws TypeError for what is none. */
export function publicPem(key: string): string {
  const object = keyOf(key);
  if (!object) {
    throw new TypeError(`Cannot write ${JSON.stringify(key)} as PEM: it is no key that is known here`);
  }
  return String(object.export({ type: "spki", format: "pem" }));
}

function split(text: string): readonly [algorithm: keyof typeof SPKI | undefined, hex: string] {
  const [, prefix, rest] = /^(?:([a-z][a-z0-9_-]*):)?(?:0x)?([^]*)$/.exec(text)!;
  if (prefix === undefined) return ["ed25519", rest!];
  return [prefix === "p256" || prefix === "p384" ? prefix : undefined, rest!];
}

function keyOf(text: string): KeyObject | undefined {
  if (!keys.has(text)) {
    if (keys.size > 10_000) keys.clear();
    keys.set(text, importKey(text));
  }
  return keys.get(text);
}

function importKey(text: string): KeyObject | undefined {
  const [algorithm, raw] = split(text);
  if (!algorithm || !/^[0-9a-f]+$/.test(raw) || raw.length !== LENGTH[algorithm] * 2) return undefined;
  try {
    return createPublicKey({ key: Buffer.from(SPKI[algorithm] + raw, "hex"), format: "der", type: "spki" });
  } catch {
    return undefined;
  }
}
