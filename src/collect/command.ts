/**
 * What a program prints, as one file: a dump out, and back in through the reverse program.
 *
 * @module
 */
import { label } from "../bytes.ts";
import type { Bytes, Context, Entry, FactSheet, Files, Stage, U8, Want } from "../stage.ts";
import { type Child, start } from "../child.ts";
import { extract } from "./extract.ts";
import { feed } from "./feed.ts";
import { plain, type PlainStage } from "./plain.ts";
import { type Spool, spooled } from "./spool.ts";
import { stoppable } from "./stoppable.ts";

/** How a program is run, and what its output is called. */
export interface CommandOptions {
  /** Stored path of the output: "app.sql". */
  readonly path: string;
  /** Variables added to the environment; the place for what must not stand in `argv`. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Working folder of both programs; default: the current one. */
  readonly cwd?: string | undefined;
  /** Whether empty output is a backup. Default: false, it is an error. */
  readonly allowEmpty?: boolean | undefined;
  /** The reverse program and its arguments: gets the output on its stdin when the backup is restored in place. */
  readonly restore?: readonly string[] | undefined;
  /** Folder for output beyond 4 MiB, which waits there, encrypted and without a name; default: the system's temporary folder. */
  readonly spoolDir?: string | undefined;
}

/**
 * Stores the stdout of a program (no shell; stdin is empty) as one file of mode 0600. It is run when the backup pulls, and its
 * output is kept whole until the program has ended, because a tar header with the length comes before the bytes. An exit code
 * other than 0, and empty output, are errors that carry the last 2 KiB of its stderr.
 *
 * A pipeline ends well when its last program does: use `["bash", "-o", "pipefail", "-c", "a | b"]`.
 *
 * Undo with `want.inPlace` feeds the output to the program in `restore`, once the whole backup has proven sound. With `want.into`
 * the output is written there as a file: who looks into a backup, or drills, must not overwrite a live database.
 *
 * Throws TypeError for an empty `argv` or a path that cannot be stored.
 *
 * @example
 * ```ts ignore
 * collect.command(["pg_dump", "app"], { path: "app.sql", restore: ["psql", "-v", "ON_ERROR_STOP=1", "app"] });
 * ```
 */
export function command(argv: readonly string[], options: CommandOptions): Stage<void, Files> {
  checkArgv(argv, "argv");
  if (options.restore) checkArgv(options.restore, "restore");
  checkPath(options.path);
  const feeds = (want: Want): boolean => options.restore !== undefined && want.inPlace;
  const stage: PlainStage = {
    name: NAME,
    verb: "collect",
    run: (_input, context) => Promise.resolve(collect(argv, options, context)),
    undo: (stored, context) =>
      feeds(context.want)
        ? feed({ ...options, argv: options.restore! }, stored, context)
        : extract(stored, context),
    [plain]: (want) => feeds(want) ? undefined : () => [],
  };
  return stage;
}

const NAME = "command";

function checkArgv(argv: readonly string[], option: string): void {
  if (!Array.isArray(argv) || argv.length === 0 || argv[0] === "") {
    throw new TypeError(`Cannot run a command: "${option}" must be a list of a program and its arguments`);
  }
  if (argv.some((part) => typeof part !== "string" || part.includes("\0"))) {
    throw new TypeError(`Cannot run "${argv[0]}": its arguments must be text without NUL characters`);
  }
}

function checkPath(path: string): void {
  const sound = typeof path === "string" && path.isWellFormed() && !path.includes("\0") &&
    path.split("/").every((part) => part !== "" && part !== "." && part !== "..");
  if (!sound) {
    throw new TypeError(
      `Cannot store a command's output as ${JSON.stringify(path)}: give a relative path such as "app.sql"`,
    );
  }
}

function collect(argv: readonly string[], options: CommandOptions, context: Context): Files {
  let cutAt: Date | undefined;
  let size: number | undefined;

  async function* entries(signal: AbortSignal): AsyncGenerator<Entry, void, undefined> {
    if (cutAt) throw new Error("Cannot collect twice: run the stage anew");
    cutAt = new Date();
    using kept = spooled(`the output of "${argv[0]}"`, options.spoolDir);
    await record(argv, options, signal, kept, context);
    const read = (): Bytes => label(NAME, kept.read());
    yield { ...entryOf(options.path, cutAt), bytes: kept.size(), body: read };
    size = kept.size();
  }

  return {
    kind: "files",
    ordered: true,
    entries: () => stoppable(NAME, context.signal, entries),
    facts: (): FactSheet => {
      if (!cutAt || size === undefined) {
        throw new Error("Cannot tell the facts of a command before its output is read");
      }
      return { sources: [{ tool: NAME, cutAt: cutAt.toISOString(), facts: { bytes: size } }], stages: [] };
    },
  };
}

function entryOf(path: string, time: Date): Entry {
  return {
    path,
    kind: "file",
    mode: 0o600,
    mtimeMs: time.getTime(),
    uid: 0,
    gid: 0,
    uname: "",
    gname: "",
    bytes: 0,
  };
}

/** Runs the program and keeps what it prints. Throws unless it ends well. */
export async function record(
  argv: readonly string[],
  { path, cwd, env, allowEmpty = false }: CommandOptions,
  signal: AbortSignal,
  kept: Spool,
  context: Context,
): Promise<void> {
  const child = start({ argv, cwd, env, use: "stdout", signal });
  try {
    for await (const chunk of untilAborted(child.stdout!, signal)) {
      kept.write(chunk);
      context.progress({ phase: "collect", bytes: kept.size(), entries: 0 });
    }
    const failure = await child.end();
    signal.throwIfAborted();
    if (failure !== undefined) {
      throw new Error(
        `Cannot back up "${path}": "${
          argv[0]
        }" ${failure}. Nothing was stored; run the program by hand to see why`,
      );
    }
    if (kept.size() === 0 && !allowEmpty) {
      throw new Error(
        `Cannot back up "${path}": "${argv[0]}" printed nothing${
          after(child)
        }. Set allowEmpty if that is right`,
      );
    }
  } finally {
    await child.stop();
  }
}

function after(child: Child): string {
  const words = child.words();
  return words === "" ? "" : ` but ${words}`;
}

/** A stream's chunks; ends at once on an abort, even when a grandchild still holds the other end. */
export async function* untilAborted(
  stream: ReadableStream<U8>,
  signal: AbortSignal,
): AsyncGenerator<U8, void, undefined> {
  const reader = stream.getReader();
  const cancel = (): void => void reader.cancel().catch(() => {});
  signal.addEventListener("abort", cancel, { once: true });
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    signal.removeEventListener("abort", cancel);
    await reader.cancel().catch(() => {});
  }
}
