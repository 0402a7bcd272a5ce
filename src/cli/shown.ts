/**
 * The list of removals that a dry run has shown: what --confirm then may carry out.
 *
 * @module
 */
import { sha256, text, utf8 } from "../bytes.ts";
import type { Shelf, State } from "../stage.ts";

/** So long a dry run binds. Later ones who confirm, timers above all, have not looked at it. */
const BINDS_MS = 60 * 60 * 1000;

/** Notes that people have seen this list, or with undefined that it has been dealt with. */
export async function noteShown(state: State, shelf: Shelf, list: string | undefined): Promise<void> {
  await state.put(keyOf(shelf), utf8(JSON.stringify(list === undefined ? {} : { list, at: Date.now() })));
}

/** The list that was shown within the last hour. */
export async function lastShown(state: State, shelf: Shelf): Promise<string | undefined> {
  const bytes = await state.get(keyOf(shelf));
  if (!bytes) return undefined;
  try {
    const { list, at } = JSON.parse(text(bytes)) as { list?: unknown; at?: unknown };
    const recent = typeof at === "number" && Math.abs(Date.now() - at) < BINDS_MS;
    return typeof list === "string" && recent ? list : undefined;
  } catch {
    return undefined; // cut off by a power failure: as if nothing had been shown
  }
}

function keyOf({ name, stores }: Shelf): string {
  const where = sha256(utf8(JSON.stringify(stores.map(({ url }) => url).sort())));
  return `shown ${name} ${where.slice(0, 16)}`;
}
