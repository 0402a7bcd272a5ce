/**
 * When a plan was last drilled, and how it went.
 *
 * @module
 */
import type { ShelvedEvent } from "../catalog.ts";
import { formatSpan } from "../duration.ts";
import { IntegrityError } from "../errors.ts";
import { provenReceipt } from "../ledger.ts";
import type { Context, Shelf } from "../stage.ts";
import { type Finding, finding } from "./finding.ts";
import type { Bounds } from "./limits.ts";
import type { Glance } from "./store.ts";

/** The newest successful drill, from the newest event back. */
export async function drilled(
  glances: readonly Glance[],
  shelf: Shelf,
  { drillAgeMs }: Bounds,
  { now, state }: Context,
): Promise<{ at?: string; findings: Finding[] }> {
  if (drillAgeMs === Infinity) return { findings: [] };
  const events = glances.flatMap((glance) =>
    glance.catalog.events.filter(({ event }) => event === "drill").map((event) => ({ glance, event }))
  ).sort((a, b) => b.event.time.getTime() - a.event.time.getTime());
  const findings: Finding[] = [];
  let at: string | undefined;
  for (const { glance, event } of events.slice(0, 20)) {
    const { outcome, completedAt, subject } = await readDrill(glance, event, shelf, state) ?? {};
    if (outcome === "complete") {
      at = completedAt;
      break;
    }
    if (outcome === "failed" && findings.length === 0) {
      findings.push(finding(
        "drill-failed",
        `The last drill of "${shelf.name}", of "${subject}" at ${completedAt}, failed`,
        'Run "drill" again and read what it says: as it stands, nobody knows whether a restore works',
        glance.store.url,
      ));
    }
  }
  const first = Math.min(
    ...glances.flatMap(({ catalog }) => catalog.backups.map(({ time }) => time.getTime())),
  );
  const since = at === undefined ? first : Date.parse(at);
  if (now.getTime() - since > drillAgeMs) {
    const what = at === undefined
      ? "has never been drilled"
      : `was last drilled ${formatSpan(now.getTime() - since)} ago`;
    const limit = `the limit is ${formatSpan(drillAgeMs)}`;
    findings.push(
      finding("drill", `"${shelf.name}" ${what}, ${limit}`, 'Run "drill" where the identity is at hand'),
    );
  }
  return { ...(at !== undefined && { at }), findings };
}

async function readDrill(
  { store }: Glance,
  event: ShelvedEvent,
  shelf: Shelf,
  state: Context["state"],
): Promise<{ outcome: string; completedAt: string; subject: string } | undefined> {
  try {
    const { receipt } = await provenReceipt(store, event.key, shelf, state);
    return receipt.event === "drill"
      ? { outcome: receipt.outcome, completedAt: receipt.completedAt, subject: receipt.subject.id }
      : undefined;
  } catch (error) {
    if (error instanceof IntegrityError) return undefined; // what is not proven says nothing; verify names it
    throw error;
  }
}
