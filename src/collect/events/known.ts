/**
 * What a log has already, so that only what it lacks is handed on.
 *
 * @module
 */
import { utf8 } from "../../bytes.ts";
import type { U8 } from "../../stage.ts";
import { type IdSet, idSet } from "./ids.ts";
import { means } from "./merge.ts";
import type { Place } from "./run.ts";

/** Where known events come from. */
export interface KnownEvents {
  /** Hands on ids: whatever has one of them does not come out. */
  readonly ids?: ((know: (id: U8) => void) => Promise<void>) | undefined;
  /** Hands on events: they do not come out, but a different one under the same id does, and is reported. May be asked twice. */
  readonly events?: ((know: (id: U8, event: U8) => void) => Promise<void>) | undefined;
}

/** Tells what is known. */
export interface Known {
  /** Asks for what is known. */
  readonly load: () => Promise<void>;
  /** Whether an event is known as it is; one whose id alone is known can only be told once it is `settled`. */
  readonly has: (place: Readonly<Place>) => boolean;
  /** To be awaited before `differs` and `repeats`. */
  readonly settled: () => Promise<void>;
  /** Whether an event's id is known with other bytes. */
  readonly differs: (place: Readonly<Place>) => boolean;
  /** Whether an event that differs says the same as a known one, and is only written in another way. */
  readonly repeats: (place: Readonly<Place>) => boolean;
}

/** Nothing known yet. */
export function known({ ids, events }: KnownEvents): Known {
  const names = idSet();
  const taken = idSet();
  const wholes = idSet();
  const meanings = idSet();
  let doubtful = false;
  const bytesIn = (set: IdSet, bytes: U8): boolean => set.has(bytes, 0, bytes.length);
  const differs = ({ bytes, idStart, idEnd }: Readonly<Place>): boolean =>
    idEnd > idStart && taken.size() > 0 && taken.has(bytes, idStart, idEnd);

  return {
    load: async () => {
      await ids?.((id) => void names.add(id, 0, id.length));
      await events?.((id, event) => {
        taken.add(id, 0, id.length);
        wholes.add(event, 0, event.length);
      });
    },
    has: (place) => {
      const { bytes, start, end, idStart, idEnd } = place;
      if (names.size() > 0 && names.has(bytes, idStart, idEnd)) return true;
      if (wholes.size() === 0) return false;
      if (wholes.has(bytes, start, end)) return true;
      doubtful ||= differs(place);
      return false;
    },
    // What events mean is costly to tell, and hardly ever asked: only then are they read again.
    settled: async () => {
      if (!doubtful || meanings.size() > 0) return;
      await events?.((_, event) => {
        const meaning = meaningOf(event);
        meanings.add(meaning, 0, meaning.length);
      });
    },
    differs,
    repeats: ({ bytes, start, end }) => bytesIn(meanings, meaningOf(bytes.subarray(start, end))),
  };
}

function meaningOf(event: U8): U8 {
  try {
    return utf8(means(event));
  } catch {
    return event; // no JSON: it means what it is
  }
}
