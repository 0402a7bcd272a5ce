/**
 * What a restore came to, in numbers.
 *
 * @module
 */
import type { GiveBackResult } from "./restore.ts";

/** The numbers for people. */
export function summary(result: GiveBackResult, dryRun: boolean): string {
  const { events, bad, present, capped, replaced, sent, imported, duplicates, refused, unverified, kept } =
    result;
  const parts = [`${events} events, ${present} already there`];
  if (capped > 0) parts.push(`${capped} not sent: it would drop them by its caps`);
  if (bad > 0) parts.push(`${bad} lines left out`);
  if (dryRun) parts.push(`${events - present - capped} to send`);
  else {
    parts.push(`${sent} sent: ${imported} imported, ${duplicates} not taken, ${refused} refused`);
    if (replaced > 0) parts.push(`${replaced} of its own made room`);
    if (unverified > 0) parts.push(`${unverified} taken without a key for their signature`);
    if (sent > 0) {
      parts.push(kept < imported ? `only ${kept} are there afterwards` : `${kept} are there afterwards`);
    }
  }
  return parts.join("; ");
}
