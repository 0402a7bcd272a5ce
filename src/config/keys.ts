/**
 * Keys and passphrases where an operator keeps them: files, and the output of a program. Read when a stage asks, never before.
 *
 * @module
 */
import { ConfigError, KeyError, messageOf } from "../errors.ts";

/** Larger than any key file. */
const LIMIT = 1024 * 1024;

/** The text of each identity file. Throws {@linkcode KeyError} when one cannot be read. */
export async function readIdentities(files: readonly string[]): Promise<string[]> {
  const texts: string[] = [];
  for (const file of files) {
    const text = await readKeyFile(file, "the identity");
    if (!/^\s*AGE-SECRET-KEY-/m.test(text)) {
      throw new KeyError(
        `Cannot use the identity "${file}": it holds no line that starts with AGE-SECRET-KEY-`,
      );
    }
    texts.push(text);
  }
  return texts;
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
  return firstLine(await readKeyFile(file, "the passphrase"), `the passphrase in "${file}"`);
}

/** The first line of a file that holds `what`. Throws {@linkcode KeyError} when it cannot be read or is empty. */
export async function readKeyLine(file: string, what: string): Promise<string> {
  return firstLine(await readKeyFile(file, what), `${what} in "${file}"`);
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
  return firstLine(new TextDecoder().decode(output.stdout), `the passphrase "${program}" printed`);
}

/** The first line of a text that holds a passphrase. */
export function firstLine(text: string, what: string): string {
  const line = text.split(/\r?\n/, 1)[0]!;
  if (line === "") throw new KeyError(`Cannot use ${what}: its first line is empty`);
  return line;
}

async function readKeyFile(file: string, what: string): Promise<string> {
  try {
    const { size } = await Deno.stat(file);
    if (size > LIMIT) throw new Error(`it has ${size} bytes, no key file is that large`);
    return await Deno.readTextFile(file);
  } catch (cause) {
    throw new KeyError(`Cannot read ${what} in "${file}": ${reason(cause)}`, { cause });
  }
}

function reason(cause: unknown): string {
  if (cause instanceof Deno.errors.NotFound) return "it does not exist";
  if (cause instanceof Deno.errors.PermissionDenied) return "permission denied";
  return messageOf(cause);
}
