/**
 * Whether a run stores whole databases or what has changed in them, and the entries of the latter.
 *
 * @module
 */
import { newestBase } from "../../base.ts";
import { formatBytes, label, utf8 } from "../../bytes.ts";
import type { ByteRange, Context, Entry, U8 } from "../../stage.ts";
import { compareNames } from "../folder.ts";
import type { Root } from "../extract.ts";
import type { CopyFile } from "./copies.ts";
import { DELTA, MOST_RUNS, writeMap } from "./delta.ts";
import type { Taken } from "./job.ts";
import { isOf, type Memory, recall } from "./memory.ts";
import { countOf, type Run, type Seen, seePages } from "./pages.ts";

/** When a full backup is made again. */
export interface Rules {
  /** Increments that may stand on a full backup. */
  readonly increments: number;
  /** Bytes of pages in them, as a share of the databases. */
  readonly share: number;
}

/** What a run will store. */
export interface Choice {
  /** The file name of the backup it builds on; undefined: whole databases. */
  readonly base: string | undefined;
  /** How many increments it will stand on, itself included. */
  readonly increments: number;
  /** One per database. */
  readonly seen: readonly Seen[];
  /** Remembers the pages, for the run that follows. */
  readonly remember: () => Promise<void>;
}

/** Looks at copies, and decides. Must run under the lease, so that the newest backup stays the newest. */
export async function choose(
  roots: readonly Root[],
  copies: readonly CopyFile[],
  taken: readonly Taken[],
  rules: Rules,
  context: Context,
): Promise<Choice> {
  const { shelf, state, run, signal, log } = context;
  const found = await newestBase(context);
  const recalled = shelf && await recall(state, shelf, found?.receipt.run);
  const memory = recalled?.memory;
  let why = reasonBefore(memory, roots, rules, found !== undefined);
  const seen: Seen[] = [];
  for (const [i, copy] of copies.entries()) {
    const known = why === undefined ? memory!.databases[i] : undefined;
    seen.push(await seePages(copy, taken[i]!.pageSize, known, signal));
  }
  const changed = bytesOf(seen);
  if (why === undefined) why = reasonAfter(memory!, seen, changed, rules);
  if (why !== undefined) log.info(`All pages are stored: ${why}`);
  const increments = why === undefined ? memory!.increments + 1 : 0;
  const bytes = why === undefined ? memory!.bytes + changed : 0;
  const databases = roots.map(({ path, source }, i) => {
    const { pageSize, hashes } = seen[i]!;
    return { path, source, pageSize, hashes };
  });
  return {
    base: why === undefined ? found!.id : undefined,
    increments,
    seen,
    remember: async () => await recalled?.remember({ run, increments, bytes, databases }),
  };
}

/** Why it cannot be an increment, as far as can be told before the pages are looked at. */
function reasonBefore(
  memory: Memory | undefined,
  roots: readonly Root[],
  rules: Rules,
  found: boolean,
): string | undefined {
  if (!found) return "there is no backup yet that every target has as its newest";
  if (!memory) return "this host remembers no pages of the newest backup";
  if (!isOf(memory, roots)) return "the newest backup is of other databases";
  if (memory.increments >= rules.increments) {
    return `${memory.increments} increments stand on the last full backup`;
  }
  return undefined;
}

function reasonAfter(
  memory: Memory,
  seen: readonly Seen[],
  changed: number,
  rules: Rules,
): string | undefined {
  const whole = seen.reduce((sum, { pages, pageSize }) => sum + pages * pageSize, 0);
  const runs = seen.reduce((sum, { changed }) => sum + changed.length, 0);
  if (changed * 2 > whole || runs > MOST_RUNS) {
    return `${formatBytes(changed)} of ${formatBytes(whole)} have changed`;
  }
  if (memory.bytes + changed <= whole * rules.share) return undefined;
  return `the increments hold ${formatBytes(memory.bytes + changed)} of pages, the databases ${
    formatBytes(whole)
  }`;
}

function bytesOf(seen: readonly Seen[]): number {
  return seen.reduce((sum, { changed, pageSize }) => sum + countOf(changed) * pageSize, 0);
}

/** The entries of an increment: three for each database, in the order of their paths. `like` gives a database's own entry. */
export function* deltaEntries(
  tool: string,
  roots: readonly Root[],
  copies: readonly CopyFile[],
  seen: readonly Seen[],
  like: (i: number) => Entry,
): Generator<Entry, void, undefined> {
  const order = roots.map(({ path }, i) => ({ path, folder: path + DELTA, i }))
    .sort((a, b) => compareNames(a.folder, b.folder));
  for (const { path, folder, i } of order) {
    const { changed, pageSize, sha256 } = seen[i]!;
    const copy = copies[i]!;
    const file = (name: string, body: Entry["body"], bytes: number): Entry => ({
      ...like(i),
      path: `${folder}/${name}`,
      body,
      bytes,
    });
    const small = (name: string, bytes: U8): Entry => file(name, bytes, bytes.length);
    yield small("map", writeMap(seen[i]!));
    const parts = (): Iterable<ByteRange> => rangesOf(changed, pageSize);
    yield file("pages", () => label(tool, copy.read(parts())), countOf(changed) * pageSize);
    yield small("sha256", utf8(checkLine(sha256, path)));
    copy.close();
  }
}

/** A line for `sha256sum -c`, which wants strange names escaped. */
function checkLine(sha256: string, path: string): string {
  const escaped = path.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll("\r", "\\r");
  return `${escaped === path ? "" : "\\"}${sha256}  ${escaped}\n`;
}

function* rangesOf(runs: readonly Run[], pageSize: number): Generator<ByteRange, void, undefined> {
  for (const { page, count } of runs) yield { start: page * pageSize, end: (page + count) * pageSize };
}
