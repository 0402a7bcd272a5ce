/**
 * Reading what is encrypted, or not, without being told which.
 *
 * @module
 */
import type { OpenpgpSecrets } from "../openpgp/keys.ts";
import { HEADER_MOST, packetHeader } from "../openpgp/packets.ts";
import type { Archive, Sealed, Stage } from "../stage.ts";
import { openedAge } from "./age.ts";
import { intake } from "./intake.ts";
import { openedMessage } from "./openpgp.ts";
import { asArchive, nameOf } from "./plaintext.ts";
import { startOf } from "./ranges.ts";
import { notAge, type Secrets } from "./unlock.ts";

/** Options of {@linkcode detect}: identities and passphrase of age files, and what opens OpenPGP messages. */
export interface DetectOptions extends Secrets {
  /** The secrets of OpenPGP messages. */
  readonly openpgp?: OpenpgpSecrets | undefined;
}

const PUBLIC_KEY_SESSION = 1;
const PASSPHRASE_SESSION = 3;

/**
 * For restoring without a configuration: `undo` decrypts what is encrypted with age or OpenPGP, as its content says, and passes anything
 * else on as it is, unless it is named ".age", ".gpg" or ".pgp": {@linkcode IntegrityError}. `run` throws TypeError: what to write is
 * never guessed.
 */
export function detect(options: DetectOptions = {}): Stage<Archive, Sealed> {
  return {
    name: "decrypt",
    verb: "encrypt",
    run: () =>
      Promise.reject(
        new TypeError(
          "Cannot encrypt: detect() only restores. Use encrypt.age, encrypt.openpgp or encrypt.plaintext",
        ),
      ),
    undo: async (output) => {
      const stated = /\.(?:gpg|pgp)$/.test(output.suffix);
      const opened = stated ? undefined : await openedAge(output, options);
      if (opened) return opened;
      if (output.suffix.endsWith(".age")) throw notAge(nameOf(output));
      if (stated || await isMessage(output)) return await openedMessage(output, options.openpgp ?? {});
      return asArchive(output);
    },
  };
}

/** Whether the body is an OpenPGP message: in armor, or begins with an encrypted session key. A tar's first file name never does. */
async function isMessage({ body }: Sealed): Promise<boolean> {
  const input = intake(await startOf(body));
  try {
    const start = await input.peek(64);
    if (/^\s*-----BEGIN PGP MESSAGE-----/.test(new TextDecoder("latin1").decode(start))) return true;
    const header = packetHeader(start.subarray(0, HEADER_MOST));
    const version = header && start[header.size];
    if (header?.tag === PUBLIC_KEY_SESSION) return version === 3 || version === 6;
    return header?.tag === PASSPHRASE_SESSION && (version === 4 || version === 5 || version === 6);
  } finally {
    await input.close();
  }
}
