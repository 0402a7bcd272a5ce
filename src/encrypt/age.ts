/**
 * Encryption with age (https://age-encryption.org/v1): the host writes what only an identity kept elsewhere can read.
 *
 * @module
 */
import type { Recipient } from "age-encryption";
import { label, toBytes } from "../bytes.ts";
import { KeyError } from "../errors.ts";
import { decodeReceipt } from "../receipt.ts";
import type { Archive, Body, FactSheet, Sealed, Stage, U8 } from "../stage.ts";
import { armored } from "./armor.ts";
import { makeHeader } from "./header.ts";
import { checkRecipients, type RecipientKind } from "./keys.ts";
import { sealPayload } from "./payload.ts";
import { asArchive, nameOf } from "./plaintext.ts";
import { openRanges, startOf } from "./ranges.ts";
import { scryptRecipient } from "./scrypt.ts";
import { decrypted, inspect, notAge, type Secrets, type Unlock, unlocker } from "./unlock.ts";

const NAME = "age";
const SUFFIX = ".age";

/** Options of {@linkcode age}. Exactly one of `recipients` and `passphrase` is required. */
export interface AgeOptions extends Secrets {
  /** Public recipients, `age1...` or `age1pq1...` (hybrid, post-quantum), not mixed. Up to 500. */
  readonly recipients?: readonly string[] | undefined;
  /** Writes ASCII armor (a third larger). Reading takes both forms. Default false. */
  readonly armor?: boolean | undefined;
}

/**
 * Encrypts archive and index, each under a file key of its own, for recipients or with a passphrase; adds ".age". `age -d`
 * opens the result. A passphrase is asked for when `run` is called, and its key is derived (2^18 scrypt, 256 MiB) before the
 * first byte is read. `undo` finds out what the header needs and asks for it before anything is handed on; for that it reads
 * the start of the body and closes it again, so that a body nobody reads stays closed.
 *
 * Throws TypeError or RangeError when made with wrong options. `undo` throws {@linkcode KeyError} when no key fits, and
 * {@linkcode IntegrityError} when the data is not encrypted with age, damaged, cut, reordered or followed by anything else;
 * no byte is handed on before it is authenticated.
 *
 * @example
 * ```ts ignore
 * encrypt.age({ recipients: ["age1..."], identities: () => Deno.readTextFile("/root/app.key") })
 * ```
 */
export function age(options: AgeOptions): Stage<Archive, Sealed> {
  const kind = check(options);
  const armor = options.armor ?? false;
  const recipients = kind === "passphrase" ? ["passphrase"] : [...options.recipients!];
  return {
    name: NAME,
    verb: "encrypt",
    run: async (input) => {
      const to = kind === "passphrase" ? [scryptRecipient(await newPassphrase(options))] : recipients;
      // One after the other: a passphrase takes 256 MiB each time.
      const body = await sealed(input.body, to, armor);
      const index = input.index && await sealed(input.index, to, armor);
      return {
        kind: "sealed",
        suffix: input.suffix + SUFFIX,
        body,
        index,
        facts: () => withFacts(input.facts(), { recipients, kind, armor }),
        proof: input.proof,
        signers: [],
      };
    },
    undo: async (output) => {
      const archive = await openedAge(output, options);
      if (!archive) throw notAge(nameOf(output));
      return archive;
    },
  };
}

/** The archive in what is encrypted with age; undefined for anything else. Throws {@linkcode KeyError} without a key that fits. */
export async function openedAge(output: Sealed, secrets: Secrets): Promise<Archive | undefined> {
  const { what, unlock, encrypted } = await look(output, secrets);
  return encrypted ? opened(output, unlock, what) : undefined;
}

function check(options: AgeOptions): RecipientKind {
  const { recipients, passphrase, identities, armor } = options;
  for (const [name, value] of Object.entries({ passphrase, identities })) {
    if (value !== undefined && typeof value !== "function") {
      throw new TypeError(
        `Cannot use "${name}": it must be a function that gives the secret when it is needed`,
      );
    }
  }
  if (armor !== undefined && typeof armor !== "boolean") {
    throw new TypeError('Cannot use "armor": it must be true or false');
  }
  if (passphrase !== undefined && recipients !== undefined) {
    throw new TypeError("Cannot encrypt with age: a passphrase stands alone. Drop it, or the recipients");
  }
  if (passphrase !== undefined) return "passphrase";
  if (recipients === undefined) {
    throw new TypeError(
      "Cannot encrypt with age: there is neither a recipient nor a passphrase. Give one; to restore only, use encrypt.detect",
    );
  }
  if (!Array.isArray(recipients)) throw new TypeError('Cannot use "recipients": it must be a list of texts');
  return checkRecipients(recipients);
}

async function newPassphrase({ passphrase }: AgeOptions): Promise<string> {
  const text = await passphrase!();
  if (typeof text !== "string" || text === "") {
    throw new KeyError("Cannot encrypt with age: the passphrase is empty");
  }
  if (/[\r\n]/.test(text)) {
    throw new KeyError(
      "Cannot encrypt with age: the passphrase holds a line break, which no prompt can take. Trim what you read",
    );
  }
  return text;
}

/** An encrypted body. Its header is made now; each read draws a fresh nonce, so that reading twice is safe. */
async function sealed(body: Body, to: readonly (string | Recipient)[], armor: boolean): Promise<Body> {
  const header = await makeHeader(to);
  async function* file(): AsyncGenerator<U8, void, undefined> {
    yield header.bytes;
    yield* sealPayload(header.fileKey, body.read());
  }
  return { read: () => label(NAME, toBytes(() => armor ? armored(file()) : file())) };
}

interface Written {
  readonly recipients: readonly string[];
  readonly kind: RecipientKind;
  readonly armor: boolean;
}

function withFacts(facts: FactSheet, { recipients, kind, armor }: Written): FactSheet {
  const options = { recipients: recipients.length, kind, ...(armor ? { armor } : {}) };
  return { ...facts, stages: [...facts.stages, { verb: "encrypt", tool: NAME, options }], recipients };
}

interface Look {
  readonly what: string;
  readonly unlock: Unlock;
  readonly encrypted: boolean;
}

/**
 * Reads the start of the body, then lets go of it: a key that is missing shows now, and a body that nobody goes on to read
 * keeps no file and no connection open.
 */
async function look(output: Sealed, secrets: Secrets): Promise<Look> {
  const what = nameOf(output);
  const unlock = unlocker(secrets, recipientsOf(output));
  return { what, unlock, encrypted: await inspect(await startOf(output.body), unlock, what) };
}

function opened(output: Sealed, unlock: Unlock, what: string): Archive {
  const { suffix, body, index } = output;
  const open = (sealed: Body, name: string): Body => ({
    read: () => label(NAME, decrypted(sealed.read, unlock, name)),
    ...(sealed.open ? { open: () => openRanges(sealed.open!, unlock, name) } : {}),
  });
  return {
    ...asArchive(output),
    suffix: suffix.endsWith(SUFFIX) ? suffix.slice(0, -SUFFIX.length) : suffix,
    body: open(body, what),
    index: index && open(index, `the index of ${what}`),
  };
}

/** The recipients the receipt names; only for a message, so that a bad receipt is no error here. */
function recipientsOf({ proof }: Sealed): readonly string[] {
  if (!proof) return [];
  try {
    const receipt = decodeReceipt(proof.receipt, proof.id);
    return receipt.event === "backup" ? receipt.recipients : [];
  } catch {
    return [];
  }
}
