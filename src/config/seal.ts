/**
 * From a configuration's words to the stages that sign, and that encrypt with OpenPGP. Certificates are public and read when the plan
 * is made; secret keys and passphrases when a stage asks.
 *
 * @module
 */
import * as v from "valibot";
import * as encrypt from "../encrypt/mod.ts";
import { ConfigError, KeyError, messageOf } from "../errors.ts";
import type { Keys } from "../job.ts";
import * as sign from "../sign/mod.ts";
import type { Archive, Sealed, Stage } from "../stage.ts";
import { passphraseFrom, readPassphrase } from "./keys.ts";
import { argv, flag, oneOrMore, refuse, table, text, texts, type Tool } from "./shape.ts";

type Path = v.GenericSchema<string, string>;

const secret = (key: string): Record<string, string> => ({
  [key]:
    `a secret must not stand in a configuration. Put it in a file only its owner can read and write ${key}File = "FILE" instead`,
});

/** The options of sign's tools. */
// deno-lint-ignore explicit-function-return-type -- valibot's own types carry the shape
export function signTools(path: Path) {
  const secrets = {
    secretKeyFile: v.optional(path),
    passphraseFile: v.optional(path),
    passphraseCommand: v.optional(argv),
  };
  const hints = { ...secret("secretKey"), ...secret("passphrase") };
  return {
    minisign: table({ publicKey: text, trusted: v.optional(texts), ...secrets }, {
      ...hints,
      publicKey: 'is missing: the "RW..." line of the .pub file',
    }),
    openpgp: table({
      certificateFile: path,
      trustedFiles: v.optional(oneOrMore(path)),
      armor: flag,
      ...secrets,
    }, { ...hints, certificateFile: "is missing: a file with the signer's certificate" }),
  };
}

/** The options of `encrypt = { openpgp = ... }`. */
// deno-lint-ignore explicit-function-return-type -- valibot's own types carry the shape
export function openpgpSchema(path: Path) {
  return table({
    recipientFiles: oneOrMore(path),
    secretKeyFile: v.optional(oneOrMore(path)),
    passphraseFile: v.optional(path),
    passphraseCommand: v.optional(argv),
  }, {
    ...secret("secretKey"),
    ...secret("passphrase"),
    recipientFiles: 'is missing: files with the recipients\' certificates, as "gpg --export" writes them',
  });
}

/** `require = { ... }` or "none". */
export const requireSchema: v.GenericSchema<unknown, Requirement> = v.lazy((input) =>
  typeof input === "string"
    ? input === "none" ? v.literal("none") : refuse('must be a table, or "none"')
    : table({
      signature: flag,
      encryption: flag,
      signers: v.optional(texts),
      maxAge: v.optional(text),
    })
) as v.GenericSchema<unknown, Requirement>;

/** What a plan demands. */
export type Requirement = "none" | {
  readonly signature?: boolean | undefined;
  readonly encryption?: boolean | undefined;
  readonly signers?: readonly string[] | undefined;
  readonly maxAge?: string | undefined;
};

interface SecretOptions {
  readonly passphraseFile?: string | undefined;
  readonly passphraseCommand?: readonly string[] | undefined;
}

interface SignOptions extends SecretOptions {
  readonly publicKey: string;
  readonly trusted?: readonly string[] | undefined;
  readonly certificateFile: string;
  readonly trustedFiles?: readonly string[] | undefined;
  readonly armor?: boolean | undefined;
  readonly secretKeyFile?: string | undefined;
}

/** The stage of one entry of `sign = [...]`. */
export function signStage({ tool, options }: Tool, folder: string, keys: Keys = {}): Stage<Sealed, Sealed> {
  if (tool === "sha256") return sign.sha256();
  const { publicKey, trusted, certificateFile, trustedFiles, armor, secretKeyFile, ...rest } =
    options as unknown as SignOptions;
  const passphrase = passphraseOf(rest, folder) ?? asked(keys, secretKeyFile);
  if (tool === "minisign") {
    const secretKey = secretKeyFile === undefined ? undefined : () => readSecretText(secretKeyFile);
    return sign.minisign({ publicKey, trusted, secretKey, passphrase });
  }
  return sign.openpgp({
    certificate: readCertificate(certificateFile),
    trusted: trustedFiles?.map(readCertificate),
    secretKey: secretKeyFile === undefined ? undefined : () => readSecret(secretKeyFile),
    passphrase,
    armor,
  });
}

/** The stage of `encrypt = { openpgp = ... }`. */
export function openpgpStage({ options }: Tool, folder: string, keys: Keys = {}): Stage<Archive, Sealed> {
  const { recipientFiles, secretKeyFile, ...rest } = options as unknown as SecretOptions & {
    readonly recipientFiles: readonly string[];
    readonly secretKeyFile?: readonly string[] | undefined;
  };
  return encrypt.openpgp({
    recipients: recipientFiles.map(readCertificate),
    secretKey: keys.secretKeys ?? (secretKeyFile && (() => Promise.all(secretKeyFile.map(readSecret)))),
    passphrase: keys.passphrase ?? passphraseOf(rest, folder) ??
      asked(keys, secretKeyFile?.join('", "') ?? ""),
  });
}

function passphraseOf(
  { passphraseFile, passphraseCommand }: SecretOptions,
  folder: string,
): (() => Promise<string>) | undefined {
  if (passphraseFile !== undefined && passphraseCommand !== undefined) {
    throw new TypeError("holds both passphraseFile and passphraseCommand: choose one");
  }
  if (passphraseFile !== undefined) return () => readPassphrase(passphraseFile);
  return passphraseCommand && (() => passphraseFrom(passphraseCommand, folder));
}

/** Nothing says where the passphrase of this key lies: whoever sits there is asked, if it has one. */
function asked({ unlock }: Keys, file: string | undefined): (() => Promise<string>) | undefined {
  if (!unlock || file === undefined) return undefined;
  return () => unlock(file === "" ? "the OpenPGP secret key" : `the secret key "${file}"`);
}

function readCertificate(file: string): Uint8Array {
  try {
    return Deno.readFileSync(file);
  } catch (cause) {
    throw new ConfigError(`Cannot read the certificate "${file}": ${messageOf(cause)}`, { cause });
  }
}

async function readSecret(file: string): Promise<Uint8Array> {
  try {
    return await Deno.readFile(file);
  } catch (cause) {
    throw new KeyError(`Cannot read the secret key "${file}": ${messageOf(cause)}`, { cause });
  }
}

async function readSecretText(file: string): Promise<string> {
  return new TextDecoder().decode(await readSecret(file));
}
