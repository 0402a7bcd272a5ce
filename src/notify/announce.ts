/**
 * Tells of a run: once at its start, and exactly once at its end, however it ends.
 *
 * @module
 */
import { clearTimeout, setTimeout } from "node:timers";
import { hostname } from "node:os";
import { ulid } from "../context.ts";
import { messageOf } from "../errors.ts";
import type { Log } from "../stage.ts";
import type { EventKind, EventTask, Notifier, RunEvent } from "./event.ts";
import { redact } from "./redact.ts";

/** What a run is about. */
export interface Subject {
  /** The kind of run. */
  readonly task: EventTask;
  /** The plan's name. */
  readonly plan: string;
  /** Where a notifier's failure is reported, as the warning "notify". */
  readonly log?: Log | undefined;
  /** Values that must not be told, such as those of a program's environment. */
  readonly hide?: readonly string[] | undefined;
}

/** What a run came to. */
export interface Outcome
  extends Pick<RunEvent, "id" | "bytes" | "contentBytes" | "entries" | "warnings" | "error"> {
  /** How it ended. */
  readonly kind: Exclude<EventKind, "start">;
  /** What there is to say. */
  readonly text: string;
}

/**
 * Runs `work` and tells its start and its end. The start does not hold the work up; a notifier that fails, or takes longer than its
 * time, is a warning ("notify") and changes nothing else. What `work` throws is told as a failure and thrown again; `outcome` says
 * what its result comes to. With `isSame`, the start and a result that is the same as before go only to notifiers that repeat.
 */
export async function announced<T>(
  notifiers: readonly Notifier[],
  subject: Subject,
  work: () => Promise<T>,
  outcome: (result: T) => Outcome,
  isSame?: (result: T) => boolean,
): Promise<T> {
  const wanted = notifiers.filter(({ of }) => of.includes(subject.task));
  if (wanted.length === 0) return await work();
  const began = performance.now();
  const base = { task: subject.task, plan: subject.plan, host: hostName(), run: ulid(new Date()) };
  const tell = (kind: EventKind, end: Omit<Outcome, "kind">, news = true): Promise<void> =>
    tellAll(wanted.filter(({ repeat = true }) => news || repeat), subject, {
      ...base,
      ...end,
      kind,
      at: new Date().toISOString(),
      title: `${subject.plan}: ${subject.task} ${WORDS[kind]} on ${base.host}`,
      ...(kind !== "start" && { durationMs: Math.round(performance.now() - began) }),
    });
  // Not waited for: the end is told after it, so that they arrive in order.
  const started = tell(
    "start",
    { text: `The ${subject.task} of "${subject.plan}" has begun` },
    isSame === undefined,
  );
  let result: T;
  try {
    result = await work();
  } catch (error) {
    await started;
    const why = messageOf(error);
    await tell("failure", { text: why, error: why });
    throw error;
  }
  await started;
  const { kind, ...end } = outcome(result);
  await tell(kind, end, !isSame?.(result));
  return result;
}

const WORDS: Readonly<Record<EventKind, string>> = {
  start: "started",
  success: "complete",
  warning: "complete with warnings",
  failure: "failed",
};

async function tellAll(notifiers: readonly Notifier[], subject: Subject, event: RunEvent): Promise<void> {
  const hide = subject.hide ?? [];
  const safe: RunEvent = {
    ...event,
    title: redact(event.title, hide).replaceAll(/\s+/g, " "),
    text: redact(event.text, hide),
    ...(event.error !== undefined && { error: redact(event.error, hide) }),
  };
  await Promise.all(
    notifiers.filter(({ on }) => on.includes(event.kind)).map(async (notifier) => {
      try {
        await inTime(notifier, safe);
      } catch (error) {
        const why = redact(messageOf(error), hide);
        subject.log?.warn(
          "notify",
          `Cannot tell of the ${event.kind} by ${notifier.name}: ${why}. The run itself is not affected`,
        );
      }
    }),
  );
}

/** Sends, and gives up when the time is over, even on a notifier that does not listen to its signal. */
async function inTime(notifier: Notifier, event: RunEvent): Promise<void> {
  const controller = new AbortController();
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    const error = new Error(`it took longer than ${notifier.timeoutMs} ms`);
    reject(error);
    controller.abort(error);
  }, notifier.timeoutMs);
  const sending = (async () => await notifier.send(event, controller.signal))();
  sending.catch(() => {}); // when it is late, its own end is nobody's concern
  try {
    await Promise.race([sending, late]);
  } finally {
    clearTimeout(timer);
  }
}

function hostName(): string {
  try {
    return hostname();
  } catch {
    return "(unknown)"; // without --allow-sys=hostname
  }
}
