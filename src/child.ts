/**
 * Runs a program: its end is always seen, its last words are kept, and it does not outlive the run.
 *
 * @module
 */
import { messageOf } from "./errors.ts";

/** Bytes of a program's stderr that are kept for messages: the last 2 KiB. */
const LAST_WORDS = 2048;
/** How long a program may take to end after SIGTERM: 5 s. */
const GRACE_MS = 5000;
/** How long stderr may stay open after the program's end (a child of it may hold it): 1 s. */
const DRAIN_MS = 1000;

/** A user and a group, by number. */
export interface Account {
  /** The user. */
  readonly uid: number;
  /** The group. */
  readonly gid: number;
}

/** A program to run. */
export interface ChildOptions {
  /** Program and arguments; no shell. */
  readonly argv: readonly string[];
  /** Working folder. */
  readonly cwd: string | undefined;
  /** Variables added to the environment. */
  readonly env: Readonly<Record<string, string>> | undefined;
  /** Whether its stdin is written to (stdout is dropped) or its stdout read (stdin is empty), or both, or neither. */
  readonly use: "stdin" | "stdout" | "both" | "neither";
  /** Whether it has a session of its own, where Ctrl-C in the terminal does not reach it, nor what it starts. Default: false. */
  readonly apart?: boolean | undefined;
  /** Whose process it is; only root can say so. Default: ours. */
  readonly as?: Account | undefined;
  /** Ends it. */
  readonly signal: AbortSignal;
}

/** A program that runs. */
export interface Child {
  /** Its stdout, or undefined. */
  readonly stdout: ReadableStream<Uint8Array<ArrayBuffer>> | undefined;
  /** Its stdin, or undefined. */
  readonly stdin: WritableStream<Uint8Array<ArrayBufferLike>> | undefined;
  /** Waits for its end. Undefined: exit code 0; otherwise how it ended, with its last words. */
  readonly end: () => Promise<string | undefined>;
  /** What it wrote to stderr last, trimmed. */
  readonly words: () => string;
  /** Ends it if it still runs: SIGTERM, then SIGKILL after 5 s. Resolves when it is gone. */
  readonly stop: () => Promise<void>;
}

/** Starts a program. Throws an Error that says so when it cannot be started. */
export function start({ argv, cwd, env, use, signal, apart = false, as }: ChildOptions): Child {
  signal.throwIfAborted();
  const [program = "", ...args] = argv;
  const writes = use === "stdin" || use === "both";
  const reads = use === "stdout" || use === "both";
  const child = spawn(program, {
    args,
    stdin: writes ? "piped" : "null",
    stdout: reads ? "piped" : "null",
    stderr: "piped",
    ...(apart ? { detached: true } : {}),
    ...as,
    ...(cwd === undefined ? {} : { cwd }),
    ...(env === undefined ? {} : { env: { ...env } }),
  });
  const heard = listen(child.stderr);
  let gone = false;
  const status = child.status.finally(() => gone = true);
  const stop = async (): Promise<void> => {
    if (!gone) await terminate(child, status);
    await heard.end();
  };
  const onAbort = (): void => void stop();
  signal.addEventListener("abort", onAbort, { once: true });
  status.finally(() => signal.removeEventListener("abort", onAbort));
  return {
    stdout: reads ? child.stdout : undefined,
    stdin: writes ? child.stdin : undefined,
    words: heard.text,
    stop,
    end: async () => {
      const { success, code, signal: killedBy } = await status;
      await heard.end();
      if (success) return undefined;
      const how = killedBy ? `was ended by ${killedBy}` : `ended with exit code ${code}`;
      const words = heard.text();
      return words === "" ? how : `${how}: ${words}`;
    },
  };
}

function spawn(program: string, options: Deno.CommandOptions): Deno.ChildProcess {
  try {
    return new Deno.Command(program, options).spawn();
  } catch (cause) {
    const why = cause instanceof Deno.errors.NotFound
      ? "it is not installed, or not on the PATH, or its working folder does not exist"
      : messageOf(cause);
    throw new Error(`Cannot run "${program}": ${why}`, { cause });
  }
}

async function terminate(child: Deno.ChildProcess, status: Promise<unknown>): Promise<void> {
  kill(child, "SIGTERM");
  const timer = setTimeout(() => kill(child, "SIGKILL"), GRACE_MS);
  try {
    await status;
  } finally {
    clearTimeout(timer);
  }
}

function kill(child: Deno.ChildProcess, signal: Deno.Signal): void {
  try {
    child.kill(signal);
  } catch {
    // It ended by itself in this moment.
  }
}

/** Reads stderr to its end, so that the program never waits for us, and keeps the last of it. */
function listen(stream: ReadableStream<Uint8Array>): { text: () => string; end: () => Promise<void> } {
  const reader = stream.getReader();
  let last = new Uint8Array(0);
  async function drain(): Promise<void> {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const joined = new Uint8Array(last.length + value.length);
      joined.set(last);
      joined.set(value, last.length);
      last = joined.slice(-LAST_WORDS);
    }
  }
  const drained = drain().catch(() => {});
  return {
    text: () => new TextDecoder().decode(last).trim(),
    end: async () => {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const late = new Promise<void>((resolve) => timer = setTimeout(resolve, DRAIN_MS));
      await Promise.race([drained, late]);
      clearTimeout(timer);
      await reader.cancel().catch(() => {});
    },
  };
}
