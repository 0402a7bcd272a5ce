/**
 * OpenPGP certificates and secret keys, as the stages that use them are given them.
 *
 * @module
 */
import type * as Library from "openpgp";
import { KeyError, messageOf } from "../errors.ts";
import { askSecret } from "../secrets.ts";
import type { U8 } from "../stage.ts";
import { dearmor, fingerprintOf, keyIdOf, readPackets } from "./packets.ts";

/** A certificate (public key) or several: armored text, or binary. */
export type KeyData = string | Uint8Array;

/** A certificate that was looked at, not yet checked. */
export interface Certificate {
  /** Fingerprint of its primary key, upper-case hexadecimal. */
  readonly fingerprint: string;
  /** Key ids of its primary key and subkeys, 16 hexadecimal digits each. */
  readonly keyIds: readonly string[];
  /** It alone, binary. */
  readonly bytes: U8;
}

const SECRET_KEY = 5;
const PUBLIC_KEY = 6;
const SECRET_SUBKEY = 7;
const PUBLIC_SUBKEY = 14;

/** The certificates in armored or binary data. Throws TypeError, naming `what`, unless there is at least one and no secret. */
export function certificatesIn(data: KeyData, what: string): readonly Certificate[] {
  if (typeof data !== "string" && !(data instanceof Uint8Array)) {
    throw new TypeError(`Cannot use ${what}: it must be an OpenPGP certificate, as text or bytes`);
  }
  try {
    const { bytes } = dearmor(data);
    const packets = readPackets(bytes);
    if (packets.some(({ tag }) => tag === SECRET_KEY || tag === SECRET_SUBKEY)) {
      throw new SyntaxError(
        'it holds a secret key. Give the public half, as "gpg --export" prints it, and keep the secret where it is needed',
      );
    }
    const starts = packets.flatMap(({ tag }, i) => tag === PUBLIC_KEY ? [i] : []);
    if (starts[0] !== 0) throw new SyntaxError("it does not start with a public key");
    return starts.map((start, i) => {
      const own = packets.slice(start, starts[i + 1]);
      const keys = own.filter(({ tag }) => tag === PUBLIC_KEY || tag === PUBLIC_SUBKEY);
      const fingerprints = keys.map(({ body }) => fingerprintOf(body));
      const from = start === 0 ? 0 : packets[start - 1]!.end;
      return {
        fingerprint: fingerprints[0]!,
        keyIds: fingerprints.map(keyIdOf),
        bytes: bytes.slice(from, own.at(-1)!.end),
      };
    });
  } catch (cause) {
    throw new TypeError(`Cannot use ${what} as an OpenPGP certificate: ${messageOf(cause)}`, { cause });
  }
}

let library: Promise<typeof Library> | undefined;

/** The library, loaded when the first stage needs it. */
export function loadLibrary(): Promise<typeof Library> {
  return library ??= import("openpgp");
}

/** Gives armored or binary secret keys: one text, one array of bytes, or several. */
export type SecretKeys = KeyData | readonly KeyData[];

/** Where OpenPGP secrets come from. Each is called when it is needed, and not before. */
export interface OpenpgpSecrets {
  /** Gives the secret keys, as `gpg --export-secret-keys` or `sq key generate` write them. */
  readonly secretKey?: (() => SecretKeys | Promise<SecretKeys>) | undefined;
  /** Gives the passphrase of secret keys that have one. */
  readonly passphrase?: (() => string | Promise<string>) | undefined;
}

/**
 * Reads and unlocks secret keys, of several those whose passphrase fits. Where `keyIds` (16 hexadecimal digits, upper case) are given,
 * only what has one of them: nobody is asked for the passphrase of a key that is of no use. Throws {@linkcode KeyError}.
 */
export async function openSecretKeys(
  secrets: OpenpgpSecrets,
  what: string,
  keyIds?: readonly string[],
): Promise<readonly Library.PrivateKey[]> {
  if (!secrets.secretKey) throw new KeyError(`Cannot ${what}: no OpenPGP secret key is given ("secretKey")`);
  const given = await askSecret(secrets.secretKey, "the OpenPGP secret key");
  const { readPrivateKeys, decryptKey } = await loadLibrary();
  const keys: Library.PrivateKey[] = [];
  for (const data of Array.isArray(given) ? given as KeyData[] : [given as KeyData]) {
    try {
      keys.push(...await readPrivateKeys({ binaryKeys: dearmor(data).bytes }));
    } catch (cause) {
      // The library's text is left out: it may quote what it was given.
      const why = cause instanceof SyntaxError ? messageOf(cause) : "it holds no OpenPGP secret key";
      throw new KeyError(`Cannot read the OpenPGP secret key: ${why}`);
    }
  }
  if (keys.length === 0) throw new KeyError("Cannot read the OpenPGP secret key: it holds none");
  const fitting = keyIds === undefined ? keys : keys.filter((key) => hasKeyId(key, keyIds));
  const locked = (key: Library.PrivateKey): boolean => key.getKeys().some((part) => !isOpen(part));
  if (!fitting.some(locked) || !secrets.passphrase) return fitting;
  const passphrase = await askSecret(secrets.passphrase, "the passphrase of the OpenPGP secret key");
  const opened = await Promise.all(
    fitting.map((privateKey) =>
      locked(privateKey) ? decryptKey({ privateKey, passphrase }).catch(() => undefined) : privateKey
    ),
  );
  const usable = opened.filter((key) => key !== undefined);
  if (usable.length === 0) {
    throw new KeyError(
      "Cannot unlock the OpenPGP secret key: the passphrase does not fit. Check it, and run again",
    );
  }
  return usable;
}

function hasKeyId(key: Library.PrivateKey, keyIds: readonly string[]): boolean {
  return key.getKeyIDs().some((id) => keyIds.includes(id.toHex().toUpperCase()));
}

/** Whether a key or subkey is not locked. A dummy (an off-line primary key) has nothing to lock. */
export function isOpen(part: { readonly keyPacket: unknown }): boolean {
  const packet = part.keyPacket as { isDecrypted?: () => boolean | null; isDummy?: () => boolean };
  return packet.isDummy?.() === true || packet.isDecrypted?.() !== false;
}
