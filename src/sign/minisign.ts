/**
 * Detached minisign signatures (https://jedisct1.github.io/minisign/): Ed25519 over BLAKE2b-512. `minisign -V` accepts ours, and
 * those of `minisign -S` are accepted here.
 *
 * @module
 */
import {
  createHash,
  createPublicKey,
  type KeyObject,
  sign as signWith,
  verify as verifyWith,
} from "node:crypto";
import { utf8 } from "../bytes.ts";
import { IntegrityError } from "../errors.ts";
import { checkFunctions } from "../secrets.ts";
import type { SealCheck, Sealed, Signature, Stage, U8 } from "../stage.ts";
import { detached } from "./detached.ts";
import { openSecretKey, type SecretKey } from "./minisign_key.ts";

const NAME = "minisign";
const PREHASHED = "ED";

/** Options of {@linkcode minisign}. */
export interface MinisignOptions {
  /** The public key of who signs: the "RW..." line, or the whole text of the key file. Recorded in the receipt. */
  readonly publicKey: string;
  /** Public keys whose signatures are accepted as well: older keys, for backups made before a rotation. */
  readonly trusted?: readonly string[] | undefined;
  /** Gives the text of the secret key's file. Asked for only to back up. */
  readonly secretKey?: (() => string | Promise<string>) | undefined;
  /** Gives the secret key's passphrase, where it has one. */
  readonly passphrase?: (() => string | Promise<string>) | undefined;
}

interface PublicKey {
  /** The base64 line. */
  readonly text: string;
  /** 8 bytes, hexadecimal. */
  readonly id: string;
  readonly key: KeyObject;
}

/**
 * Signs the stored bytes and every receipt with a minisign key. The secret key is opened before the first byte is read (a passphrase
 * takes 1 GiB of memory for a second or two, as in minisign itself). `undo` demands both signatures by one of the keys given here:
 * {@linkcode IntegrityError} when one is missing, malformed, by another key, about another file, or wrong. Data without a receipt
 * (a foreign file) passes. Throws TypeError when made with wrong options.
 */
export function minisign(options: MinisignOptions): Stage<Sealed, Sealed> {
  const { secretKey, passphrase } = options;
  checkFunctions({ secretKey, passphrase });
  const own = readPublicKey(options.publicKey, '"publicKey"');
  const trusted = [
    own,
    ...(options.trusted ?? []).map((text, i) => readPublicKey(text, `"trusted" number ${i + 1}`)),
  ];
  let opened: Promise<SecretKey> | undefined;
  return detached({
    tool: NAME,
    suffix: ".minisig",
    identity: own.text,
    begin: async (name) => begin(await (opened ??= openSecretKey({ secretKey, passphrase }, own.id)), name),
    check: (signature, name) => Promise.resolve().then(() => check(signature, name, trusted)),
  });
}

function readPublicKey(text: string, what: string): PublicKey {
  if (typeof text !== "string") {
    throw new TypeError(`Cannot use ${what}: it must be a text, the "RW..." line`);
  }
  const line = text.trim().split(/\r?\n/).at(-1)!.trim();
  const bytes = fromBase64(line, 42);
  if (!bytes || ascii(bytes, 0, 2) !== "Ed") {
    throw new TypeError(
      `Cannot use ${what}: it is not a minisign public key. Give the line that starts with "RW" in the .pub file`,
    );
  }
  const x = bytes.subarray(10).toBase64({ alphabet: "base64url", omitPadding: true });
  const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
  return { text: line, id: bytes.subarray(2, 10).toHex(), key };
}

function begin(secret: SecretKey, name: string): Signature {
  const hash = createHash("blake2b512");
  return {
    add: (chunk) => void hash.update(chunk),
    end: () => {
      const signature = new Uint8Array(signWith(null, new Uint8Array(hash.digest()), secret.key));
      const comment = `timestamp:${Math.floor(Date.now() / 1000)}\tfile:${name}\thashed`;
      const global = new Uint8Array(signWith(null, joined(signature, utf8(comment)), secret.key));
      const packet = joined(utf8(PREHASHED), Uint8Array.fromHex(secret.id), signature);
      return Promise.resolve(utf8(
        `untrusted comment: signature from Holdfast\n${packet.toBase64()}\ntrusted comment: ${comment}\n${global.toBase64()}\n`,
      ));
    },
  };
}

/** Reads a signature, finds its key, and checks all of it that does not need the data. */
function check(signature: U8, name: string, trusted: readonly PublicKey[]): SealCheck {
  const { algorithm, id, bytes, comment, global } = parse(signature, name);
  const by = trusted.find((key) => key.id === id);
  if (!by) {
    throw new IntegrityError(
      `Cannot trust "${name}": it is signed by the minisign key ${
        printId(id)
      }, which is none of the trusted ones (${
        trusted.map((key) => printId(key.id)).join(", ")
      }). Someone else has signed it; restore another backup, or add that key if you know whose it is`,
    );
  }
  if (algorithm !== PREHASHED) {
    throw new IntegrityError(
      `Cannot accept the minisign signature of "${name}": it is of the old kind without a hash. Sign again with minisign 0.10 or later`,
    );
  }
  if (!verifyWith(null, joined(bytes, utf8(comment)), by.key, global)) {
    throw wrong(name, "its trusted comment was changed");
  }
  const file = /(?:^|\t)file:([^\t]*)/.exec(comment)?.[1];
  if (file !== undefined && file !== name) {
    throw new IntegrityError(
      `Cannot trust "${name}": its minisign signature was made for another file. Files have been swapped or renamed; restore ` +
        "another backup, and find out who did it",
    );
  }
  const hash = createHash("blake2b512");
  return {
    identity: by.text,
    add: (chunk) => void hash.update(chunk),
    end: () =>
      verifyWith(null, new Uint8Array(hash.digest()), by.key, bytes)
        ? Promise.resolve()
        : Promise.reject(wrong(name, "the file, or the signature, was damaged or changed")),
  };
}

interface Parsed {
  readonly algorithm: string;
  readonly id: string;
  readonly bytes: U8;
  readonly comment: string;
  readonly global: U8;
}

function parse(signature: U8, name: string): Parsed {
  const text = new TextDecoder().decode(signature);
  const lines = /^untrusted comment: [^\n]*\n([^\n]+)\ntrusted comment: ([^\n]*)\n([^\n]+)\n?$/.exec(
    text.replaceAll("\r\n", "\n"),
  );
  const packet = lines && fromBase64(lines[1]!, 74);
  const global = lines && fromBase64(lines[3]!, 64);
  if (!lines || !packet || !global) {
    throw new IntegrityError(
      `Cannot read the minisign signature of "${name}": it is malformed. Copy it back, or restore another backup`,
    );
  }
  return {
    algorithm: ascii(packet, 0, 2),
    id: packet.subarray(2, 10).toHex(),
    bytes: packet.slice(10),
    comment: lines[2]!,
    global,
  };
}

function wrong(name: string, why: string): IntegrityError {
  return new IntegrityError(
    `Cannot trust "${name}": its minisign signature is wrong, ${why}. Restore another backup, and find out why`,
  );
}

function fromBase64(text: string, length: number): U8 | undefined {
  try {
    const bytes = Uint8Array.fromBase64(text);
    return bytes.length === length ? bytes : undefined;
  } catch {
    return undefined;
  }
}

function ascii(bytes: Uint8Array, start: number, end: number): string {
  return String.fromCharCode(...bytes.subarray(start, end));
}

function joined(...parts: Uint8Array[]): U8 {
  return new Uint8Array(Buffer.concat(parts));
}

/** A key's id as minisign prints it. */
function printId(id: string): string {
  return Uint8Array.fromHex(id).reverse().toHex().toUpperCase();
}
