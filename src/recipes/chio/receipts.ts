/**
 * The receipt store with its archives, both ways.
 *
 * @module
 */
import { realpathSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import type { StagedDatabase } from "../../collect/sqlite/restore.ts";
import { type SqliteOptions, sqliteWith } from "../../collect/sqlite.ts";
import type { Context } from "../../stage.ts";
import { appendOne } from "./append.ts";
import { recordedArchives } from "./entries.ts";
import { lookFor } from "./look.ts";
import type { ReceiptsAsked, ReceiptsSeen } from "./look/receipts.ts";
import { openStore } from "./open.ts";
import { previousOf, readMarks, writeMarks } from "./previous.ts";
import { checkRestored } from "./receipts_back.ts";
import { checkKeys, chio, chioFact, type ChioStage, type ExternalKey, type Extra } from "./surface.ts";

/** How a receipt store is stored. */
export interface ChioReceiptsOptions extends SqliteOptions {
  /** Archives that retention made, besides those the store itself names. */
  readonly archives?: readonly string[] | undefined;
  /** Public keys of kernels that may have signed. Default: any. */
  readonly trustedKeys?: readonly string[] | undefined;
  /** Signing keys that lie in a key service or a module: recorded by id and public key. */
  readonly keys?: readonly ExternalKey[] | undefined;
}

/**
 * Stores a receipt store with the archives that its retention made, cut at one moment while the kernel writes. Before a byte is stored
 * all of it is verified as {@linkcode verifyChioStore} does, and compared with the backup before: no number went down, and the newest
 * checkpoint of then is there. The read transaction is held meanwhile: writers do not wait, but their log cannot be folded into the
 * database before it ends. Facts: counts, watermarks, the chain's head, keys.
 *
 * Undo verifies the restored store before it takes its place, and compares it with the file it replaces: a warning "fork" says that
 * the chain would go on behind a checkpoint that others know. With `want.inPlace` archives return to the path the ledger names.
 *
 * Throws TypeError for wrong options; reading throws {@linkcode IntegrityError} for a store that is not sound, or went back.
 */
export function receipts(path: string, options: ChioReceiptsOptions = {}): ChioStage {
  return make(path, options, {});
}

function make(path: string, options: ChioReceiptsOptions, extra: Extra): ChioStage {
  const main = resolve(path);
  const { archives = [], keys = [] } = options;
  checkKeys(keys);
  // What is wrong with the options shows now.
  sqliteWith({ [basename(main)]: main }, options, {});
  return {
    name: "chio",
    verb: "collect",
    run: async (_input, context) => {
      const named = nameAll(main, archives.map((one) => resolve(one)));
      const source = sqliteWith(named, options, {
        forward: () => asked(main, options, extra, context),
        fact: ({ seen, taken }) =>
          chioFact(
            "receipts",
            taken[0]!.cutMs,
            factSheet(seen as ReceiptsSeen, taken.length - 1, keys, extra),
          ),
      });
      const files = await source.run(undefined, context);
      return { ...files, notes: () => ({ ...files.notes?.(), main: basename(main) }) };
    },
    undo: (stored, context) => {
      const name = String(stored.notes?.().main ?? basename(main));
      const back = (staged: readonly StagedDatabase[]): Promise<void> =>
        checkRestored(staged, name, stored, { ...context, ...extra, trustedKeys: options.trustedKeys });
      return sqliteWith({ [name]: main }, options, { back }).undo(stored, context);
    },
    drill: (folder, context) => appendOne(join(folder, basename(main)), context),
    [chio]: {
      surface: "receipts",
      databases: [main],
      again: (more) => make(path, options, { ...extra, ...more }),
    },
  };
}

/** The store and its archives under names of their own. */
function nameAll(main: string, given: readonly string[]): Readonly<Record<string, string>> {
  const store = openStore(main);
  let recorded: readonly string[];
  try {
    recorded = recordedArchives(store);
  } finally {
    store.close();
  }
  const named: Record<string, string> = { [basename(main)]: main };
  for (const [i, path] of [...new Set([...recorded, ...given])].entries()) {
    const base = basename(path);
    named[Object.hasOwn(named, base) ? `${i + 1}-${base}` : base] = path;
  }
  return named;
}

async function asked(
  main: string,
  { trustedKeys }: ChioReceiptsOptions,
  { accept = [] }: Extra,
  context: Context,
): Promise<ReturnType<typeof lookFor>> {
  const before = await previousOf(context, "receipts");
  const previous = before && !accept.includes("rollback") ? readMarks(before.facts.watermarks) : undefined;
  return lookFor("receipts", { main: realpathSync(main), trustedKeys, previous } satisfies ReceiptsAsked);
}

function factSheet(
  { report, generation, newest }: ReceiptsSeen,
  archives: number,
  keys: readonly ExternalKey[],
  { accept = [] }: Extra,
): Readonly<Record<string, unknown>> {
  const { receipts, checkpoints, tail, unchecked, warnings, watermarks } = report;
  return {
    generation,
    receipts,
    checkpoints,
    tail,
    unchecked,
    oddities: warnings.length,
    archives,
    keys: report.keys.slice(0, 100),
    watermarks: writeMarks(watermarks),
    ...(newest === undefined ? {} : { newestAt: new Date(newest * 1000).toISOString() }),
    ...(keys.length > 0 ? { externalKeys: keys } : {}),
    ...(accept.length > 0 ? { accepted: accept } : {}),
  };
}
