/**
 * Chatto's ways of giving a passphrase.
 *
 * @module
 */
import { askPassphrase } from "../../cli/passphrase.ts";
import { ConfigError, KeyError, messageOf } from "../../errors.ts";

/** What the command line says about it. */
export interface PassphraseArgs {
  /** The passphrase itself, visible to every user of the machine. */
  readonly passphrase?: string | undefined;
  /** A file; `-` for standard input. */
  readonly passphraseFile?: string | undefined;
  /** All of standard input. */
  readonly passphraseStdin?: boolean | undefined;
}

const LIMIT = 64 * 1024;
/** A pipe that nobody writes to, as cron's may be. */
const SILENT_MS = 5_000;

/**
 * Reads the passphrase, once: from the argument, the file, or standard input; else a piped standard input's first line, else it is
 * typed unseen. Trailing line ends are cut. Throws {@linkcode KeyError} for an empty one.
 */
export function passphraseOf(
  args: PassphraseArgs,
  options: { readonly confirm: boolean; readonly resolve: (path: string) => string },
): () => Promise<string> {
  const given = [args.passphrase, args.passphraseFile, args.passphraseStdin].filter((value) =>
    value !== undefined
  );
  if (given.length > 1) {
    throw new ConfigError(
      "Cannot use several passphrases: pass one of --passphrase-file and --passphrase-stdin",
    );
  }
  let asked: Promise<string> | undefined;
  return () => asked ??= read(args, options);
}

async function read(
  { passphrase, passphraseFile, passphraseStdin }: PassphraseArgs,
  { confirm, resolve }: { readonly confirm: boolean; readonly resolve: (path: string) => string },
): Promise<string> {
  if (passphrase !== undefined) return checked(passphrase);
  if (passphraseStdin || passphraseFile === "-") return checked(await readInput(), EMPTY_INPUT);
  if (passphraseFile !== undefined) {
    return checked(await readFile(resolve(passphraseFile)), `the file "${passphraseFile}" is empty`);
  }
  if (Deno.stdin.isTerminal()) return await askPassphrase(confirm);
  return checked(
    (await readInput(SILENT_MS)).split("\n", 1)[0]!,
    `${EMPTY_INPUT}. Pass --passphrase-file FILE, or --passphrase-stdin and write to it`,
  );
}

async function readFile(path: string): Promise<string> {
  try {
    if ((await Deno.stat(path)).size > LIMIT) throw new Error("it is too large");
    return await Deno.readTextFile(path);
  } catch (cause) {
    throw new KeyError(`Cannot read the passphrase in "${path}": ${messageOf(cause)}`, { cause });
  }
}

const EMPTY_INPUT = "standard input is empty";

function checked(text: string, why = "it is empty"): string {
  const passphrase = text.replace(/[\r\n]+$/, "");
  if (passphrase !== "") return passphrase;
  throw new KeyError(`Cannot read a passphrase: ${why}`);
}

/** Standard input: to its end, or with `silentMs` to its first line, which must begin within that time. */
async function readInput(silentMs?: number): Promise<string> {
  const bytes: number[] = [];
  const buffer = new Uint8Array(4096);
  for (;;) {
    const size = await within(Deno.stdin.read(buffer), silentMs);
    if (size === null || bytes.length > LIMIT) break;
    bytes.push(...buffer.subarray(0, size));
    if (silentMs !== undefined && bytes.includes(10)) break;
  }
  return new TextDecoder().decode(new Uint8Array(bytes));
}

async function within<T>(work: Promise<T>, ms: number | undefined): Promise<T> {
  if (ms === undefined) return await work;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() =>
      reject(
        new KeyError(
          "Cannot read a passphrase: standard input has been silent for 5 s. Pass --passphrase-file FILE, or --passphrase-stdin if it comes later",
        ),
      ), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
