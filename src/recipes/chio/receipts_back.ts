/**
 * The last look at a restored receipt store, before it takes its place.
 *
 * @module
 */
import { statSync } from "node:fs";
import type { StagedDatabase } from "../../collect/sqlite/restore.ts";
import { IntegrityError } from "../../errors.ts";
import type { Context, Files } from "../../stage.ts";
import { compareHeads, type KnownHead, newestHead } from "./heads.ts";
import { unsound } from "./look/receipts.ts";
import { readMarks, writeMarks } from "./previous.ts";
import { type Extra, factsOf } from "./surface.ts";
import { type ChioReport, verifyChioStore } from "./verify.ts";

/** What a restore knows. */
export type Restoring = Context & Extra & { readonly trustedKeys?: readonly string[] | undefined };

/** Verifies a restored store, compares it with its receipt and with known heads, and tells what it is. Throws {@linkcode IntegrityError}. */
export async function checkRestored(
  staged: readonly StagedDatabase[],
  name: string,
  stored: Files,
  context: Restoring,
): Promise<void> {
  const main = staged.find(({ path }) => path === name);
  const archives = staged.filter((one) => one !== main);
  if (!main || context.want.only.length > 0) {
    context.log.warn(
      "unverified",
      "A part of the receipt store is restored: it is not verified as one. Run chio:verify",
    );
    return;
  }
  const { trustedKeys, signal } = context;
  const report = await verifyChioStore(main.staged, {
    archives: archives.map((one) => one.staged),
    trustedKeys,
    signal,
  });
  if (report.faults > 0) throw unsound(main.target, report, "Nothing was restored");
  const { head } = report.watermarks;
  const said = factsOf(stored.facts().sources, "receipts");
  const recorded = said && readMarks(said.facts.watermarks).head;
  if (said && recorded?.sha256 !== head?.sha256) {
    throw new IntegrityError(
      `Cannot restore "${main.target}": its newest checkpoint is not the one that the backup's receipt names. Restore another backup`,
    );
  }
  const fork = judge(main, context);
  context.tell?.({
    surface: "receipts",
    cutAt: said?.cutAt,
    path: main.target,
    archives: archives.map(({ target }) => target),
    externalKeys: said?.facts.externalKeys ?? [],
    chain: chainOf(report, fork),
  });
}

function judge(main: StagedDatabase, { heads = [], accept = [], log }: Restoring): KnownHead | undefined {
  const { forked, ahead } = compareHeads(main.staged, [...heads, ...replaced(main.target)]);
  if (forked.length > 0 && !accept.includes("fork")) {
    throw new IntegrityError(
      `Cannot restore "${main.target}": its checkpoint ${forked[0]!.seq} is another one than ${
        forked[0]!.from
      } knows, so one of them ` +
        "belongs to a forked chain. Restore a backup from before the fork, or pass --accept fork to restore it all the same",
    );
  }
  if (ahead) {
    log.warn(
      "fork",
      `"${main.target}" ends before checkpoint ${ahead.seq}, which ${ahead.from} knows: the kernel will issue that number again, and ` +
        "who holds the old one sees a fork. Look for a newer copy before it serves; if there is none, tell those who verify the chain",
    );
  }
  return ahead ?? forked[0];
}

/** The head of what stands where the store will go, if it can still be read. */
function replaced(target: string): readonly KnownHead[] {
  if (!statSync(target, { throwIfNoEntry: false })?.isFile()) return [];
  try {
    const head = newestHead(target);
    return head && head.faults.length === 0
      ? [{ seq: head.seq, sha256: head.sha256, from: "the file it replaces" }]
      : [];
  } catch {
    return []; // What is damaged knows nothing, and that is why one restores.
  }
}

function chainOf(
  { watermarks, tail }: ChioReport,
  known: KnownHead | undefined,
): Readonly<Record<string, unknown>> {
  const marks = writeMarks(watermarks);
  return {
    head: marks.head ?? null,
    entries: marks.entries,
    tail,
    fork: known !== undefined,
    ...(known ? { known: { seq: `${known.seq}`, sha256: known.sha256, from: known.from } } : {}),
  };
}
