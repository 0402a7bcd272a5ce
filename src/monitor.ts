/**
 * What is watched about a plan: its limits of health, its targets, who is told of its runs. A configuration says it in its own tables, a TypeScript plan with
 * `monitor(plan, { ... })`.
 *
 * @module
 */
import type { Plan } from "./find.ts";
import { checkLimits, type HealthLimits } from "./health/limits.ts";
import { type Targets, targetValues } from "./report/targets.ts";
import type { Notifier } from "./notify/event.ts";

/** What is watched about a plan. */
export interface Monitoring {
  /** From when on `health` complains. */
  readonly health?: HealthLimits | undefined;
  /** What `report` measures it against. */
  readonly targets?: Targets | undefined;
  /** Who is told of its runs: `backup` tells them by itself, the tasks of drills, verifications and health as well. */
  readonly notify?: readonly Notifier[] | undefined;
}

/** A plan, and what is watched about it. */
export interface MonitoredPlan extends Plan {
  /** What `monitor` was given. */
  readonly monitoring: Monitoring;
}

/**
 * The same plan with what is to be watched about it, which tasks and operations read from it. Further stages cannot be added
 * behind it. Throws TypeError or RangeError for limits that cannot be understood.
 */
export function monitor(plan: Plan, monitoring: Monitoring): MonitoredPlan {
  checkLimits(monitoring.health ?? {});
  targetValues(monitoring.targets ?? {});
  return { ...plan, monitoring };
}

/** What `monitor` was given for this plan; nothing for others. */
export function monitoringOf(plan: Plan): Monitoring {
  return "monitoring" in plan ? (plan as MonitoredPlan).monitoring : {};
}
