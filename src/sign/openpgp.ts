/**
 * Detached OpenPGP signatures (RFC 9580): `gpg --verify` and `sq verify` accept ours, and theirs are accepted here.
 *
 * @module
 */
import { KeyError } from "../errors.ts";
import { certificatesIn, type KeyData, type OpenpgpSecrets } from "../openpgp/keys.ts";
import { signatureOf } from "../openpgp/signature.ts";
import { checkSignature } from "../openpgp/verify.ts";
import { checkFunctions } from "../secrets.ts";
import type { Sealed, Stage } from "../stage.ts";
import { detached } from "./detached.ts";

const NAME = "openpgp";

/** Options of {@linkcode openpgp}. */
export interface OpenpgpSignOptions extends OpenpgpSecrets {
  /** The certificate of who signs: armored text or binary, exactly one. Its fingerprint is recorded in the receipt. */
  readonly certificate: KeyData;
  /** Certificates whose signatures are accepted as well: older keys, for backups made before a rotation. */
  readonly trusted?: readonly KeyData[] | undefined;
  /** Writes ASCII armor, as ".asc". Default false: binary, as ".sig". */
  readonly armor?: boolean | undefined;
}

/**
 * Signs the stored bytes and every receipt with an OpenPGP key. The secret key is asked for before the first byte is read, and only
 * to back up. `undo` demands both signatures by one of the certificates given here: {@linkcode IntegrityError} when one is missing,
 * malformed, by another key, wrong, or made when its key was not valid. A key that has expired since, or was retired or superseded,
 * stands for what it signed before; one revoked for any other reason (compromised) stands for nothing. Data without a receipt
 * (a foreign file) passes. Throws TypeError when made with wrong options.
 */
export function openpgp(options: OpenpgpSignOptions): Stage<Sealed, Sealed> {
  const { secretKey, passphrase } = options;
  checkFunctions({ secretKey, passphrase });
  const own = certificatesIn(options.certificate, '"certificate"');
  if (own.length !== 1) {
    throw new TypeError(`Cannot sign with OpenPGP: "certificate" holds ${own.length} certificates, give one`);
  }
  const others = (options.trusted ?? []).flatMap((data, i) =>
    certificatesIn(data, `"trusted" number ${i + 1}`)
  );
  const certificates = [...own, ...others];
  const identity = own[0]!.fingerprint;
  const armor = options.armor ?? false;
  if (typeof armor !== "boolean") throw new TypeError('Cannot use "armor": it must be true or false');
  const open = signatureOf(options, identity);
  return detached({
    tool: NAME,
    suffix: armor ? ".asc" : ".sig",
    identity,
    begin: async () => {
      const begin = await open();
      if (begin) return begin(armor);
      throw new KeyError(
        `Cannot sign: the OpenPGP secret key given is not the one of the certificate ${identity}. Give the pair`,
      );
    },
    check: (signature, name) => checkSignature(signature, name, certificates),
  });
}
