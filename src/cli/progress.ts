/**
 * Progress on standard error: a bar with rate and remaining time on a terminal, one line a minute elsewhere.
 *
 * @module
 */
import { formatBytes, several } from "../bytes.ts";
import type { ProgressUpdate } from "../stage.ts";
import type { Terminal } from "./terminal.ts";

/** A progress display. */
export interface Bar {
  /** Takes an update; cheap. */
  readonly update: (update: ProgressUpdate) => void;
  /** Takes the bar off the screen, so that a line can be written. */
  readonly clear: () => void;
}

const REDRAW_MS = 100;
const LINE_MS = 60_000;
const WORDS = { collect: "Reading", upload: "Storing", restore: "Restoring", verify: "Verifying" } as const;

/** A display on `terminal`; a silent one when `quiet`. */
export function progressBar(
  terminal: Terminal,
  quiet: boolean,
  now: () => number = () => performance.now(),
): Bar {
  if (quiet) return { update: () => {}, clear: () => {} };
  const interval = terminal.live ? REDRAW_MS : LINE_MS;
  let phase: ProgressUpdate["phase"] | undefined;
  let started = 0;
  let total: number | undefined;
  let entries: number | undefined;
  let drawn = now() - (terminal.live ? REDRAW_MS : 0);
  let shown = false;
  const clear = (): void => {
    if (shown) terminal.draw("\r\x1b[K");
    shown = false;
  };
  return {
    clear,
    update: (update) => {
      // Reading and storing go on side by side; what is read is what an operator waits for.
      if (update.phase === "upload" && phase === "collect") return;
      const time = now();
      if (update.phase !== phase) {
        phase = update.phase;
        started = time;
        total = entries = undefined;
      }
      // Several stages report one phase, not all at the same entry.
      if (update.entries !== undefined) entries = Math.max(entries ?? 0, update.entries);
      total = update.totalBytes ?? total;
      if (time - drawn < interval) return;
      drawn = time;
      const text = describe({ ...update, entries }, total, time - started, terminal.live);
      if (!terminal.live) return terminal.err(text);
      terminal.draw(`\r\x1b[K${text.slice(0, Math.max(10, terminal.columns() - 1))}`);
      shown = true;
    },
  };
}

function describe(update: ProgressUpdate, total: number | undefined, ms: number, live: boolean): string {
  const rate = ms > 500 ? update.bytes / (ms / 1000) : 0;
  const parts: string[] = [WORDS[update.phase]];
  const share = total !== undefined && total > 0 ? Math.min(1, update.bytes / total) : undefined;
  // The total is that of the backup before: past it, it says nothing.
  const known = share !== undefined && update.bytes <= total!;
  if (known && live) parts.push(`[${"#".repeat(Math.floor(share * 20)).padEnd(20, ".")}]`);
  if (known) parts.push(`${Math.floor(share * 100)}%`);
  parts.push(formatBytes(update.bytes));
  if (update.entries !== undefined) parts.push(formatEntries(update.entries));
  if (rate > 0) parts.push(`${formatBytes(Math.round(rate))}/s`);
  if (known && rate > 0) parts.push(`${formatSeconds((total! - update.bytes) / rate)} left`);
  return parts.join("  ");
}

/** A number of entries for people. */
export function formatEntries(count: number): string {
  return several(count, "entry", "entries");
}

/** Seconds for people: "42 s", "3 min", "2 h 5 min". */
export function formatSeconds(seconds: number): string {
  const whole = Math.ceil(seconds);
  if (whole < 100) return `${whole} s`;
  const minutes = Math.round(whole / 60);
  return minutes < 100 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
