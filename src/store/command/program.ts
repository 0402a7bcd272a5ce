/**
 * Running a store's programs: what they print, what they are fed, how they end.
 *
 * @module
 */
import { clearTimeout, setTimeout } from "node:timers";
import { type Child, start } from "../../child.ts";
import { messageOf, StoreError } from "../../errors.ts";
import type { Source } from "../source.ts";
import type { CommandStoreOptions } from "./options.ts";

/** The longest listing that is read, in bytes. */
const LONGEST = 512 * 1024 * 1024;

/** A store's programs. */
export interface Programs {
  /** The options. */
  readonly options: CommandStoreOptions;
  /** For sentences. */
  readonly url: string;
  /** Runs one that prints little, and gives what it printed. Throws StoreError unless it ends well. */
  readonly output: (action: string, argv: readonly string[]) => Promise<string>;
  /** Runs one that is fed, and gives how many bytes it took. */
  readonly feed: (
    action: string,
    argv: readonly string[],
    source: Source,
    signal: AbortSignal | undefined,
  ) => Promise<number>;
  /** Starts one that prints an object. */
  readonly begin: (action: string, argv: readonly string[]) => Promise<Running>;
}

/** A program that prints. */
export interface Running {
  /** The next piece, undefined at the end of a program that ended well. */
  readonly next: () => Promise<Uint8Array<ArrayBuffer> | undefined>;
  /** Ends it, and waits for that. */
  readonly stop: () => Promise<void>;
}

/** Makes them; nothing is started yet. */
export function programsOf(options: CommandStoreOptions, url: string): Programs {
  const { cwd, timeoutMs = 300_000 } = options;

  async function run<T>(
    action: string,
    argv: readonly string[],
    use: "stdin" | "stdout",
    signal: AbortSignal | undefined,
    work: (child: Child, failed: (why: string) => StoreError) => Promise<T>,
  ): Promise<T> {
    const secrets = await options.secrets?.() ?? {};
    const failed = (why: string): StoreError =>
      new StoreError(`${action} in ${url}: "${argv[0]}" ${clean(why, secrets)}`);
    let child: Child;
    try {
      const env = { ...options.env, ...secrets };
      child = start({ argv, cwd, env, use, signal: signal ?? new AbortController().signal });
    } catch (cause) {
      if (signal?.aborted) throw cause;
      throw new StoreError(`${action} in ${url}: ${messageOf(cause)}`, { cause });
    }
    try {
      return await work(child, failed);
    } catch (error) {
      await child.stop();
      throw error;
    }
  }

  const late = (failed: (why: string) => StoreError) => (): StoreError =>
    failed(`did nothing for ${Math.round(timeoutMs / 1000)} s. Run it by hand, or raise timeoutMs`);

  async function begin(action: string, argv: readonly string[]): Promise<Running> {
    return await run(action, argv, "stdout", undefined, (child, failed) => {
      const reader = child.stdout!.getReader();
      return Promise.resolve({
        next: async () => {
          for (;;) {
            const { done, value } = await within(reader.read(), timeoutMs, late(failed));
            if (done) break;
            if (value.length > 0) return value;
          }
          const failure = await within(child.end(), timeoutMs, late(failed));
          if (failure !== undefined) throw failed(failure);
          return undefined;
        },
        stop: async () => {
          await child.stop();
          await reader.cancel().catch(() => {});
        },
      });
    });
  }

  return {
    options,
    url,
    begin,
    output: async (action, argv) => {
      const running = await begin(action, argv);
      const late = (): StoreError =>
        new StoreError(
          `${action} in ${url}: "${argv[0]}" took longer than ${
            Math.round(timeoutMs / 1000)
          } s. Run it by hand, or raise timeoutMs`,
        );
      try {
        return await within(textOf(running), timeoutMs, late);
      } finally {
        await running.stop();
      }
    },
    feed: (action, argv, source, signal) =>
      run(action, argv, "stdin", signal, async (child, failed) => {
        const bytes = await pour(child, source, timeoutMs, failed, late(failed));
        const failure = await within(child.end(), timeoutMs, late(failed));
        signal?.throwIfAborted();
        if (failure !== undefined) throw failed(failure);
        return bytes;
      }),
  };
}

async function textOf(running: Running): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for (let piece = await running.next(); piece; piece = await running.next()) {
    text += decoder.decode(piece, { stream: true });
    if (text.length > LONGEST) {
      throw new StoreError(`Cannot read a listing longer than ${LONGEST} characters`);
    }
  }
  return text + decoder.decode();
}

/** Writes the source to a program's standard input. One that stops reading has its own reason, which comes first. */
async function pour(
  child: Child,
  source: Source,
  timeoutMs: number,
  failed: (why: string) => StoreError,
  late: () => StoreError,
): Promise<number> {
  const writer = child.stdin!.getWriter();
  writer.closed.catch(() => {});
  let bytes = 0;
  const give = async (work: Promise<void>): Promise<void> => {
    try {
      await within(work, timeoutMs, late);
    } catch (error) {
      if (error instanceof StoreError) throw error;
      throw failed(await child.end() ?? "stopped reading, and said that all is well");
    }
  };
  try {
    for (let chunk = await source.next(); chunk; chunk = await source.next()) {
      await give(writer.write(chunk));
      bytes += chunk.length;
    }
  } catch (error) {
    await child.stop(); // before its input ends: what is half is never whole
    await writer.abort().catch(() => {});
    throw error;
  }
  await give(writer.close());
  return bytes;
}

async function within<T>(work: Promise<T>, ms: number, late: () => Error): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(late()), ms);
  });
  try {
    return await Promise.race([work, over]);
  } finally {
    clearTimeout(timer);
    work.catch(() => {});
  }
}

/** Without secrets and what drives a terminal. */
function clean(text: string, secrets: Readonly<Record<string, string>>): string {
  let cleaned = text;
  for (const secret of Object.values(secrets)) if (secret !== "") cleaned = cleaned.replaceAll(secret, "...");
  // What rclone notes in passing would stand before the reason.
  const telling = cleaned.replaceAll(/(?<=^|: )\S+ \S+ NOTICE: .*\n/gm, "");
  // deno-lint-ignore no-control-regex -- control characters are what it looks for
  return telling.replaceAll(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, "?");
}
