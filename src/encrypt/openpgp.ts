/**
 * Encryption with OpenPGP (RFC 9580) to public keys: `gpg -d` and `sq decrypt` open the result.
 *
 * @module
 */
import { label, toBytes } from "../bytes.ts";
import { IntegrityError } from "../errors.ts";
import { type Certificate, certificatesIn, type KeyData, type OpenpgpSecrets } from "../openpgp/keys.ts";
import { dearmor } from "../openpgp/packets.ts";
import { checkFunctions } from "../secrets.ts";
import type { Archive, Body, Bytes, Sealed, Stage, U8 } from "../stage.ts";
import { type Intake, intake } from "./intake.ts";
import { type MessageStart, openMessage, startsMessage, takeStart } from "./openpgp_open.ts";
import { makeEnvelope, sealMessage } from "./openpgp_seal.ts";
import { type Unlock, unlocker } from "./openpgp_unlock.ts";
import { asArchive, nameOf } from "./plaintext.ts";

const NAME = "openpgp";
const SUFFIX = ".gpg";

/** Options of {@linkcode openpgp}. */
export interface OpenpgpOptions extends OpenpgpSecrets {
  /** Certificates of who may read, each armored text or binary, with one key or several. At least one, up to 500 in all. */
  readonly recipients: readonly KeyData[];
}

/**
 * Encrypts archive and index, each under a session key of its own, to every recipient's encryption key; adds ".gpg". Uncompressed
 * inside, AES-256, integrity protected (MDC, which every implementation reads). In constant memory. `run` throws {@linkcode KeyError}
 * for a recipient whose key is expired or revoked today. `undo` reads messages of other implementations too (armored, compressed,
 * AEAD) and needs a secret key that fits, be it expired or revoked by now: {@linkcode KeyError}. {@linkcode IntegrityError} when
 * the data is not encrypted with OpenPGP, has no integrity protection, or is damaged, cut or changed: the last bytes are handed on
 * only when all have proven authentic. Throws TypeError or RangeError when made with wrong options.
 *
 * @example
 * ```ts ignore
 * encrypt.openpgp({ recipients: [Deno.readTextFileSync("backup.asc")], secretKey: () => Deno.readTextFile("/root/secret.asc") })
 * ```
 */
export function openpgp(options: OpenpgpOptions): Stage<Archive, Sealed> {
  const { secretKey, passphrase } = options;
  checkFunctions({ secretKey, passphrase });
  const certificates = recipientsIn(options);
  const recipients = certificates.map(({ fingerprint }) => fingerprint);
  return {
    name: NAME,
    verb: "encrypt",
    run: async (input) => ({
      kind: "sealed",
      suffix: input.suffix + SUFFIX,
      body: await sealed(input.body, certificates),
      index: input.index && await sealed(input.index, certificates),
      facts: () => {
        const facts = input.facts();
        const fact = { verb: "encrypt", tool: NAME, options: { recipients: recipients.length } };
        return { ...facts, stages: [...facts.stages, fact], recipients };
      },
      proof: input.proof,
      signers: [],
    }),
    undo: (output) => openedMessage(output, options),
  };
}

/**
 * The archive in an OpenPGP message; a key that is missing shows now. Throws {@linkcode KeyError}, and {@linkcode IntegrityError} for
 * anything else.
 */
export async function openedMessage(output: Sealed, secrets: OpenpgpSecrets): Promise<Archive> {
  const unlock = unlocker(secrets);
  await look(output.body, unlock, nameOf(output));
  return opened(output, unlock);
}

function recipientsIn(options: OpenpgpOptions): readonly Certificate[] {
  const { recipients } = options;
  if (!Array.isArray(recipients) || recipients.length === 0) {
    throw new TypeError(
      'Cannot encrypt with OpenPGP: "recipients" must be a list of at least one certificate',
    );
  }
  const found = (recipients as readonly KeyData[]).flatMap((data, i) =>
    certificatesIn(data, `recipient ${i + 1}`)
  );
  if (found.length > 500) {
    throw new RangeError(`Cannot encrypt with OpenPGP: ${found.length} recipients are more than 500`);
  }
  const fingerprints = found.map(({ fingerprint }) => fingerprint);
  const twice = fingerprints.find((fingerprint, i) => fingerprints.indexOf(fingerprint) !== i);
  if (twice !== undefined) {
    throw new TypeError(`Cannot encrypt with OpenPGP: the recipient ${twice} is given twice`);
  }
  return found;
}

/** An encrypted body. Its session key is drawn now; reading it twice gives two prefixes, and so two ciphertexts. */
async function sealed(body: Body, certificates: readonly Certificate[]): Promise<Body> {
  const { packets, sessionKey } = await makeEnvelope(certificates);
  async function* file(): AsyncGenerator<U8, void, undefined> {
    yield packets.slice();
    yield* sealMessage(sessionKey, intake(body.read()));
  }
  return { read: () => label(NAME, toBytes(file)) };
}

interface Opened {
  readonly start: MessageStart;
  readonly input: Intake;
}

/** Reads the start, then lets go of it: a key that is missing shows now. */
async function look(body: Body, unlock: Unlock, what: string): Promise<void> {
  const source = intake(body.read());
  try {
    const { start } = await opening(source, what);
    await unlock(start, what);
  } finally {
    await source.close();
  }
}

async function opening(source: Intake, what: string): Promise<Opened> {
  let input = source;
  const head = new TextDecoder("latin1").decode(await source.peek(64));
  if (/^\s*-----BEGIN PGP MESSAGE-----/.test(head)) input = intake(await unarmored(source));
  if (!await startsMessage(input)) {
    throw new IntegrityError(
      `Cannot decrypt ${what}: it is not encrypted with OpenPGP; refusing to read it as clear text. Restore another copy or an older backup`,
    );
  }
  return { start: await takeStart(input, what), input };
}

/** Armor is for small things: it is read whole, up to 64 MiB. */
async function unarmored(source: Intake): Promise<Bytes> {
  const most = 2 ** 26;
  const text = await source.take(most);
  if (await source.more()) {
    throw new IntegrityError("Cannot read an armored message of more than 64 MiB. Use gpg --dearmor first");
  }
  const { bytes } = dearmor(text);
  return toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
    yield bytes;
  });
}

function opened(output: Sealed, unlock: Unlock): Archive {
  const { suffix, body, index } = output;
  const what = nameOf(output);
  const open = (sealed: Body, name: string): Body => ({
    read: () => label(NAME, decrypted(sealed, unlock, name)),
  });
  return {
    ...asArchive(output),
    suffix: suffix.replace(/\.(?:gpg|pgp|asc)$/, ""),
    body: open(body, what),
    index: index && open(index, `the index of ${what}`),
  };
}

function decrypted(body: Body, unlock: Unlock, what: string): Bytes {
  return toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
    const source = intake(body.read());
    try {
      const { start, input } = await opening(source, what);
      yield* openMessage(start, await unlock(start, what), input, what);
    } finally {
      await source.close();
    }
  });
}
