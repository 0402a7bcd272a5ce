/**
 * Does it restore? `drill`: a real restore into a scratch place, the operator's own assertion, and a restore that must fail.
 *
 * @module
 */
import { execFile } from "node:child_process";
import { randomInt } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { toBytes } from "./bytes.ts";
import { readCatalog } from "./catalog.ts";
import { makeContext, type RunOptions } from "./context.ts";
import { findError, IntegrityError, KeyError, messageOf, NotFoundError } from "./errors.ts";
import { find, type Plan, receiptOf, shelfOf, undoFrom } from "./find.ts";
import { type Phases, undoTimed } from "./phases.ts";
import type { BackupReceipt } from "./receipt.ts";
import { wantOf } from "./restore.ts";
import type { Context, Files, Store, Stored, U8 } from "./stage.ts";
import { record } from "./verify.ts";

/** What to drill, and what must hold afterwards. */
export interface DrillOptions extends RunOptions {
  /**
   * The archive's file name, "latest", or "older": one of those before the latest, by chance, so that in time each has its turn.
   * Default: "latest".
   */
  readonly id?: string | undefined;
  /**
   * A program and its arguments, run in the restored tree (no shell), which must exit with 0. HOLDFAST_DRILL_DIR holds the tree's path.
   */
  readonly assert?: readonly string[] | undefined;
  /** The folder to make the scratch place in. Default: the system's folder for temporary files. */
  readonly scratch?: string | undefined;
  /** A remark for the drill's receipt, which everyone who can read the store can read. At most 1,000 characters. */
  readonly note?: string | undefined;
}

/** What a drill measured. */
export interface DrillResult {
  /** The archive's file name. */
  readonly id: string;
  /** Which one it was: the newest of its name, or an older one. */
  readonly which: "newest" | "older";
  /** How many other backups there are. */
  readonly others: number;
  /** Milliseconds from the start of the restore until the assertion had passed (recovery time). */
  readonly rtoMs: number;
  /** Where they went. */
  readonly phases: Phases;
  /**
   * Milliseconds since the data was read: the earliest cut of the backup's sources. For the newest backup, what a loss at this
   * moment would cost (recovery point).
   */
  readonly rpoMs: number;
  /** Entries restored. */
  readonly entries: number;
  /** Content bytes restored. */
  readonly bytes: number;
  /** Bytes of the archive as it lies in the store. */
  readonly storedBytes: number;
  /** What the collector's own proof found: a database's version, its tables. Absent where it has none. */
  readonly proven?: Readonly<Record<string, unknown>> | undefined;
  /** Whether an assertion was run. */
  readonly asserted: boolean;
  /** How the negative drill ended; any other end is thrown. */
  readonly negative: "failed as it must";
}

/**
 * Restores a backup into a scratch folder (mode 0700, removed afterwards), lets the collector prove that it works (streams go into a
 * private server), runs the assertion there, then flips one bit on the way and makes sure that the restore fails. The outcome is
 * recorded in the ledger, signed like its other events; only a success counts as a proof. Throws when any of it does not hold.
 * With `id: "older"` it throws NotFoundError where there is only one backup.
 */
export async function drill(plan: Plan, options: DrillOptions = {}): Promise<DrillResult> {
  if ((options.note ?? "").length > 1000) {
    throw new RangeError("Cannot drill: the note is longer than 1,000 characters");
  }
  const started = performance.now();
  const scratch = await makeScratch(options.scratch ?? tmpdir());
  try {
    const { context, seen } = counted(options);
    const ids = await completeIds(plan, context);
    const id = options.id === "older" ? olderOf(ids, plan) : options.id ?? "latest";
    const found = await find(plan, id, context);
    const stored: Stored = { ...found, copies: found.copies.slice(0, 1) };
    const begun = {
      started,
      findMs: elapsed(started),
      which: stored.id === ids.at(-1) ? "newest" : "older",
    } as const;
    try {
      const facts = await prove(plan, stored, { ...options, scratch }, begun, context, seen);
      return { id: stored.id, others: ids.filter((id) => id !== stored.id).length, ...facts };
    } catch (error) {
      // What cannot be read for want of a key says nothing of the backup, nor does a drill that was broken off.
      if (!context.signal.aborted && !findError(error, KeyError)) {
        const facts = { which: begun.which, rtoMs: elapsed(started), verdict: "failed", ...noteOf(options) };
        await record(stored, context, "drill", facts, "failed").catch((error) =>
          context.log.warn("record", `The failed drill could not be recorded: ${messageOf(error)}`)
        );
      }
      throw error;
    }
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function makeScratch(folder: string): Promise<string> {
  try {
    return await mkdtemp(join(folder, "holdfast-drill-"));
  } catch (cause) {
    throw new Error(
      `Cannot drill: no scratch folder can be made in "${folder}": ${
        messageOf(cause)
      }. Name another one as "scratch"`,
      { cause },
    );
  }
}

/** Restore, proof, assertion and negative drill; the success is recorded. */
async function prove(
  plan: Plan,
  stored: Stored,
  options: DrillOptions & { readonly scratch: string },
  begun: { readonly started: number; readonly findMs: number; readonly which: DrillResult["which"] },
  context: Context,
  seen: { readonly entries: number; readonly bytes: number },
): Promise<Omit<DrillResult, "id" | "others">> {
  const receipt = receiptOf(stored);
  const tree = join(options.scratch, "tree");
  const { proven, ...times } = await rehearse(plan, stored, tree, options, context);
  const rtoMs = elapsed(begun.started);
  await mustFail(plan, stored, context);
  const facts = {
    which: begun.which,
    rtoMs,
    phases: { find: begun.findMs, ...times },
    rpoMs: Math.max(0, context.now.getTime() - cutOf(receipt)),
    entries: seen.entries,
    bytes: seen.bytes,
    storedBytes: receipt.objects.find(({ suffix }) => suffix === "")?.bytes ?? 0,
    asserted: options.assert !== undefined,
    negative: "failed as it must",
  } as const;
  const outcome = { verdict: "restored", ...noteOf(options) };
  const own = proven && { proven };
  await record(stored, context, "drill", { ...facts, ...outcome, ...own });
  return { ...facts, ...own };
}

function noteOf({ note }: DrillOptions): { readonly note?: string } {
  return note === undefined ? {} : { note };
}

function elapsed(since: number): number {
  return Math.round(performance.now() - since);
}

/** A context that counts what is restored. */
function counted(options: DrillOptions): { context: Context; seen: { entries: number; bytes: number } } {
  const seen = { entries: 0, bytes: 0 };
  const context = makeContext({
    ...options,
    progress: (update) => {
      if (update.phase === "restore") {
        seen.bytes = update.bytes;
        seen.entries = update.entries ?? seen.entries;
      }
      options.progress?.(update);
    },
  });
  return { context, seen };
}

/** The restore, the collector's proof and the assertion, timed. */
async function rehearse(
  plan: Plan,
  stored: Stored,
  tree: string,
  options: DrillOptions,
  context: Context,
): Promise<Omit<Phases, "find"> & { readonly proven?: Readonly<Record<string, unknown>> | undefined }> {
  const want = wantOf({ into: tree }, receiptOf(stored));
  const restored = await undoTimed(plan, stored, { ...context, want });
  const starting = performance.now();
  const proven = await plan.stages[0]?.drill?.(tree, context);
  const start = elapsed(starting);
  const checking = performance.now();
  if (options.assert) await assertTree(options.assert, tree, context);
  return { ...restored, start, check: elapsed(checking), proven };
}

/** The earliest moment a backup's data is of: the whole is as old as its oldest source. */
function cutOf({ sources, createdAt }: BackupReceipt): number {
  return sources.length === 0
    ? Date.parse(createdAt)
    : Math.min(...sources.map(({ cutAt }) => Date.parse(cutAt)));
}

/** One of all but the newest, by chance. */
function olderOf(ids: readonly string[], plan: Plan): string {
  if (ids.length < 2) {
    throw new NotFoundError(
      `Cannot drill an older backup of "${shelfOf(plan).name}": there are ${ids.length} in all`,
    );
  }
  return ids[randomInt(ids.length - 1)]!;
}

/** Every complete backup of a plan, oldest first, from listings alone. */
async function completeIds(plan: Plan, context: Context): Promise<string[]> {
  const shelf = shelfOf(plan);
  const times = new Map<string, number>();
  for (const store of shelf.stores) {
    const catalog = await readCatalog(store, shelf).catch(() => undefined); // find says what is wrong with it
    for (const { id, time, state } of catalog?.backups ?? []) {
      if (state === "complete") times.set(id, time.getTime());
    }
  }
  context.signal.throwIfAborted();
  return [...times].sort((a, b) => a[1] - b[1] || (a[0] < b[0] ? -1 : 1)).map(([id]) => id);
}

/** Runs the operator's assertion in the restored tree. */
function assertTree(argv: readonly string[], cwd: string, context: Context): Promise<void> {
  const [program, ...args] = argv;
  if (program === undefined) return Promise.reject(new TypeError("Cannot drill: the assertion is empty"));
  return new Promise((resolve, reject) => {
    const options = { cwd, signal: context.signal, env: { ...Deno.env.toObject(), HOLDFAST_DRILL_DIR: cwd } };
    const child = execFile(program, args, options, (error, stdout, stderr) => {
      if (!error) return resolve();
      const said = `${stdout}${stderr}`.trim().slice(-500);
      const how = error.code === "ENOENT"
        ? `there is no program "${program}". Check the plan's drill.assert`
        : `it ended with ${error.signal ?? `exit code ${error.code}`}`;
      const text = `The drill's assertion "${argv.join(" ")}" does not hold: ${how}${
        said ? `: ${said}` : ""
      }`;
      reject(new Error(text, { cause: error }));
    });
    child.stdin?.end();
  });
}

/** The negative drill: with one bit flipped in the archive, the way back must end in an error. */
async function mustFail(plan: Plan, stored: Stored, context: Context): Promise<void> {
  const copy = stored.copies[0]!;
  const damaged: Stored = {
    ...stored,
    copies: [{ ...copy, store: flipping(copy.store, stored.id, context) }],
  };
  const quiet: Context = { ...context, progress: () => {}, want: wantOf({}, receiptOf(stored)) };
  try {
    const files = await undoFrom(plan, damaged, quiet, 1) as Files;
    for await (const entry of files.entries()) {
      if (typeof entry.body === "function") { for await (const _chunk of entry.body()); }
    }
  } catch (error) {
    if (!findError(error, IntegrityError) && !findError(error, KeyError)) throw error;
    context.log.info("Negative drill: failed as it must"); // why would read as if the backup were damaged
    return;
  }
  throw new IntegrityError(
    `The drill of "${stored.id}" is not to be trusted: a flipped bit in the archive was not noticed`,
  );
}

/** The same store, but one bit of one object arrives flipped. */
function flipping(store: Store, key: string, context: Context): Store {
  return {
    ...store,
    get: async (wanted, range) => {
      const bytes = await store.get(wanted, range);
      if (wanted !== key) return bytes;
      const size = (await store.head(key))?.bytes ?? 1;
      const at = randomInt(size);
      context.log.info(`Negative drill: flipping a bit of byte ${at} of ${size}`);
      return toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
        let seen = 0;
        for await (const chunk of bytes) {
          const mine = at - seen;
          seen += chunk.length;
          if (mine < 0 || mine >= chunk.length) {
            yield chunk;
            continue;
          }
          const flipped = chunk.slice();
          flipped[mine]! ^= 1 << randomInt(8);
          yield flipped;
        }
      }, bytes);
    },
  };
}
