/**
 * Tasks that tell a plan's notifiers how they went.
 *
 * @module
 */
import type { PlanConfig, SourceConfig } from "../config.ts";
import { monitoringOf } from "../monitor.ts";
import { announced, type Outcome } from "../notify/announce.ts";
import type { EventTask } from "../notify/event.ts";
import type { CliRun } from "../cli.ts";
import type { Job } from "../job.ts";

/**
 * Runs one task of a plan and tells its notifiers; with `told`, only of what is new. Warnings of the run make a success a warning; that a notifier failed does not.
 * What crashes outside of any promise that is waited for ends the run as its failure.
 */
export async function telling<T>(
  job: Job,
  task: EventTask,
  options: Pick<CliRun, "log" | "warned">,
  work: () => Promise<T>,
  outcome: (result: T) => Outcome,
  told?: { readonly isSame: (result: T) => boolean; readonly note: (result: T) => Promise<void> },
): Promise<T> {
  const notifiers = monitoringOf(job.plan).notify ?? [];
  if (notifiers.length === 0) return await work();
  let own = 0;
  const log = {
    info: options.log.info,
    warn: (kind: string, message: string): void => {
      own++;
      options.log.warn(kind, message);
    },
  };
  const subject = { task, plan: job.name, log, hide: job.config === undefined ? [] : valuesOf(job.config) };
  const result = await announced(notifiers, subject, () => crashing(work), (result) => {
    const said = outcome(result);
    return said.kind === "success" && options.warned() > own ? { ...said, kind: "warning" } : said;
  }, told?.isSame);
  if (own === 0) await told?.note(result); // what has not reached everybody is told once more
  return result;
}

/** Work that also fails by what is thrown where nobody listens. */
async function crashing<T>(work: () => Promise<T>): Promise<T> {
  const { promise: crash, reject } = Promise.withResolvers<never>();
  const onError = (event: ErrorEvent): void => {
    event.preventDefault();
    reject(event.error);
  };
  const onRejection = (event: PromiseRejectionEvent): void => {
    event.preventDefault();
    reject(event.reason);
  };
  globalThis.addEventListener("error", onError);
  globalThis.addEventListener("unhandledrejection", onRejection);
  try {
    return await Promise.race([work(), crash]);
  } finally {
    globalThis.removeEventListener("error", onError);
    globalThis.removeEventListener("unhandledrejection", onRejection);
  }
}

/** The values of programs' environments, which may be secrets. */
function valuesOf({ collect }: PlanConfig): string[] {
  if (collect.tool === "prose") return [];
  const sources: readonly SourceConfig[] = collect.tool === "group"
    ? Object.values(collect.members)
    : [collect];
  return sources.flatMap((source) =>
    source.tool === "command" ? Object.values(source.options.env ?? {}) : []
  );
}
