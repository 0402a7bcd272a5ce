/**
 * What a store made of programs is told, and what of that is wrong at once.
 *
 * @module
 */

/** Options of `store.command`: programs and their arguments as lists, in which words in braces are replaced; no shell is involved. */
export interface CommandStoreOptions {
  /** What the store is called in messages: its URL is "command:NAME". */
  readonly name: string;
  /** Stores its standard input as `{key}`, replacing what is there. */
  readonly put: readonly string[];
  /** Prints the object `{key}`. */
  readonly get: readonly string[];
  /**
   * Prints every object below the store, and fails when it cannot: lines of bytes, TAB, seconds since 1970, TAB, key; or
   * JSON as `rclone lsjson` prints it.
   */
  readonly list: readonly string[];
  /** Deletes the object `{key}`. */
  readonly delete: readonly string[];
  /** Prints the object `{key}` as `list` does, and nothing when it is absent. Without it, or when it fails, `list` is asked. */
  readonly stat?: readonly string[] | undefined;
  /** Prints `{count}` bytes from `{start}` of the object `{key}`. Without it the whole is read, and what was not asked for is dropped. */
  readonly getRange?: readonly string[] | undefined;
  /**
   * Renames `{from}` to `{to}`, replacing. With it an object is written under a temporary name first; without it `put` itself
   * must show an object only when it is whole.
   */
  readonly move?: readonly string[] | undefined;
  /** Working folder of the programs. Default: the current one. */
  readonly cwd?: string | undefined;
  /** Variables added to the environment. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** The same for secrets: asked for when a program is started, and taken out of its error messages. */
  readonly secrets?:
    | (() => Readonly<Record<string, string>> | Promise<Readonly<Record<string, string>>>)
    | undefined;
  /** Milliseconds that a program may take for a listing or a deletion, and without a byte for the rest. Default: 300,000. */
  readonly timeoutMs?: number | undefined;
}

/** The words in braces that each list may and must hold. */
const WORDS: Readonly<Record<string, readonly string[]>> = {
  put: ["key"],
  get: ["key"],
  list: [],
  delete: ["key"],
  stat: ["key"],
  getRange: ["key", "start", "count"],
  move: ["from", "to"],
};

const WORD = /\{([a-z]+)\}/g;

/** Throws TypeError or RangeError for options that cannot work. */
export function checkOptions(options: CommandStoreOptions): void {
  const { name, timeoutMs = 1 } = options;
  if (!/^[A-Za-z0-9][A-Za-z0-9._:/@-]*$/.test(name)) {
    throw new TypeError(`Cannot call a store ${JSON.stringify(name)}: use letters, digits and "._:/@-"`);
  }
  for (const [verb, words] of Object.entries(WORDS)) {
    const argv = options[verb as keyof CommandStoreOptions] as readonly string[] | undefined;
    if (argv === undefined && ["stat", "getRange", "move"].includes(verb)) continue;
    checkArgv(verb, argv, words);
  }
  if (!Number.isSafeInteger(timeoutMs) || timeoutMs < 1 || timeoutMs > 2 ** 31 - 1) {
    throw new RangeError(
      `Cannot use ${timeoutMs} for \`timeoutMs\`: give a whole number from 1 to 2147483647`,
    );
  }
}

function checkArgv(verb: string, argv: readonly string[] | undefined, words: readonly string[]): void {
  const wrong = (why: string): TypeError =>
    new TypeError(`Cannot use \`${verb}\` of a store's commands: ${why}`);
  if (!Array.isArray(argv) || argv.length === 0 || argv[0] === "") {
    throw wrong("give a list of a program and its arguments");
  }
  if (argv.some((part) => typeof part !== "string" || part.includes("\0"))) {
    throw wrong("its arguments must be text without NUL characters");
  }
  if (argv[0].includes("{")) throw wrong("the program itself cannot depend on the object");
  const used = new Set([...argv.join("\n").matchAll(WORD)].map(([, word]) => word!));
  const missing = words.find((word) => !used.has(word));
  if (missing !== undefined) throw wrong(`"{${missing}}" is missing in it`);
  const unknown = [...used].find((word) => !words.includes(word));
  if (unknown !== undefined) {
    const known = words.map((word) => `"{${word}}"`).join(", ") || "no words in braces";
    throw wrong(`"{${unknown}}" means nothing here. Use ${known}`);
  }
}

/**
 * The arguments for one object. A key never becomes an option of the program: one that begins with "-" may only stand behind
 * something else. Throws TypeError.
 */
export function fill(argv: readonly string[], words: Readonly<Record<string, string>>): string[] {
  return argv.map((part) => {
    const filled = part.replaceAll(WORD, (whole, word: string) => words[word] ?? whole);
    if (part.startsWith("{") && filled.startsWith("-")) {
      throw new TypeError(`Cannot use "${filled}" as a key here: "${argv[0]}" would take it for an option`);
    }
    return filled;
  });
}
