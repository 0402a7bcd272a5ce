/**
 * What a snapshot says: to the operator, to the archive, to the receipt.
 *
 * @module
 */
import { statSync } from "node:fs";
import { label } from "../../bytes.ts";
import type { Bytes, Context, Entry, SourceFact } from "../../stage.ts";
import type { Root } from "../extract.ts";
import type { CopyFile } from "./copies.ts";
import type { Snapshot, Taken } from "./job.ts";
import type { SqliteSettings } from "./options.ts";
import { countOf } from "./pages.ts";
import type { Choice } from "./since.ts";

/** What the checks found that is for the operator to weigh. */
export function judge(
  roots: readonly Root[],
  { taken, exact }: Snapshot,
  { foreignKeys }: SqliteSettings,
  context: Context,
): void {
  if (!exact) {
    context.log.warn(
      "cut",
      "The databases were written to without a pause: each is consistent, but they are not from one moment",
    );
  }
  for (const [i, { brokenKeys }] of taken.entries()) {
    if (brokenKeys < 1 || foreignKeys === "off") continue;
    const found = `${brokenKeys} row(s) of "${
      roots[i]!.source
    }" break a foreign key. See PRAGMA foreign_key_check`;
    if (foreignKeys === "error") throw new Error(`Cannot back up: ${found}`);
    context.log.warn("foreignKeys", found);
  }
}

/** A database's entry. */
export function entryOf(tool: string, { path, source }: Root, copy: CopyFile, { cutMs }: Taken): Entry {
  const { mode, uid, gid } = statSync(source);
  const body = (): Bytes => label(tool, copy.read());
  const owner = { uid, gid, uname: "", gname: "" };
  return { path, kind: "file", mode: mode & 0o7777, mtimeMs: cutMs, ...owner, bytes: copy.size(), body };
}

/** The `i`th database as the receipt records it. */
export function factOf(
  tool: string,
  { cutMs, ...taken }: Taken,
  i: number,
  { check }: SqliteSettings,
  { exact }: Snapshot,
  choice: Choice | undefined,
): SourceFact {
  const { brokenKeys, ...rest } = taken;
  const bytes = taken.pages * taken.pageSize;
  const keys = brokenKeys < 0 ? {} : { brokenKeys };
  const since = choice && {
    increment: choice.increments,
    changedPages: countOf(choice.seen[i]!.changed),
  };
  const facts = { bytes, ...rest, ...keys, check, cut: exact ? "exact" : "spread", ...since };
  return { tool, cutAt: new Date(cutMs).toISOString(), facts };
}
