/**
 * Checks detached OpenPGP signatures over a stream against certificates that the operator pinned.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type * as Library from "openpgp";
import { IntegrityError, messageOf } from "../errors.ts";
import type { U8 } from "../stage.ts";
import { type Certificate, loadLibrary } from "./keys.ts";
import { dearmor } from "./packets.ts";
import { HASHES } from "./signature.ts";

/** A signature waiting for the bytes it is about. */
export interface SignatureCheck {
  /** Fingerprint of the certificate whose key made it. */
  readonly identity: string;
  /** When it says it was made. */
  readonly created: Date;
  /** Takes the next bytes. */
  readonly add: (chunk: Uint8Array) => void;
  /** Throws {@linkcode IntegrityError} unless the signature fits all of them. */
  readonly end: () => Promise<void>;
}

/** The part of the library's signature packet that is used here, and is not in its types. */
interface Packet {
  readonly signatureType: number;
  readonly hashAlgorithm: number;
  readonly created: Date;
  readonly issuerKeyID: { readonly toHex: () => string };
  readonly salt: Uint8Array | null;
  readonly signatureData: Uint8Array;
  hashed?: Promise<Uint8Array>;
  toSign: () => Uint8Array;
  readonly toHash: (type: number, data: unknown, detached?: boolean) => Uint8Array;
  readonly verify: (
    key: unknown,
    type: number,
    data: unknown,
    date: Date,
    detached: boolean,
  ) => Promise<void>;
}

interface Known {
  readonly fingerprint: string;
  readonly keyIds: readonly string[];
  readonly key: Promise<Library.PublicKey>;
}

const parsed = new WeakMap<Certificate, Known>();
const DAY_MS = 24 * 60 * 60 * 1000;

/**
 * Reads a detached signature, armored or binary, of the object called `name`. Of several signatures in it, one by a trusted
 * certificate is looked for, valid when it was made. Throws {@linkcode IntegrityError} when there is none.
 */
export async function checkSignature(
  signature: U8,
  name: string,
  certificates: readonly Certificate[],
): Promise<SignatureCheck> {
  const packets = await read(signature, name);
  const issuers: string[] = [];
  for (const packet of packets) {
    const issuer = packet.issuerKeyID.toHex().toUpperCase();
    issuers.push(issuer);
    const known = certificates.map(know).find(({ keyIds }) => keyIds.includes(issuer));
    if (known) return await checkBy(packet, known, issuer, name);
  }
  throw new IntegrityError(
    `Cannot trust "${name}": it is signed by the OpenPGP key ${
      issuers.join(", ")
    }, which is none of the trusted ones (${
      certificates.map(({ fingerprint }) => fingerprint).join(", ")
    }). Someone else has signed it; restore another backup, or add that certificate if you know whose it is`,
  );
}

async function read(signature: U8, name: string): Promise<Packet[]> {
  const { readSignature } = await loadLibrary();
  try {
    const { packets } = await readSignature({ binarySignature: dearmor(signature).bytes });
    if (packets.length === 0) throw new SyntaxError("it is empty");
    return [...packets] as unknown as Packet[];
  } catch (cause) {
    throw new IntegrityError(
      `Cannot read the OpenPGP signature of "${name}": ${
        messageOf(cause)
      }. Copy it back, or restore another backup`,
      { cause },
    );
  }
}

function know(certificate: Certificate): Known {
  let known = parsed.get(certificate);
  if (!known) {
    const { fingerprint, keyIds, bytes } = certificate;
    const key = loadLibrary().then(({ readKey }) => readKey({ binaryKey: bytes }));
    parsed.set(certificate, known = { fingerprint, keyIds, key });
  }
  return known;
}

async function checkBy(packet: Packet, known: Known, issuer: string, name: string): Promise<SignatureCheck> {
  const algorithm = HASHES[packet.hashAlgorithm];
  const refused = packet.signatureType !== 0
    ? "it is not about binary data"
    : algorithm === undefined
    ? `its digest (algorithm ${packet.hashAlgorithm}) is too weak or not known`
    : packet.created.getTime() > Date.now() + DAY_MS
    ? `it says it was made in the future (${packet.created.toISOString()})`
    : undefined;
  if (refused !== undefined) {
    throw new IntegrityError(`Cannot accept the OpenPGP signature of "${name}": ${refused}`);
  }
  const keyPacket = await signingKey(packet, known, issuer, name);
  const hash = createHash(algorithm!);
  if (packet.salt) hash.update(packet.salt);
  return {
    identity: known.fingerprint,
    created: packet.created,
    add: (chunk) => void hash.update(chunk),
    end: async () => {
      packet.toSign = () => new Uint8Array();
      hash.update(packet.toHash(0, null, true).subarray(packet.salt?.length ?? 0));
      packet.hashed = Promise.resolve(new Uint8Array(hash.digest()));
      try {
        await packet.verify(keyPacket, 0, null, packet.created, true);
      } catch (cause) {
        throw new IntegrityError(
          `Cannot trust "${name}": its OpenPGP signature is wrong (${
            messageOf(cause)
          }). It has been damaged or changed ` +
            "since it was signed; restore another backup, and find out why",
          { cause },
        );
      }
    },
  };
}

/**
 * The key that made a signature, if it was good for that at that time. A certificate exported after a change holds only its newest
 * self-signature, which did not exist then: a key that is good today and existed then is accepted as well.
 */
async function signingKey(packet: Packet, known: Known, issuer: string, name: string): Promise<unknown> {
  const key = await known.key;
  const all = key.getKeys();
  const part = all.find((part) => part.getKeyID().toHex().toUpperCase() === issuer)!;
  const keyId = part.getKeyID();
  try {
    return (await key.getSigningKey(keyId, packet.created)).keyPacket;
  } catch (cause) {
    if (part.getCreationTime() <= packet.created) {
      const today = await key.getSigningKey(keyId).catch(() => undefined);
      if (today) return today.keyPacket;
    }
    throw new IntegrityError(
      `Cannot accept the OpenPGP signature of "${name}": the key ${issuer} of ${known.fingerprint} was not good for signing on ${
        packet.created.toISOString().slice(0, 10)
      } (${messageOf(cause)}). Restore a backup signed by a key that was`,
      { cause },
    );
  }
}
