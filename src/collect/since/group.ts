/**
 * What is gone from a group: of members that store only what has changed what they list, of all others what they were.
 *
 * @module
 */
import { utf8 } from "../../bytes.ts";
import { StoreError } from "../../errors.ts";
import type { Entry } from "../../stage.ts";
import { spool } from "../spool.ts";
import { goneEntry } from "./compare.ts";

/** The list of a group, while its members are stored. */
export interface GroupGone {
  /** A member's own list, whose entry this is. */
  readonly listed: (name: string, entry: Entry) => Promise<void>;
  /** A member that was stored whole: nothing of what it was before is left. */
  readonly whole: (name: string) => void;
  /** The group's list, if its members are what has changed since `bases`. Throws {@linkcode StoreError} where these are several. */
  readonly end: (bases: readonly string[], now: Date) => Generator<Entry, void, undefined>;
  /** Frees what it holds. */
  readonly close: () => void;
}

/** Begins a list. */
export function groupGone(): GroupGone {
  const list = spool("the list of what is gone", undefined);

  async function listed(name: string, { body }: Entry): Promise<void> {
    const folder = utf8(`${name}/`);
    let inside = false;
    for await (const chunk of typeof body === "function" ? body() : body ? [body] : []) {
      for (let at = 0; at < chunk.length;) {
        const nul = chunk.indexOf(0, at);
        const end = nul < 0 ? chunk.length : nul + 1;
        if (!inside) list.write(folder);
        list.write(chunk.subarray(at, end));
        inside = nul < 0;
        at = end;
      }
    }
  }

  function* end(bases: readonly string[], now: Date): Generator<Entry, void, undefined> {
    const [base, other] = new Set(bases);
    if (other !== undefined) {
      throw new StoreError(
        `Cannot store what has changed: while it was collected, "${other}" came after "${base}" in the store. Another run is under way there; ` +
          "run this one again",
      );
    }
    if (base !== undefined) yield goneEntry(list.size(), now, list.read);
  }

  return { listed, whole: (name) => list.write(utf8(`${name}\0`)), end, close: list.close };
}
