/**
 * The way back of a command: its output into the reverse program.
 *
 * @module
 */
import { IntegrityError, NotFoundError } from "../errors.ts";
import type { Bytes, Context, Entry, Files } from "../stage.ts";
import { start } from "../child.ts";
import { wantedBy } from "./only.ts";
import { type Spool, spooled } from "./spool.ts";

/** What is fed to what. */
export interface FeedOptions {
  /** Program and arguments. */
  readonly argv: readonly string[];
  /** Stored path of the file. */
  readonly path: string;
  /** Variables added to the environment. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Working folder. */
  readonly cwd?: string | undefined;
  /** Folder where the file waits. */
  readonly spoolDir?: string | undefined;
}

/** The way back through the reverse program: it starts only when the last byte of the backup has been verified. */
export async function feed(
  options: FeedOptions,
  stored: Files,
  context: Context,
): Promise<void> {
  const { argv, path, spoolDir } = options;
  const { want } = context;
  using kept = spooled(`"${path}"`, spoolDir);
  let found = false;
  for await (const entry of stored.entries()) {
    context.signal.throwIfAborted();
    if (entry.path !== path || entry.kind !== "file") {
      throw new Error(
        `Cannot restore "${entry.path}" with "${
          argv[0]
        }": only "${path}" belongs to it. Restore into a folder`,
      );
    }
    if (found) throw new IntegrityError(`Cannot restore "${path}": the backup holds it twice`);
    found = true;
    if (!want.dryRun && wantedBy(want.only)(entry.path)) await keep(entry, kept, context);
  }
  if (!found) throw new NotFoundError(`Cannot restore "${path}": the backup does not hold it`);
  if (!wantedBy(want.only)(path)) return;
  if (!want.dryRun) {
    await pour(options, kept, context.signal);
    context.progress({ phase: "restore", bytes: kept.size(), entries: 1 });
  }
  want.report?.(path, "overwrite");
}

/** Keeps an entry's content. Throws IntegrityError unless it has the promised length. */
export async function keep(entry: Entry, kept: Spool, { want, signal, progress }: Context): Promise<void> {
  if (entry.bytes > want.limits.bytes) {
    throw new IntegrityError(
      `Cannot restore "${entry.path}": it is larger than ${want.limits.bytes} bytes. Raise --limit-bytes if you trust it`,
    );
  }
  if (entry.body instanceof Uint8Array) kept.write(entry.body);
  else {
    for await (const chunk of entry.body?.() ?? []) {
      signal.throwIfAborted();
      kept.write(chunk);
      progress({ phase: "restore", bytes: kept.size(), entries: 0 });
    }
  }
  if (kept.size() !== entry.bytes) {
    throw new IntegrityError(`Cannot restore "${entry.path}": ${kept.size()} of ${entry.bytes} bytes came`);
  }
}

/** Starts the program and feeds it what was kept. Throws unless it takes all and ends well. */
export async function pour(
  { argv, path, cwd, env }: FeedOptions,
  kept: Spool,
  signal: AbortSignal,
): Promise<void> {
  const child = start({ argv, cwd, env, use: "stdin", signal });
  try {
    const taken = await writeAll(child.stdin!, kept.read());
    const failure = await child.end();
    signal.throwIfAborted();
    if (failure !== undefined) {
      throw new Error(`Cannot restore "${path}": "${argv[0]}" ${failure}. What it did before may stand`);
    }
    if (!taken) {
      throw new Error(
        `Cannot restore "${path}": "${argv[0]}" ended before it had read all ${kept.size()} bytes`,
      );
    }
  } finally {
    await child.stop();
  }
}

/** Whether all was taken: a program that ends early closes its side (EPIPE), and its exit code says more than that. */
async function writeAll(stdin: WritableStream<Uint8Array>, bytes: Bytes): Promise<boolean> {
  const writer = stdin.getWriter();
  const reader = bytes.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    try {
      if (done) {
        await writer.close();
        return true;
      }
      await writer.write(value);
    } catch {
      await reader.cancel();
      return false;
    }
  }
}
