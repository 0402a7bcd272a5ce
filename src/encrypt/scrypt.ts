/**
 * Passphrases (C2SP age, "The scrypt recipient type") over the scrypt of `node:crypto`, which works off the main thread.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { createCipheriv, createDecipheriv, randomBytes, scrypt } from "node:crypto";
import type { Identity, Recipient } from "age-encryption";

const LABEL = "age-encryption.org/v1/scrypt";
const CIPHER = "chacha20-poly1305";
const TAG = 16;
const SALT = 16;
const FILE_KEY = 16;
/** Work factor that is written: 2^18, about a second and 256 MiB, the age command's own. */
const WRITE_LOG_N = 18;
/** Highest work factor that is read: 2^20, 1 GiB. The header is not trusted before the key is derived. */
const READ_LOG_N = 20;

/** Wraps the file key with a passphrase. */
export function scryptRecipient(passphrase: string): Recipient {
  return {
    wrapFileKey: async (fileKey) => {
      const salt = randomBytes(SALT);
      const key = await derive(passphrase, salt, WRITE_LOG_N);
      const cipher = createCipheriv(CIPHER, key, new Uint8Array(12), { authTagLength: TAG });
      const body = Buffer.concat([cipher.update(fileKey), cipher.final(), cipher.getAuthTag()]);
      const args = ["scrypt", unpadded(salt), String(WRITE_LOG_N)];
      return [{ args, body: new Uint8Array(body) }];
    },
  };
}

/** Unwraps a file key with a passphrase. Throws when the stanza is not well formed or asks for more than 2^20. */
export function scryptIdentity(passphrase: string): Identity {
  return {
    unwrapFileKey: async (stanzas) => {
      const stanza = stanzas.find(({ args }) => args[0] === "scrypt");
      if (!stanza) return null;
      const [, saltText = "", factor = ""] = stanza.args;
      const salt = Buffer.from(saltText, "base64");
      if (stanza.args.length !== 3 || salt.length !== SALT || unpadded(salt) !== saltText) {
        throw new Error("Invalid scrypt stanza");
      }
      if (!/^[1-9][0-9]{0,9}$/.test(factor)) throw new Error("Invalid scrypt work factor");
      if (Number(factor) > READ_LOG_N) {
        throw new Error(`The scrypt work factor is 2^${factor}, the highest that is read is 2^${READ_LOG_N}`);
      }
      if (stanza.body.length !== FILE_KEY + TAG) throw new Error("Invalid scrypt stanza body");
      return unwrap(stanza.body, await derive(passphrase, salt, Number(factor)));
    },
  };
}

function unwrap(body: Uint8Array, key: Uint8Array): Uint8Array | null {
  const decipher = createDecipheriv(CIPHER, key, new Uint8Array(12), { authTagLength: TAG });
  decipher.setAuthTag(body.subarray(FILE_KEY));
  const fileKey = decipher.update(body.subarray(0, FILE_KEY));
  try {
    decipher.final();
  } catch {
    return null;
  }
  return new Uint8Array(fileKey);
}

function derive(passphrase: string, salt: Uint8Array, logN: number): Promise<Uint8Array> {
  const labelled = Buffer.concat([Buffer.from(LABEL), salt]);
  const N = 2 ** logN;
  // 128 N r bytes, and a little for the rest.
  const cost = { N, r: 8, p: 1, maxmem: 128 * N * 8 + 2 ** 20 };
  return new Promise((resolve, reject) => {
    scrypt(passphrase, labelled, 32, cost, (error, key) => error ? reject(error) : resolve(key));
  });
}

function unpadded(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64").replace(/=+$/, "");
}
