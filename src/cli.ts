/**
 * The command line's frame: arguments in, one command, exit code out. What a command is and what it is handed.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { InferValue, Parser } from "@optique/core/parser";
import { callerFolder, stateFolder } from "./cli/folders.ts";
import { EXIT, exitCode } from "./cli/exit.ts";
import { parse } from "./cli/parse.ts";
import { progressBar } from "./cli/progress.ts";
import { watchSignals } from "./cli/signals.ts";
import { fileState } from "./cli/state.ts";
import { safeLines, systemTerminal, type Terminal } from "./cli/terminal.ts";
import { recover } from "./collect/recover.ts";
import type { RunOptions } from "./context.ts";
import { findError, messageOf, StageError } from "./errors.ts";
import type { Log, State } from "./stage.ts";

/** Parsers whose result does not matter here. */
type AnyParser = Parser<"sync", unknown, unknown>;

/** One command of the command line. */
export interface Command {
  /** Its task's name. */
  readonly name: string;
  /** Its arguments in one line. */
  readonly usage: string;
  /** One sentence. */
  readonly brief: string;
  /** What else must be known; paragraphs. */
  readonly about: readonly string[];
  /** Real command lines. */
  readonly examples: readonly string[];
  /** Its arguments. */
  readonly parser: AnyParser;
  /** Does it; gives the exit code. */
  readonly run: (values: unknown, cli: Cli) => Promise<number>;
}

/** Ties a command's parser to the function that takes its result. */
export function command<P extends AnyParser>(
  definition: Omit<Command, "parser" | "run"> & {
    readonly parser: P;
    readonly run: (values: InferValue<P>, cli: Cli) => Promise<number>;
  },
): Command {
  return { ...definition, run: (values, cli) => definition.run(values as InferValue<P>, cli) };
}

/** What a command is handed. */
export interface Cli {
  /** Where to write. */
  readonly terminal: Terminal;
  /** The folder relative paths on the command line mean. */
  readonly folder: string;
  /** Fires when the run is cancelled. */
  readonly signal: AbortSignal;
  /** Says something to people, above the progress bar. */
  readonly say: (text: string) => void;
  /** Tells of a failure, and gives its exit code. */
  readonly fail: (error: unknown, what?: string) => number;
  /** Takes the progress bar off the screen, before something is asked. */
  readonly clear: () => void;
  /** What one run is given. */
  readonly runOptions: (quiet: boolean | undefined) => CliRun;
}

/** What one run is given on the command line. */
export interface CliRun extends RunOptions {
  /** Reports. */
  readonly log: Log;
  /** The host's memory. */
  readonly state: State;
  /** How many warnings it has had. */
  readonly warned: () => number;
  /** Says something to people, unless they want it quiet. */
  readonly note: (text: string) => void;
}

/** Runs a command with the arguments of a task. Never throws. */
export async function main(definition: Command, argv: readonly string[]): Promise<number> {
  const terminal = systemTerminal();
  // `deno task backup -- --json` passes the dashes on.
  const args = argv[0] === "--" ? argv.slice(1) : argv;
  let parsed: ReturnType<typeof parse>;
  try {
    parsed = parse(definition, args, terminal);
  } catch (error) {
    terminal.err(`Error: ${safeLines(messageOf(error))}`);
    return EXIT.failed;
  }
  if (typeof parsed === "number") return parsed;
  const bar: { clear: () => void } = { clear: () => {} };
  const say = (line: string): void => {
    bar.clear();
    terminal.err(safeLines(line));
  };
  using signals = watchSignals(say);
  const cli = makeCli(terminal, signals.signal, say, bar);
  try {
    // What a crash left of a restore is taken back by whichever command comes next.
    const { state, log } = cli.runOptions(true);
    await recover({ state, log });
    await startStopped({ warn: log.warn, info: say });
    return await definition.run(parsed.values, cli);
  } catch (error) {
    return cli.fail(error);
  }
}

/** Starts the services that runs which died have left stopped. */
async function startStopped(log: Log): Promise<void> {
  const state = stateFolder();
  if (state === undefined) return;
  try {
    if (!existsSync(join(state, "stopped"))) return;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotCapable)) throw error;
    // A narrow command line, printed where the environment named another folder. The backup needs it as little as what is remembered.
    return log.info(
      `Cannot look into ${state}: this command line does not allow it. Print it anew in this environment`,
    );
  }
  const { revive } = await import("./collect/stopped/revive.ts");
  await revive(join(state, "stopped"), log);
}

function makeCli(
  terminal: Terminal,
  signal: AbortSignal,
  say: (text: string) => void,
  bar: { clear: () => void },
): Cli {
  return {
    terminal,
    folder: callerFolder(),
    signal,
    say,
    clear: () => bar.clear(),
    fail: (error, what) => {
      const code = signal.aborted ? EXIT.cancelled : exitCode(error);
      const place = what === undefined ? "" : `${what}: `;
      bar.clear();
      terminal.err(`${paint(terminal, "Error", 31)}: ${place}${safeLines(textOf(error, code))}`);
      return code;
    },
    runOptions: (quiet = false) => {
      const { update, clear } = progressBar(terminal, quiet);
      bar.clear = clear;
      const { log, warned } = makeLog(terminal, quiet, say, clear);
      return { signal, log, warned, note: log.info, progress: update, state: fileState(stateFolder(), log) };
    },
  };
}

/** After so many warnings of one kind, the rest are only counted: a million lines help nobody. */
const SHOWN = 100;

function makeLog(
  terminal: Terminal,
  quiet: boolean,
  say: (text: string) => void,
  clear: () => void,
): { log: Log; warned: () => number } {
  const counts = new Map<string, number>();
  return {
    warned: () => [...counts.values()].reduce((sum, count) => sum + count, 0),
    log: {
      info: (message) => quiet || say(message),
      warn: (kind, message) => {
        const count = (counts.get(kind) ?? 0) + 1;
        counts.set(kind, count);
        if (count > SHOWN + 1) return;
        clear();
        const text = count > SHOWN ? "further ones are counted, not shown" : safeLines(message);
        terminal.err(`${paint(terminal, "Warning", 33)} (${kind}): ${text}`);
      },
    },
  };
}

function paint(terminal: Terminal, word: string, color: number): string {
  return terminal.color ? `\x1b[${color}m${word}\x1b[0m` : word;
}

/** What went wrong. A failure of a kind nobody foresaw comes with its stack when HOLDFAST_DEBUG is set. */
function textOf(error: unknown, code: number): string {
  if (code === EXIT.cancelled) return "Cancelled. Nothing was left behind";
  const plain = findError(error, StageError) ?? error;
  const stack = error instanceof Error && (Deno.env.get("HOLDFAST_DEBUG") ?? "") !== ""
    ? `\n${error.stack}`
    : "";
  return messageOf(plain) + stack;
}
