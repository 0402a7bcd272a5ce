/**
 * Recipients and identities: the texts people handle. An identity is a secret: no message repeats one, and no error of the
 * library is kept as a cause here, because its text may.
 *
 * @module
 */
import { KeyError } from "../errors.ts";
import { decodeBech32 } from "./bech32.ts";
import { decodeRecipient, recipientOfX25519 } from "./x25519.ts";

/** What a backup is encrypted with. "hybrid" is ML-KEM-768 with X25519, which holds against quantum computers. */
export type RecipientKind = "x25519" | "hybrid" | "passphrase";

/** A new key pair. */
export interface KeyPair {
  /** The secret half, `AGE-SECRET-KEY-1...` or `AGE-SECRET-KEY-PQ-1...`: keep it off the host that backs up. */
  readonly identity: string;
  /** The public half, `age1...` or `age1pq1...`. */
  readonly recipient: string;
}

/** Most recipients of one backup; keeps a header of hybrid ones within one chunk of 1 MiB. */
const MOST = 500;

/** Makes a key pair; `age-keygen` makes the same (since 1.3 also hybrid ones, with `-pq`). Default: "x25519". */
export async function generateIdentity(kind: "x25519" | "hybrid" = "x25519"): Promise<KeyPair> {
  if (kind !== "x25519" && kind !== "hybrid") {
    throw new TypeError(`Cannot make an identity of kind "${kind}": use "x25519" or "hybrid"`);
  }
  const { generateHybridIdentity, generateX25519Identity, identityToRecipient } = await import(
    "age-encryption"
  );
  const identity = await (kind === "hybrid" ? generateHybridIdentity() : generateX25519Identity());
  return { identity, recipient: await identityToRecipient(identity) };
}

/** The recipient that belongs to an identity. Throws {@linkcode KeyError}, without its text, when it is not one. */
export async function recipientOf(identity: string): Promise<string> {
  const [only, ...rest] = parseIdentities([identity], "the identity");
  if (only === undefined || rest.length > 0) {
    throw new KeyError("Cannot tell the recipient: give the text of exactly one identity");
  }
  return await toRecipient(only) ??
    fail("Cannot tell the recipient: the identity is damaged. Copy it again, whole");
}

/** Checks a list of recipients, and gives their one kind. Throws TypeError or RangeError. */
export function checkRecipients(recipients: readonly string[]): "x25519" | "hybrid" {
  if (recipients.length === 0) {
    throw new TypeError(
      'Cannot encrypt with age: the list of recipients is empty. Give at least one "age1..."',
    );
  }
  if (recipients.length > MOST) {
    throw new RangeError(`Cannot encrypt with age: ${recipients.length} recipients are more than ${MOST}`);
  }
  const kinds = recipients.map((recipient, i) => kindOf(recipient, i + 1));
  recipients.forEach((recipient, i) => {
    const first = recipients.indexOf(recipient);
    if (first < i) {
      throw new TypeError(
        `Cannot encrypt with age: recipient ${i + 1} ("${brief(recipient)}") is the same as recipient ${
          first + 1
        }`,
      );
    }
  });
  const odd = kinds.findIndex((kind) => kind !== kinds[0]);
  if (odd > 0) {
    throw new TypeError(
      `Cannot encrypt with age: recipient 1 is ${kinds[0]} and recipient ${odd + 1} is ${kinds[odd]}. ` +
        'Use only "age1pq1..." or none: one classic recipient undoes what the hybrid ones protect from',
    );
  }
  return kinds[0]!;
}

function kindOf(recipient: string, position: number): "x25519" | "hybrid" {
  const cannot = `Cannot encrypt with age: recipient ${position}`;
  if (typeof recipient !== "string") throw new TypeError(`${cannot} is not a text`);
  if (/AGE-SECRET-KEY-/i.test(recipient)) {
    throw new TypeError(
      `${cannot} is a secret identity. Give its public half, as "age-keygen -y" prints it, and keep the identity off this host`,
    );
  }
  if (/^(?:ssh-|ecdsa-|sk-)/.test(recipient)) {
    throw new TypeError(
      `${cannot} is an SSH key, which is not supported. Make an age identity with "age-keygen" and give its "age1..." line`,
    );
  }
  // Only what starts like a recipient is shown: anything else may be a secret that went astray.
  if (!recipient.startsWith("age1")) throw new TypeError(`${cannot} does not start with "age1"`);
  if (/^age1[a-z0-9-]+1/.test(recipient) && !recipient.startsWith("age1pq1")) {
    throw new TypeError(
      `${cannot} ("${
        brief(recipient)
      }") belongs to a plugin, whose backups could not be restored here. Give an "age1..." or "age1pq1..." made by "age-keygen"`,
    );
  }
  const hybrid = recipient.startsWith("age1pq1");
  if (!(hybrid ? isHybrid(recipient) : decodeRecipient(recipient))) {
    throw new TypeError(
      `${cannot} ("${brief(recipient)}") is malformed. Copy it again, whole and without spaces`,
    );
  }
  return hybrid ? "hybrid" : "x25519";
}

/** Bytes of a hybrid recipient: 1184 for ML-KEM-768 and 32 for X25519. */
const HYBRID_BYTES = 1216;

function isHybrid(recipient: string): boolean {
  const decoded = decodeBech32(recipient);
  return decoded?.prefix === "age1pq" && decoded.bytes.length === HYBRID_BYTES;
}

/** A recipient for messages: a hybrid one is 2,000 characters long. */
export function brief(recipient: string): string {
  return recipient.length <= 62 ? recipient : `${recipient.slice(0, 24)}...`;
}

/**
 * The identities in texts that may be whole key files: one a line, `#` comments and blank lines allowed, each once. Throws
 * {@linkcode KeyError} that says which line is none, without its text.
 */
export function parseIdentities(texts: readonly string[], source: string): readonly string[] {
  const found = new Set<string>();
  for (const text of texts) {
    if (typeof text !== "string") throw new KeyError(`Cannot read ${source}: it is not a text`);
    refuse(text, source);
    text.split(/\r?\n/).forEach((raw, i) => {
      const line = raw.trim();
      if (line === "" || line.startsWith("#")) return;
      if (!/^AGE-SECRET-KEY-(?:PQ-)?1[0-9A-Z]+$/.test(line)) {
        const what = line.startsWith("age1") ? "a public recipient" : "not an age identity";
        throw new KeyError(
          `Cannot read ${source}: line ${i + 1} is ${what}. Give lines that start with AGE-SECRET-KEY-`,
        );
      }
      found.add(line);
    });
  }
  return [...found];
}

function refuse(text: string, source: string): void {
  if (/^\s*(?:-----BEGIN AGE ENCRYPTED FILE-----|age-encryption\.org\/v1)/.test(text)) {
    throw new KeyError(
      `Cannot read ${source}: it is itself encrypted. Decrypt it first: age -d KEY.age > KEY, in a folder only you can read`,
    );
  }
  if (/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text)) {
    throw new KeyError(
      `Cannot read ${source}: it is an SSH or PEM key, which is not supported. The age command can use SSH keys: age -d -i KEY FILE`,
    );
  }
}

/** The recipient of an identity, or undefined when the identity is damaged. */
export async function toRecipient(identity: string): Promise<string | undefined> {
  if (identity.startsWith("AGE-SECRET-KEY-1")) return recipientOfX25519(identity);
  try {
    const { identityToRecipient } = await import("age-encryption");
    return await identityToRecipient(identity);
  } catch {
    return undefined;
  }
}

function fail(message: string): never {
  throw new KeyError(message);
}
