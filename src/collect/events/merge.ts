/**
 * Sorted events into one sequence of lines, each once.
 *
 * @module
 */
import type { U8 } from "../../stage.ts";
import { canonical, parseExact } from "./exact.ts";
import { idSet } from "./ids.ts";
import { compareBytes, comparePlaces, type Cursor, type Place } from "./run.ts";

/** Events between two looks at the rest of the world. */
const STRIDE = 1024;

/** Merges cursors by a heap; `take` sees every event in order. Yields now and then. */
export async function* merge(
  cursors: readonly Cursor[],
  take: (place: Readonly<Place>) => void,
): AsyncGenerator<void, void, undefined> {
  const heap: Cursor[] = [];
  for (const cursor of cursors) {
    const stepped = cursor.step();
    if (stepped === true || (stepped !== false && await stepped)) {
      heap.push(cursor);
      rise(heap);
    }
  }
  for (let count = 1; heap.length > 0; count++) {
    const top = heap[0]!;
    take(top.place);
    const stepped = top.step();
    if (stepped !== true && (stepped === false || !await stepped)) {
      const end = heap.pop()!;
      if (heap.length > 0) heap[0] = end;
    }
    sink(heap);
    if (count % STRIDE === 0) yield;
  }
}

function rise(heap: Cursor[]): void {
  for (let at = heap.length - 1; at > 0;) {
    const parent = (at - 1) >> 1;
    if (comparePlaces(heap[parent]!.place, heap[at]!.place) <= 0) return;
    [heap[parent], heap[at]] = [heap[at]!, heap[parent]!];
    at = parent;
  }
}

function sink(heap: Cursor[]): void {
  for (let at = 0;;) {
    let least = 2 * at + 1;
    if (least >= heap.length) return;
    if (least + 1 < heap.length && comparePlaces(heap[least + 1]!.place, heap[least]!.place) < 0) least++;
    if (comparePlaces(heap[at]!.place, heap[least]!.place) <= 0) return;
    [heap[at], heap[least]] = [heap[least]!, heap[at]!];
    at = least;
  }
}

/** Collects lines, and leaves out what was there before. */
export interface LineWriter {
  /** Takes the next event in order; gives whether it came out. */
  readonly add: (place: Readonly<Place>) => boolean;
  /** The lines so far, once there are many. */
  readonly full: () => U8 | undefined;
  /** The lines so far. */
  readonly rest: () => U8;
}

/** What a writer counts. */
export interface LineCounts {
  events: number;
  duplicates: number;
  conflicts: number;
}

const BLOCK = 1 << 18;
/** Ids that are compared whatever their times; past them, only events of the same time are. */
const IDS = 1 << 21;

/** Makes a writer. Two events with one id that say different things both come out, and `conflict` is told. */
export function lineWriter(counts: LineCounts, conflict: (id: string) => void, most = IDS): LineWriter {
  let block: U8 = new Uint8Array(BLOCK + 4096);
  let fill = 0;
  let last: U8 = new Uint8Array(0);
  let lastId = { start: 0, end: 0 };
  const ids = idSet();

  function same({ bytes, start, end }: Readonly<Place>): boolean {
    return compareBytes(last, 0, last.length, bytes, start, end) === 0;
  }

  function isFresh({ bytes, idStart, idEnd }: Readonly<Place>): boolean {
    if (ids.size() < most) return ids.add(bytes, idStart, idEnd);
    // Equal times stand together: the one before has this id, or the set is the only one to ask.
    const again = compareBytes(last, lastId.start, lastId.end, bytes, idStart, idEnd) === 0;
    return !again && !ids.has(bytes, idStart, idEnd);
  }

  function add(place: Readonly<Place>): boolean {
    const { bytes, start, end, idStart, idEnd } = place;
    if (last.length > 0 && same(place)) {
      counts.duplicates++;
      return false;
    }
    const named = idEnd > idStart;
    if (named && !isFresh(place)) {
      if (last.length > 0 && means(last) === means(bytes.subarray(start, end))) {
        counts.duplicates++;
        return false;
      }
      counts.conflicts++;
      conflict(new TextDecoder().decode(bytes.subarray(idStart, idEnd)));
    }
    append(bytes, start, end);
    lastId = { start: idStart - start, end: idEnd - start };
    counts.events++;
    return true;
  }

  function append(bytes: U8, start: number, end: number): void {
    const size = end - start;
    if (fill + size + 1 > block.length) {
      const wider = new Uint8Array(Math.max(block.length * 2, fill + size + 1));
      wider.set(block.subarray(0, fill));
      block = wider;
    }
    block.set(bytes.subarray(start, end), fill);
    last = block.subarray(fill, fill + size);
    fill += size;
    block[fill++] = 0x0a;
  }

  function rest(): U8 {
    const lines = block.subarray(0, fill);
    last = last.slice(); // whoever takes the block may give its buffer away
    block = new Uint8Array(BLOCK + 4096);
    fill = 0;
    return lines;
  }

  return { add, full: () => fill >= BLOCK ? rest() : undefined, rest };
}

/** What an event says, however it is written. Throws SyntaxError. */
export function means(bytes: U8): string {
  return canonical(parseExact(new TextDecoder().decode(bytes)));
}
