/**
 * Sorts any number of events in little memory, drops what came twice, and tells what shares an id without being the same.
 *
 * @module
 */
import type { U8 } from "../../stage.ts";
import { known, type KnownEvents } from "./known.ts";
import { lineWriter, merge } from "./merge.ts";
import { momentToBigInt, readMoment } from "./moment.ts";
import { arena, emptyPlace, type Place, type Run, run } from "./run.ts";
import { compact, type Page, scanEvent, SPAN } from "./scan.ts";

/** What a sorter has seen. */
export interface SortFacts {
  /** Events that came out. */
  readonly events: number;
  /** Events that came in more often than once, or were known before. */
  readonly duplicates: number;
  /** Events that came out although another with the same id had: they differ. */
  readonly conflicts: number;
  /** Events without an id, or without a time. */
  readonly odd: number;
  /** The oldest and the newest time, as whole numbers (of the events' own unit). */
  readonly first?: bigint | undefined;
  /** The newest time. */
  readonly last?: bigint | undefined;
}

/** An external merge sort. */
export interface Sorter {
  /** Takes the events of a page. */
  readonly add: (page: Page) => void;
  /** Asks for what is known; to be awaited before the first page. */
  readonly load: () => Promise<void>;
  /** Events so far, duplicates included. */
  readonly count: () => number;
  /** The events by time, then id, one a line, in blocks of whole lines. Once. */
  readonly lines: () => AsyncGenerator<U8, void, undefined>;
  /** What came of it; complete after the last block. */
  readonly facts: () => SortFacts;
  /** Frees memory and disk. */
  readonly close: () => void;
}

/** Options of {@linkcode sorter}. */
export interface SorterOptions {
  /** Bytes of events kept in memory. Default: 64 MiB, a quarter of it for one sorted run. */
  readonly memoryBytes?: number | undefined;
  /** Folder for what does not fit; default: the system's temporary folder. */
  readonly spoolDir?: string | undefined;
  /** Told of each id that stands for different events. */
  readonly conflict?: ((id: string) => void) | undefined;
  /** What is known already, and does not come out. */
  readonly known?: KnownEvents | undefined;
}

/** Runs that are merged at a time; more are merged into one first. */
const WAYS = 16;

/** Makes a sorter. */
export function sorter(options: SorterOptions = {}): Sorter {
  const { memoryBytes = 64 << 20, spoolDir } = options;
  const limit = memoryBytes / 4; // the sorting and the merge need their part
  let current = arena(limit);
  let runs: Run[] = [];
  const before = known(options.known ?? {});
  const conflict = options.conflict ?? ((): void => {});
  const facts = { events: 0, duplicates: 0, conflicts: 0, odd: 0, count: 0 };
  let first: bigint | undefined;
  let last: bigint | undefined;
  const place = emptyPlace();

  function add(page: Page): void {
    const { spans, bytes, spaced } = page;
    for (let i = 0; i < spans.length; i += SPAN) {
      if (spaced) addSpaced(page, bytes.subarray(spans[i]!, spans[i + 1]!));
      else addAt(bytes, spans, i);
    }
  }

  function addSpaced({ shape }: Page, event: U8): void {
    const tight = compact(event);
    if (tight[0] === 0x7b) return addAt(tight, scanEvent(tight, shape).spans, 0);
    addAt(tight, [0, tight.length, 0, 0, 0, 0], 0);
  }

  function addAt(bytes: U8, spans: readonly number[], i: number): void {
    place.bytes = bytes;
    place.start = spans[i]!;
    place.end = spans[i + 1]!;
    const quoted = bytes[spans[i + 2]!] === 0x22 ? 1 : 0;
    const named = spans[i + 3]! > 0;
    place.idStart = named ? spans[i + 2]! + quoted : place.start;
    place.idEnd = named ? spans[i + 3]! - quoted : place.start;
    const timed = readMoment(bytes, spans[i + 4]!, spans[i + 5]!, place);
    if (!timed || place.idEnd <= place.idStart) facts.odd++;
    facts.count++;
    if (before.has(place)) {
      facts.duplicates++;
      return;
    }
    current.add(place);
    if (current.size() >= limit) spill();
  }

  function spill(): void {
    const target = run(spoolDir);
    const cursor = current.sorted();
    while (cursor.step() === true) target.add(cursor.place);
    current.clear();
    runs.push(target);
  }

  /** Merges runs into fewer until they can be read side by side. */
  async function narrow(): Promise<void> {
    while (runs.length > WAYS) {
      const group = runs.slice(0, WAYS);
      const target = run(spoolDir);
      for await (
        const _ of merge(group.map((one) => one.open()), target.add)
      ) { /* each step lets others run */ }
      group.forEach((one) => one.close());
      runs = [...runs.slice(WAYS), target];
    }
  }

  async function* lines(): AsyncGenerator<U8, void, undefined> {
    await narrow();
    await before.settled();
    const out = lineWriter(facts, conflict);
    const cursors = [...runs.map((one) => one.open()), current.sorted()];
    let times: { high: number; low: number } | undefined;
    const take = (next: Readonly<Place>): void => {
      const differs = before.differs(next);
      if (differs && before.repeats(next)) return void facts.duplicates++;
      const { conflicts } = facts;
      if (!out.add(next)) return;
      if (differs && facts.conflicts === conflicts) {
        facts.conflicts++;
        conflict(new TextDecoder().decode(next.bytes.subarray(next.idStart, next.idEnd)));
      }
      if (next.high === 0 && next.low === 0) return;
      first ??= momentToBigInt(next);
      times = { high: next.high, low: next.low };
    };
    for await (const _ of merge(cursors, take)) {
      const block = out.full();
      if (times) last = momentToBigInt(times);
      if (block) yield block;
    }
    const block = out.rest();
    if (times) last = momentToBigInt(times);
    if (block.length > 0) yield block;
  }

  return {
    add,
    load: before.load,
    count: () => facts.count,
    lines,
    facts: () => ({
      events: facts.events,
      duplicates: facts.duplicates,
      conflicts: facts.conflicts,
      odd: facts.odd,
      first,
      last,
    }),
    close: () => {
      runs.forEach((one) => one.close());
      runs = [];
      current = arena(limit);
    },
  };
}
