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
import { makeContext, type RunOptions } from "./context.ts";
import { findError, IntegrityError, KeyError } from "./errors.ts";
import { find, type Plan, receiptOf, undoFrom } from "./find.ts";
import { wantOf } from "./restore.ts";
import type { Context, Files, Store, Stored, U8 } from "./stage.ts";
import { record } from "./verify.ts";

/** What to drill, and what must hold afterwards. */
export interface DrillOptions extends RunOptions {
  /** The archive's file name, or "latest". Default: "latest". */
  readonly id?: string | undefined;
  /**
   * A program and its arguments, run in the restored tree (no shell), which must exit with 0. HOLDFAST_DRILL_DIR holds the tree's path.
   */
  readonly assert?: readonly string[] | undefined;
  /** The folder to make the scratch place in. Default: the system's folder for temporary files. */
  readonly scratch?: string | undefined;
}

/** What a drill measured. */
export interface DrillResult {
  /** The archive's file name. */
  readonly id: string;
  /** Milliseconds from the start of the restore until the assertion had passed (recovery time). */
  readonly rtoMs: number;
  /** Milliseconds between the backup's cut and now (what a loss at this moment would cost: recovery point). */
  readonly rpoMs: number;
  /** Entries restored. */
  readonly entries: number;
  /** Content bytes restored. */
  readonly bytes: number;
  /** Whether an assertion was run. */
  readonly asserted: boolean;
}

/**
 * Restores a backup into a scratch folder (mode 0700, removed afterwards), lets the collector prove that it works (streams go into a
 * private server), runs the assertion there, then flips one bit on the way and
 * makes sure that the restore fails. Success is recorded in the ledger. Throws when any of it does not hold.
 */
export async function drill(plan: Plan, options: DrillOptions = {}): Promise<DrillResult> {
  const started = performance.now();
  const scratch = await mkdtemp(join(options.scratch ?? tmpdir(), "holdfast-drill-"));
  try {
    let entries = 0;
    let bytes = 0;
    const context = makeContext({
      ...options,
      progress: (update) => {
        if (update.phase === "restore") {
          bytes = update.bytes;
          entries = update.entries ?? entries;
        }
        options.progress?.(update);
      },
    });
    const found = await find(plan, options.id ?? "latest", context);
    const stored: Stored = { ...found, copies: found.copies.slice(0, 1) };
    const receipt = receiptOf(stored);
    const tree = join(scratch, "tree");
    await plan.undo(stored, { ...context, want: wantOf({ into: tree }, receipt) });
    const proven = await plan.stages[0]?.drill?.(tree, context);
    if (options.assert) await assertTree(options.assert, tree, context);
    const rtoMs = Math.round(performance.now() - started);
    await mustFail(plan, stored, context);
    const rpoMs = Math.max(0, context.now.getTime() - new Date(receipt.createdAt).getTime());
    const asserted = options.assert !== undefined;
    await record(stored, context, "drill", {
      rtoMs,
      rpoMs,
      entries,
      bytes,
      asserted,
      negative: "failed as it must",
      ...(proven === undefined ? {} : { proven }),
    });
    return { id: stored.id, rtoMs, rpoMs, entries, bytes, asserted };
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
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
    if (findError(error, IntegrityError) ?? findError(error, KeyError)) return;
    throw error;
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
      });
    },
  };
}
