/**
 * Keys and passphrases where an operator keeps them: files, and the output of a program. Read when a stage asks, never before.
 *
 * @module
 */
import { ConfigError, KeyError, messageOf } from "../errors.ts";

/** Larger than any key file. */
const LIMIT = 1024 * 1024;

/** What key files hold. */
export interface KeyFiles {
  /** The texts of those that hold age identities. */
  readonly identities: readonly string[];
  /** Those that hold OpenPGP secret keys, armored or binary. */
  readonly secretKeys: readonly Uint8Array[];
}

/** Reads key files, age's and OpenPGP's, as their content says. Throws {@linkcode KeyError} when one cannot be read or holds neither. */
export async function readKeyFiles(files: readonly string[]): Promise<KeyFiles> {
  const identities: string[] = [];
  const secretKeys: Uint8Array[] = [];
  for (const file of files) {
    const bytes = await readKeyFile(file, "the identity");
    const text = decode(bytes);
    if (/^\s*AGE-SECRET-KEY-/m.test(text)) identities.push(text);
    else if (bytes[0]! >= 0x80 || /^-----BEGIN PGP PRIVATE KEY BLOCK-----/m.test(text)) {
      secretKeys.push(bytes);
    } else {
      throw new KeyError(
        `Cannot use the identity "${file}": it holds no line that starts with AGE-SECRET-KEY-, and no OpenPGP secret key`,
      );
    }
  }
  return { identities, secretKeys };
}

/** The text of each identity file. Throws {@linkcode KeyError} when one cannot be read. */
export async function readIdentities(files: readonly string[]): Promise<readonly string[]> {
  const { identities, secretKeys } = await readKeyFiles(files);
  if (secretKeys.length === 0) return identities;
  throw new KeyError(`Cannot use "${files.join('", "')}" as age identities: an OpenPGP secret key is none`);
}

/** The recipients in a file, one a line, as `age -R` reads them. Throws {@linkcode ConfigError}. */
export function readRecipients(file: string): string[] {
  let text: string;
  try {
    text = Deno.readTextFileSync(file);
  } catch (cause) {
    throw new ConfigError(`Cannot read the recipients in "${file}": ${reason(cause)}`, { cause });
  }
  const lines = text.split("\n").map((line) => line.trim()).filter((line) =>
    line !== "" && !line.startsWith("#")
  );
  if (lines.length === 0) throw new ConfigError(`Cannot use "${file}": it names no recipient`);
  if (lines.some((line) => line.startsWith("AGE-SECRET-KEY-"))) {
    throw new ConfigError(
      `Cannot use "${file}": it holds a secret key where public recipients belong. "age-keygen -y" prints the recipient`,
    );
  }
  return lines;
}

/** A passphrase file's first line. Throws {@linkcode KeyError} when it cannot be read or is empty. */
export async function readPassphrase(file: string): Promise<string> {
  return firstLine(decode(await readKeyFile(file, "the passphrase")), `the passphrase in "${file}"`);
}

/** The first line of a file with the password of a login. It decrypts nothing: {@linkcode ConfigError} when it cannot be read or is empty. */
export async function readPassword(file: string): Promise<string> {
  try {
    return await readKeyLine(file, "the password");
  } catch (cause) {
    throw new ConfigError(`${messageOf(cause)}. Check passwordFile`, { cause });
  }
}

/** The first line of a file that holds `what`. Throws {@linkcode KeyError} when it cannot be read or is empty. */
export async function readKeyLine(file: string, what: string): Promise<string> {
  return firstLine(decode(await readKeyFile(file, what)), `${what} in "${file}"`);
}

/** The first line a program, run in `cwd`, prints. Throws {@linkcode KeyError} when it fails or prints nothing. */
export async function passphraseFrom(argv: readonly string[], cwd: string): Promise<string> {
  const [program, ...args] = argv;
  let output: Deno.CommandOutput;
  try {
    output = await new Deno.Command(program!, { args, cwd, stdin: "null", stderr: "inherit" }).output();
  } catch (cause) {
    throw new KeyError(`Cannot get the passphrase: "${program}" does not start: ${reason(cause)}`, { cause });
  }
  if (!output.success) {
    throw new KeyError(`Cannot get the passphrase: "${program}" ended with exit code ${output.code}`);
  }
  return firstLine(decode(output.stdout), `the passphrase "${program}" printed`);
}

/** The first line of a text that holds a passphrase. */
export function firstLine(text: string, what: string): string {
  const line = text.split(/\r?\n/, 1)[0]!;
  if (line === "") throw new KeyError(`Cannot use ${what}: its first line is empty`);
  return line;
}

async function readKeyFile(file: string, what: string): Promise<Uint8Array> {
  try {
    const { size } = await Deno.stat(file);
    if (size > LIMIT) throw new Error(`it has ${size} bytes, no key file is that large`);
    return await Deno.readFile(file);
  } catch (cause) {
    throw new KeyError(`Cannot read ${what} in "${file}": ${reason(cause)}`, { cause });
  }
}

function decode(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

function reason(cause: unknown): string {
  if (cause instanceof Deno.errors.NotFound) return "it does not exist";
  if (cause instanceof Deno.errors.PermissionDenied) return "permission denied";
  return messageOf(cause);
}
