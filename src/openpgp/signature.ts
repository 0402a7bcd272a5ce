/**
 * Makes detached OpenPGP signatures over a stream: hashes natively, and lets the library sign the digest.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type * as Library from "openpgp";
import { utf8 } from "../bytes.ts";
import { KeyError, messageOf } from "../errors.ts";
import type { Signature } from "../stage.ts";
import { isOpen, loadLibrary, type OpenpgpSecrets, openSecretKeys } from "./keys.ts";
import { armor as armored, writeLength } from "./packets.ts";

/** Hash algorithms that a signature may use, by OpenPGP's numbers; SHA-1 and older ones are not among them. */
export const HASHES: Readonly<Record<number, string>> = {
  8: "sha256",
  9: "sha384",
  10: "sha512",
  11: "sha224",
  12: "sha3-256",
  14: "sha3-512",
};
/** Bytes of salt that go before the data in a version 6 signature. */
const SALTS: Readonly<Record<number, number>> = { 8: 16, 9: 24, 10: 32, 12: 16, 14: 32 };
const SHA256 = 8;
const SHA512 = 10;
const ED448 = 28;

/** The part of the library's signature packet that is used here, and is not in its types. */
interface Packet {
  signatureType: number | null;
  publicKeyAlgorithm: number | null;
  hashAlgorithm: number | null;
  salt: Uint8Array | null;
  signatureData: Uint8Array | null;
  toHash: (type: number, data: unknown, detached?: boolean) => Uint8Array | undefined;
  toSign: () => Uint8Array;
  hash: () => Promise<Uint8Array>;
  sign: (key: unknown, data: unknown, date: Date, detached: boolean, config: unknown) => Promise<void>;
  write: () => Uint8Array;
}

/**
 * Opens the secret key of the certificate `fingerprint` once, when first called; gives undefined when it is not among the keys
 * given, else a function that begins a signature. Throws {@linkcode KeyError} when it is locked, expired or revoked.
 */
export function signatureOf(
  secrets: OpenpgpSecrets,
  fingerprint: string,
): () => Promise<((armor: boolean) => Signature) | undefined> {
  let opened: Promise<((armor: boolean) => Signature) | undefined> | undefined;
  async function open(): Promise<((armor: boolean) => Signature) | undefined> {
    const library = await loadLibrary();
    const keys = await openSecretKeys(secrets, "sign");
    const key = keys.find((key) => key.getFingerprint().toUpperCase() === fingerprint);
    if (!key) return undefined;
    const signing = await key.getSigningKey().catch((cause) => {
      throw new KeyError(
        `Cannot sign with the OpenPGP key ${fingerprint}: ${
          messageOf(cause)
        }. Make or extend a key that may sign`,
        { cause },
      );
    });
    if (!isOpen(signing)) {
      throw new KeyError(
        `Cannot sign with the OpenPGP key ${fingerprint}: it is locked. Give its passphrase ("passphrase")`,
      );
    }
    return (armor) => begin(library, signing.keyPacket, armor);
  }
  return () => opened ??= open();
}

function begin(library: typeof Library, keyPacket: unknown, armor: boolean): Signature {
  const key = keyPacket as { readonly version: number; readonly algorithm: number };
  const algorithm = key.algorithm === ED448 ? SHA512 : SHA256;
  const packet = new library.SignaturePacket() as unknown as Packet;
  packet.signatureType = 0;
  packet.publicKeyAlgorithm = key.algorithm;
  packet.hashAlgorithm = algorithm;
  const hash = createHash(HASHES[algorithm]!);
  if (key.version === 6) {
    packet.salt = crypto.getRandomValues(new Uint8Array(SALTS[algorithm]!));
    hash.update(packet.salt);
  }
  return {
    add: (chunk) => void hash.update(chunk),
    end: async () => {
      finishWith(packet, hash);
      await packet.sign(key, null, new Date(), true, library.config);
      const body = packet.write();
      const bytes = new Uint8Array([0xc2, ...writeLength(body.length), ...body]);
      return armor ? utf8(armored("SIGNATURE", bytes)) : bytes;
    },
  };
}

/** Makes a packet take its digest from a hash that has seen the data: only the signature's own fields are added here. */
function finishWith(packet: Packet, hash: ReturnType<typeof createHash>): void {
  const toHash = packet.toHash.bind(packet);
  const salt = packet.salt?.length ?? 0;
  let tail: Uint8Array = new Uint8Array();
  packet.toSign = () => new Uint8Array();
  packet.toHash = (type, data, detached) => {
    tail = toHash(type, data, detached)!.subarray(salt);
    return undefined; // there is no data to sign, only its digest
  };
  packet.hash = () => Promise.resolve(new Uint8Array(hash.update(tail).digest()));
}
