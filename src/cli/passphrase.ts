/**
 * A passphrase from a file, from standard input, or typed unseen.
 *
 * @module
 */
import process from "node:process";
import { firstLine, readPassphrase } from "../config/keys.ts";
import { ConfigError, KeyError } from "../errors.ts";

/** Reads the passphrase of `--passphrase-file`: a file's first line, or that of standard input for "-". */
export async function passphraseFromFile(file: string, resolve: (path: string) => string): Promise<string> {
  return file === "-"
    ? firstLine(await readLine(), "the passphrase on standard input")
    : await readPassphrase(resolve(file));
}

/** Asks for a passphrase on the terminal, unseen, in the words of `label`; with `confirm`, twice. Throws {@linkcode ConfigError} without a terminal. */
export async function askPassphrase(confirm: boolean, label = "Passphrase"): Promise<string> {
  if (!Deno.stdin.isTerminal() || !Deno.stderr.isTerminal()) {
    throw new ConfigError(
      "Cannot ask for the passphrase: this is no terminal. Pass --passphrase-file FILE, or - for standard input",
    );
  }
  // Either of the two may have been mistyped: both are asked for again.
  for (let prompt = label;; prompt = `The two are not the same. ${label}, from the beginning`) {
    const passphrase = await ask(prompt);
    if (!confirm || await ask("The same again") === passphrase) return passphrase;
  }
}

async function ask(message: string): Promise<string> {
  // Loaded when someone is asked, so that no other command waits for it.
  const { isCancel, password } = await import("@clack/prompts");
  const validate = (value: string | undefined): string | undefined =>
    value ? undefined : "Type a passphrase, or press Ctrl-C";
  const answer = await password({ message, validate, output: process.stderr });
  if (isCancel(answer)) throw new DOMException("Cancelled", "AbortError");
  return answer as string;
}

/** Standard input up to the first line end, or all of it; no more than a passphrase can have. */
async function readLine(): Promise<string> {
  const bytes: number[] = [];
  const one = new Uint8Array(1);
  while (await Deno.stdin.read(one) === 1 && one[0] !== 10) {
    bytes.push(one[0]!);
    if (bytes.length > 4096) {
      throw new KeyError("Cannot use the passphrase on standard input: its first line is too long");
    }
  }
  return new TextDecoder().decode(new Uint8Array(bytes));
}
