/**
 * The revocation database, both ways: an old copy re-admits what was revoked since.
 *
 * @module
 */
import { basename, join, resolve } from "node:path";
import type { StagedDatabase } from "../../collect/sqlite/restore.ts";
import { type SqliteOptions, sqliteWith } from "../../collect/sqlite.ts";
import { IntegrityError } from "../../errors.ts";
import type { Context, Files } from "../../stage.ts";
import { lookFor } from "./look.ts";
import type { RevocationsSeen } from "./look/revocations.ts";
import { countRevoked, mergeRevocations } from "./merge.ts";
import { previousOf, type Recorded } from "./previous.ts";
import { chio, chioFact, type ChioStage, type Extra, factsOf } from "./surface.ts";

/** How revocations are stored: as any database. */
export type ChioRevocationsOptions = SqliteOptions;

/**
 * Stores the file of `--revocation-db`; nothing that the backup before held may be gone from it. Facts: their number, a digest, the newest.
 *
 * Undo can add the rows of a newer database (`chio:restore --merge-revocations`) before the restored one takes its place.
 */
export function revocations(path: string, options: ChioRevocationsOptions = {}): ChioStage {
  return make(path, options, {});
}

function make(path: string, options: ChioRevocationsOptions, extra: Extra): ChioStage {
  const main = resolve(path);
  sqliteWith(main, options, {});
  return {
    name: "chio",
    verb: "collect",
    run: (_input, context) => collect(main, options, extra, context),
    undo: (stored, context) =>
      sqliteWith(main, options, { back: (staged) => complete(staged, stored, extra, context) }).undo(
        stored,
        context,
      ),
    drill: (folder) => Promise.resolve({ revoked: countRevoked(join(folder, basename(main))) }),
    [chio]: {
      surface: "revocations",
      databases: [main],
      again: (more) => make(path, options, { ...extra, ...more }),
    },
  };
}

async function collect(
  main: string,
  options: ChioRevocationsOptions,
  extra: Extra,
  context: Context,
): Promise<Files> {
  let before: Recorded | undefined;
  const source = sqliteWith(main, options, {
    forward: async () => {
      before = extra.accept?.includes("rollback") ? undefined : await previousOf(context, "revocations");
      return lookFor("revocations", { count: countOf(before) });
    },
    fact: ({ seen, taken }) => {
      const { before: _, newest, ...facts } = seen as RevocationsSeen;
      const newestAt = newest === undefined ? {} : { newestAt: new Date(newest * 1000).toISOString() };
      return chioFact("revocations", taken[0]!.cutMs, { ...facts, ...newestAt });
    },
    check: ({ seen }) => refuseLess(main, seen as RevocationsSeen, before),
  });
  return await source.run(undefined, context);
}

function countOf(before: Recorded | undefined): number {
  return typeof before?.facts.count === "number" ? before.facts.count : 0;
}

function refuseLess(path: string, { count, before }: RevocationsSeen, recorded: Recorded | undefined): void {
  if (!recorded || before === recorded.facts.sha256) return;
  const then = countOf(recorded);
  throw new IntegrityError(
    `Revocations are gone from "${path}": ${
      count < then
        ? `"${recorded.id}" held ${then}, there are ${count}`
        : `not all that "${recorded.id}" held are there`
    }. What was revoked would be valid again: merge a newer copy, or say accept = ["rollback"] once`,
  );
}

async function complete(
  staged: readonly StagedDatabase[],
  stored: Files,
  { merge, tell }: Extra,
  context: Context,
): Promise<void> {
  const [main] = staged;
  if (!main) return;
  const merged = merge === undefined ? undefined : await mergeRevocations(main.staged, merge);
  const said = factsOf(stored.facts().sources, "revocations");
  tell?.({
    surface: "revocations",
    cutAt: said?.cutAt,
    path: main.target,
    count: countRevoked(main.staged),
    newestAt: said?.facts.newestAt ?? null,
    merged: merged ?? null,
  });
  if (merged) context.log.info(`Merged revocations: ${merged.added} added, ${merged.raised} made newer`);
}
