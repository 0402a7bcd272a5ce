/**
 * How changed pages are stored, so that `dd` and `truncate` can put them back: for a database `app.db` the files `app.db.delta/map`,
 * `app.db.delta/pages` and `app.db.delta/sha256`.
 *
 * `map` is text. Its first line holds the size of a page and that of the whole database, in bytes; each further line a run of pages: where
 * it goes in the database, how many pages it has, and where it begins in `pages`, all counted in pages. `sha256` is for `sha256sum -c`.
 *
 * @module
 */
import { text, utf8 } from "../../bytes.ts";
import { IntegrityError } from "../../errors.ts";
import type { U8 } from "../../stage.ts";
import { countOf, type Run, type Seen } from "./pages.ts";

/** What is appended to a database's stored path. */
export const DELTA = ".delta";

/** A map as it is read: where pages go. */
export interface PageMap {
  /** Size of a page in bytes. */
  readonly pageSize: number;
  /** Length of the whole database in bytes. */
  readonly bytes: number;
  /** In the order of `pages`. */
  readonly runs: readonly Run[];
}

/** More runs than this are not stored as a delta: a full backup takes no longer. */
export const MOST_RUNS = 1_000_000;

/** The longest map that is read. */
export const MAP_LIMIT: number = 64 * 1024 * 1024;

/** The text of a map. */
export function writeMap({ pageSize, pages, changed }: Pick<Seen, "pageSize" | "pages" | "changed">): U8 {
  const lines = [`${pageSize} ${pageSize * pages}`];
  let from = 0;
  for (const { page, count } of changed) {
    lines.push(`${page} ${count} ${from}`);
    from += count;
  }
  return utf8(lines.join("\n") + "\n");
}

/** The way back. Throws {@linkcode IntegrityError} for what no map of ours says. */
export function readMap(bytes: U8, path: string): PageMap {
  const [head = "", ...lines] = text(bytes).replace(/\n$/, "").split("\n");
  const numbers = (line: string, count: number): number[] => {
    const found = /^\d{1,15}(?: \d{1,15})*$/.test(line) ? line.split(" ").map(Number) : [];
    if (found.length !== count) throw strange(path, `the line ${JSON.stringify(line.slice(0, 60))}`);
    return found;
  };
  const [pageSize, size] = numbers(head, 2) as [number, number];
  const sound = pageSize >= 512 && pageSize <= 65_536 && (pageSize & (pageSize - 1)) === 0;
  if (!sound || size % pageSize !== 0) throw strange(path, `pages of ${pageSize} in ${size} bytes`);
  let next = 0;
  let stored = 0;
  const runs = lines.map((line): Run => {
    const [page, count, from] = numbers(line, 3) as [number, number, number];
    if (page < next || count === 0 || from !== stored) throw strange(path, `the run ${JSON.stringify(line)}`);
    next = page + count;
    stored += count;
    return { page, count };
  });
  if (next * pageSize > size) throw strange(path, `a page behind the end, ${next} of ${size / pageSize}`);
  return { pageSize, bytes: size, runs };
}

/** How many bytes of pages a map speaks of. */
export function bytesIn({ pageSize, runs }: PageMap): number {
  return countOf(runs) * pageSize;
}

function strange(path: string, what: string): IntegrityError {
  return new IntegrityError(
    `Cannot put back the changed pages of "${path}": its map has ${what}. It was not written by Holdfast, or is damaged`,
  );
}
