/**
 * What a plan's notifiers have been told of its health: a timer that finds the same again is news to nobody.
 *
 * @module
 */
import { sha256, text, utf8 } from "../bytes.ts";
import type { HealthResult } from "../health.ts";
import type { Shelf, State } from "../stage.ts";

/** What is still wrong is told again after a day. */
const REMIND_MS = 24 * 60 * 60 * 1000;

/** What has been told before, against what is found now. */
export interface Told {
  /** Whether the same has been told, and not too long ago. */
  readonly isSame: (found: HealthResult) => boolean;
  /** Notes that this has been told. */
  readonly note: (found: HealthResult) => Promise<void>;
}

/** Reads what this host remembers of a plan. */
export async function toldOf(state: State, { name, stores }: Shelf): Promise<Told> {
  const where = sha256(utf8(JSON.stringify(stores.map(({ url }) => url).sort()))).slice(0, 16);
  const key = `told ${name} ${where}`;
  const before = parse(await state.get(key));
  const isSame = (found: HealthResult): boolean => {
    const age = Math.abs(Date.now() - before.at);
    return before.said === essence(found) && (found.status === "healthy" || age < REMIND_MS);
  };
  return {
    isSame,
    note: async (found) => {
      if (isSame(found)) return; // else what is still wrong would never be old enough to be told again
      await state.put(key, utf8(JSON.stringify({ said: essence(found), at: Date.now() })));
    },
  };
}

/** What is wrong and where; ages and sizes change with every look. */
function essence({ status, findings }: HealthResult): string {
  const wrong = findings.map(({ code, store = "" }) => `${code} ${store}`).sort();
  return sha256(utf8(JSON.stringify([status, wrong])));
}

function parse(bytes: Uint8Array | undefined): { readonly said?: unknown; readonly at: number } {
  try {
    const { said, at } = JSON.parse(bytes ? text(bytes) : "{}") as { said?: unknown; at?: unknown };
    return { said, at: typeof at === "number" ? at : 0 };
  } catch {
    return { at: 0 }; // cut off by a power failure: as if nothing had been told
  }
}
