/**
 * Events waiting in order: in memory, or as a run in a spool.
 *
 * @module
 */
import { type Spool, spool } from "../spool.ts";
import type { U8 } from "../../stage.ts";

/** Where the current event of a cursor lies. */
export interface Place {
  /** Holds it. */
  bytes: U8;
  /** Its first byte. */
  start: number;
  /** One past its last. */
  end: number;
  /** Its id's first byte. */
  idStart: number;
  /** One past its id's last; equal to idStart when it has none. */
  idEnd: number;
  /** Its time, billions. */
  high: number;
  /** Its time, the rest. */
  low: number;
}

/** A walk over events in order. */
export interface Cursor {
  /** The current event. */
  readonly place: Place;
  /** Moves to the next event. True: it is there. False: at the end. A promise: it has to be read first. */
  readonly step: () => boolean | Promise<boolean>;
}

/** Events in memory, in the order they came. */
export interface Arena {
  /** Bytes held, bookkeeping included. */
  readonly size: () => number;
  /** Takes an event. */
  readonly add: (place: Readonly<Place>) => void;
  /** A walk in order, good until something is added or cleared. */
  readonly sorted: () => Cursor;
  /** Forgets all events, and keeps the memory for the next ones. */
  readonly clear: () => void;
}

/** Numbers of one event in an arena: start, end, start and end of its id, both parts of its time. */
const NUMBERS = 6;
/** Bytes of bookkeeping for an event. */
const OVERHEAD = NUMBERS * 8;

/** An empty arena, for about `limit` bytes: it grows by doubling up to there, and past it only for a single event. */
export function arena(limit: number): Arena {
  let bytes: U8 = new Uint8Array(1 << 16);
  let fill = 0;
  let numbers = new Float64Array(NUMBERS << 10);
  let count = 0;

  function reserve(size: number): void {
    if (fill + size > bytes.length) {
      const wider = new Uint8Array(Math.max(Math.min(bytes.length * 2, limit), fill + size));
      wider.set(bytes.subarray(0, fill));
      bytes = wider;
    }
    if (count * NUMBERS === numbers.length) {
      const wider = new Float64Array(numbers.length * 2);
      wider.set(numbers);
      numbers = wider;
    }
  }

  function add(place: Readonly<Place>): void {
    const size = place.end - place.start;
    reserve(size);
    bytes.set(place.bytes.subarray(place.start, place.end), fill);
    const shift = fill - place.start;
    const at = NUMBERS * count++;
    numbers[at] = fill;
    numbers[at + 1] = fill += size;
    numbers[at + 2] = place.idStart + shift;
    numbers[at + 3] = place.idEnd + shift;
    numbers[at + 4] = place.high;
    numbers[at + 5] = place.low;
  }

  function show(place: Place, event: number): void {
    const at = NUMBERS * event;
    place.bytes = bytes;
    place.start = numbers[at]!;
    place.end = numbers[at + 1]!;
    place.idStart = numbers[at + 2]!;
    place.idEnd = numbers[at + 3]!;
    place.high = numbers[at + 4]!;
    place.low = numbers[at + 5]!;
  }

  function sorted(): Cursor {
    const order = Uint32Array.from({ length: count }, (_, i) => i);
    const left = emptyPlace();
    const right = emptyPlace();
    order.sort((a, b) => {
      show(left, a);
      show(right, b);
      return comparePlaces(left, right);
    });
    const place = emptyPlace();
    let next = 0;
    return {
      place,
      step: () => {
        if (next === order.length) return false;
        show(place, order[next++]!);
        return true;
      },
    };
  }

  return {
    size: () => fill + count * OVERHEAD,
    add,
    sorted,
    clear: () => {
      fill = 0;
      count = 0;
    },
  };
}

/** Bytes before each event of a run: lengths of event and id, where the id starts, the time. */
const HEAD = 32;

/** A run has left the arena because memory was short: none of it stays there. */
const RUN_MEMORY = 0;

/** Events in order, on disk under a key that only this process has. */
export interface Run {
  /** Takes the next event. */
  readonly add: (place: Readonly<Place>) => void;
  /** A walk; once. */
  readonly open: () => Cursor;
  /** Frees everything. */
  readonly close: () => void;
}

/** An empty run. */
export function run(spoolDir: string | undefined): Run {
  const kept: Spool = spool("events", spoolDir, RUN_MEMORY);
  const head = new Uint8Array(HEAD);
  const view = new DataView(head.buffer);
  return {
    add: ({ bytes, start, end, idStart, idEnd, high, low }) => {
      view.setUint32(0, end - start);
      view.setUint32(4, idStart - start);
      view.setUint32(8, idEnd - idStart);
      view.setFloat64(12, high);
      view.setUint32(20, low);
      kept.write(head);
      kept.write(bytes.subarray(start, end));
    },
    open: () => runCursor(kept),
    close: kept.close,
  };
}

function runCursor(kept: Spool): Cursor {
  const reader = kept.read().getReader();
  const place = emptyPlace();
  let bytes: U8 = new Uint8Array(0);
  let view = new DataView(bytes.buffer);
  let at = 0;

  /** Whether the next event is in memory; then it is the current one. */
  function take(): boolean {
    if (bytes.length - at < HEAD) return false;
    const size = view.getUint32(at);
    if (bytes.length - at - HEAD < size) return false;
    place.bytes = bytes;
    place.start = at + HEAD;
    place.end = place.start + size;
    place.idStart = place.start + view.getUint32(at + 4);
    place.idEnd = place.idStart + view.getUint32(at + 8);
    place.high = view.getFloat64(at + 12);
    place.low = view.getUint32(at + 20);
    at = place.end;
    return true;
  }

  async function refill(): Promise<boolean> {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return false;
      const joined = new Uint8Array(bytes.length - at + value.length);
      joined.set(bytes.subarray(at));
      joined.set(value, bytes.length - at);
      bytes = joined;
      view = new DataView(bytes.buffer);
      at = 0;
      if (take()) return true;
    }
  }

  return { place, step: () => take() || refill() };
}

/** Nothing, nowhere. */
export function emptyPlace(): Place {
  return { bytes: new Uint8Array(0), start: 0, end: 0, idStart: 0, idEnd: 0, high: 0, low: 0 };
}

/** Order of two events: by time, then id, then all bytes. */
export function comparePlaces(a: Readonly<Place>, b: Readonly<Place>): number {
  return a.high - b.high || a.low - b.low ||
    compareBytes(a.bytes, a.idStart, a.idEnd, b.bytes, b.idStart, b.idEnd) ||
    compareBytes(a.bytes, a.start, a.end, b.bytes, b.start, b.end);
}

/** Order of two byte sequences: by bytes, a beginning before the whole. */
export function compareBytes(
  a: U8,
  aStart: number,
  aEnd: number,
  b: U8,
  bStart: number,
  bEnd: number,
): number {
  const size = Math.min(aEnd - aStart, bEnd - bStart);
  for (let i = 0; i < size; i++) {
    const difference = a[aStart + i]! - b[bStart + i]!;
    if (difference !== 0) return difference;
  }
  return aEnd - aStart - (bEnd - bStart);
}
