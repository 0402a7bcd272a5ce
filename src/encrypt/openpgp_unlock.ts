/**
 * The session key of an OpenPGP message: which secret key it takes, and what to say where that is missing.
 *
 * @module
 */
import { KeyError, messageOf } from "../errors.ts";
import { isOpen, loadLibrary, type OpenpgpSecrets, openSecretKeys } from "../openpgp/keys.ts";
import { readPackets } from "../openpgp/packets.ts";
import type { U8 } from "../stage.ts";
import { damaged, type MessageStart, type SessionKey } from "./openpgp_open.ts";

const PASS = 'Pass its secret key (--identity FILE), as "gpg --export-secret-keys" writes it';

/** Gives the session key of a message, asking for the secret it needs. */
export type Unlock = (start: MessageStart, what: string) => Promise<SessionKey>;

/** Whose key it is was hidden. */
const HIDDEN = "0".repeat(16);

/** Finds the session key of a message's start; asks for secret key and passphrase once each. Throws {@linkcode KeyError}. */
export function unlocker(given: OpenpgpSecrets): Unlock {
  const known = new Map<string, SessionKey>();
  const secrets: OpenpgpSecrets = { secretKey: once(given.secretKey), passphrase: once(given.passphrase) };
  return async ({ packets }, what) => {
    const id = packets.toHex();
    const before = known.get(id);
    if (before) return before;
    const ids = keyIdsOf(packets);
    const needs = `It is encrypted to the OpenPGP key ${ids.join(", ") || "of nobody (a passphrase)"}`;
    if (!secrets.secretKey) {
      throw new KeyError(
        `Cannot decrypt ${what}: no OpenPGP secret key is given. ${needs}. ${PASS}`,
      );
    }
    const fitting = await openSecretKeys(secrets, `decrypt ${what}`, ids.includes(HIDDEN) ? undefined : ids);
    const usable = fitting.filter((key) => key.getKeys().some((part) => isOpen(part)));
    const found = await sessionKeyFor(packets, usable, what);
    if (!found) {
      const locked = fitting.length > usable.length ||
        fitting.some((key) => key.getKeys().some((part) => !isOpen(part)));
      throw new KeyError(
        `Cannot decrypt ${what}: ${
          locked ? "the secret key is locked, or does not fit" : "no secret key given fits"
        }. ${needs}` +
          (locked ? '. Give its passphrase ("passphrase")' : `. ${PASS}`),
      );
    }
    known.set(id, found);
    return found;
  };
}

/** A secret's function that is called once, whatever comes of it. */
function once<T>(secret: (() => T | Promise<T>) | undefined): (() => Promise<T>) | undefined {
  let answer: Promise<T> | undefined;
  return secret && (() => answer ??= Promise.resolve().then(secret));
}

/** Undefined when no key fits. */
async function sessionKeyFor(
  packets: U8,
  decryptionKeys: Awaited<ReturnType<typeof openSecretKeys>>,
  what: string,
): Promise<SessionKey | undefined> {
  if (decryptionKeys.length === 0) return undefined;
  const { readMessage, decryptSessionKeys } = await loadLibrary();
  const message = await readMessage({ binaryMessage: packets }).catch((cause) => {
    throw damaged(what, messageOf(cause), cause);
  });
  const found = await decryptSessionKeys({ message, decryptionKeys: [...decryptionKeys] }).catch(() => []);
  return found[0] && { data: found[0].data, algorithm: found[0].algorithm };
}

/** The ids of the keys that a message's start names; zeros: whose it is was hidden. */
export function keyIdsOf(packets: U8): readonly string[] {
  return readPackets(packets).flatMap(({ tag, body }) => {
    if (tag !== 1) return [];
    if (body[0] === 3) return [body.subarray(1, 9).toHex().toUpperCase()];
    const length = body[1] ?? 0; // version 6: key version and fingerprint
    const fingerprint = body.subarray(3, 2 + length).toHex().toUpperCase();
    return [body[2] === 6 ? fingerprint.slice(0, 16) : fingerprint.slice(-16)];
  });
}
