/**
 * The secret key file of minisign, with or without a passphrase.
 *
 * @module
 */
import { createPrivateKey, type KeyObject, scrypt } from "node:crypto";
import { KeyError } from "../errors.ts";
import { askSecret } from "../secrets.ts";

/** An opened key. */
export interface SecretKey {
  /** 8 bytes, hexadecimal. */
  readonly id: string;
  /** Ed25519. */
  readonly key: KeyObject;
}

/** Where it comes from. */
export interface MinisignSecrets {
  /** Gives the file's text. */
  readonly secretKey?: (() => string | Promise<string>) | undefined;
  /** Gives the passphrase. */
  readonly passphrase?: (() => string | Promise<string>) | undefined;
}

/** Bytes of the file: two algorithms and a checksum's, salt, two limits; then key id, key and checksum, which are encrypted. */
const HEAD = 6;
const SALT = 32;
const LENGTH = HEAD + SALT + 16 + 104;
/** PKCS #8 of an Ed25519 key, up to its 32 bytes of seed. */
const PKCS8 = Uint8Array.fromHex("302e020100300506032b657004220420");

/** Opens the secret key whose id is `id`. Throws {@linkcode KeyError}. */
export async function openSecretKey(secrets: MinisignSecrets, id: string): Promise<SecretKey> {
  if (!secrets.secretKey) throw new KeyError('Cannot sign: no minisign secret key is given ("secretKey")');
  const bytes = read(await askSecret(secrets.secretKey, "the minisign secret key"));
  const kdf = String.fromCharCode(...bytes.subarray(2, 4));
  const secret = bytes.slice(HEAD + SALT + 16);
  if (kdf === "Sc") {
    if (!secrets.passphrase) {
      throw new KeyError('Cannot open the minisign secret key: it has a passphrase. Give it ("passphrase")');
    }
    const passphrase = await askSecret(secrets.passphrase, "the passphrase of the minisign secret key");
    const mask = await derive(passphrase, bytes);
    mask.forEach((byte, i) => secret[i]! ^= byte);
  } else if (kdf !== "\0\0") throw malformed("it is encrypted in a way that is not known");
  const { blake2b } = await import("@noble/hashes/blake2.js");
  const sum = blake2b(new Uint8Array([...bytes.subarray(0, 2), ...secret.subarray(0, 72)]), { dkLen: 32 });
  // minisign writes no checksum into a key without a passphrase.
  const stated = secret.subarray(72);
  const none = kdf !== "Sc" && stated.every((byte) => byte === 0);
  if (!none && !sum.every((byte, i) => byte === stated[i])) {
    throw new KeyError(
      kdf === "Sc"
        ? "Cannot open the minisign secret key: the passphrase does not fit. Check it, and run again"
        : "Cannot open the minisign secret key: it is damaged. Copy it again, whole",
    );
  }
  const found = secret.slice(0, 8).toHex();
  if (found !== id) {
    throw new KeyError(
      "Cannot sign: the minisign secret key given does not belong to the public key of the plan. Give the pair",
    );
  }
  const key = createPrivateKey({
    key: Buffer.from([...PKCS8, ...secret.subarray(8, 40)]),
    format: "der",
    type: "pkcs8",
  });
  return { id: found, key };
}

function read(text: string): Uint8Array {
  const line = String(text).trim().split(/\r?\n/).at(-1)!.trim();
  let bytes: Uint8Array;
  try {
    bytes = Uint8Array.fromBase64(line);
  } catch {
    throw malformed("its last line is not base64");
  }
  const algorithms = String.fromCharCode(...bytes.subarray(0, 2), ...bytes.subarray(4, 6));
  if (bytes.length !== LENGTH || algorithms !== "EdB2") throw malformed("it is not a minisign secret key");
  return bytes;
}

function malformed(why: string): KeyError {
  return new KeyError(
    `Cannot open the minisign secret key: ${why}. Give the text of the file that "minisign -G" wrote`,
  );
}

/** libsodium's crypto_pwhash_scryptsalsa208sha256: its two limits become scrypt's parameters as pickparams() does it. */
async function derive(passphrase: string, bytes: Uint8Array): Promise<Uint8Array> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const operations = Math.max(Number(view.getBigUint64(HEAD + SALT, true)), 32768);
  const memory = Number(view.getBigUint64(HEAD + SALT + 8, true));
  const r = 8;
  const bound = operations < memory / 32 ? operations / (r * 4) : memory / (r * 128);
  const logN = Math.max(1, Math.floor(Math.log2(bound)));
  const N = 2 ** logN;
  const p = operations < memory / 32
    ? 1
    : Math.max(1, Math.floor(Math.min(operations / 4 / N, 0x3fffffff) / r));
  if (128 * N * r > 2 ** 30 || p > 64) throw malformed("it asks for more than 1 GiB of memory");
  const cost = { N, r, p, maxmem: 128 * N * r + 2 ** 24 };
  return await new Promise((resolve, reject) => {
    const salt = bytes.slice(HEAD, HEAD + SALT);
    scrypt(passphrase, salt, 104, cost, (error, key) => error ? reject(error) : resolve(new Uint8Array(key)));
  });
}
