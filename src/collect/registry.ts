/**
 * Which restores are under way on this host, so that any later run can take back what a crash left.
 *
 * State only gets and puts, so each restore writes to one of 16 lists at random, and looks again before its first move: two
 * processes that write at the same moment rarely meet, and a lost line is put back in time.
 *
 * @module
 */
import { text, utf8 } from "../bytes.ts";
import type { State } from "../stage.ts";

const SLOTS = 16;

/** A line in the registry. */
export interface Registration {
  /** Writes the line again if another process's write lost it. */
  readonly renew: () => Promise<void>;
  /** Removes the line. */
  readonly remove: () => Promise<void>;
}

/** Registers staging folders. */
export async function register(state: State, paths: readonly string[]): Promise<Registration> {
  const key = slot(Math.floor(Math.random() * SLOTS));
  async function renew(): Promise<void> {
    const lines = await read(state, key);
    const missing = paths.filter((path) => !lines.includes(path));
    if (missing.length > 0) await state.put(key, utf8(JSON.stringify([...lines, ...missing])));
  }
  await renew();
  return { renew, remove: () => drop(state, key, paths) };
}

/** Every registered staging folder, with a way to forget it. */
export async function registered(state: State): Promise<{ path: string; forget: () => Promise<void> }[]> {
  const all = [];
  for (let i = 0; i < SLOTS; i++) {
    const key = slot(i);
    for (const path of await read(state, key)) all.push({ path, forget: () => drop(state, key, [path]) });
  }
  return all;
}

async function drop(state: State, key: string, paths: readonly string[]): Promise<void> {
  const lines = await read(state, key);
  const rest = lines.filter((line) => !paths.includes(line));
  if (rest.length < lines.length) await state.put(key, utf8(JSON.stringify(rest)));
}

async function read(state: State, key: string): Promise<string[]> {
  const bytes = await state.get(key);
  if (!bytes) return [];
  try {
    const value: unknown = JSON.parse(text(bytes));
    return Array.isArray(value) ? value.filter((line) => typeof line === "string") : [];
  } catch {
    // Losing state is safe: leftovers are also looked for beside a target.
    return [];
  }
}

function slot(index: number): string {
  return `restores-${String(index).padStart(2, "0")}`;
}
