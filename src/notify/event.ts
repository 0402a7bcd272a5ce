/**
 * What is told about a run, and who tells it.
 *
 * @module
 */

/** "start" of a run, and its end: "success", "warning" (complete, and something is missing or odd) or "failure". */
export type EventKind = "start" | "success" | "warning" | "failure";

/** What kind of run it is. */
export type EventTask = "backup" | "drill" | "verify" | "health";

/** Everything that is told about a moment of a run. It holds no secret: texts are redacted before a notifier sees them. */
export interface RunEvent {
  /** What has happened. */
  readonly kind: EventKind;
  /** The kind of run. */
  readonly task: EventTask;
  /** The plan's name. */
  readonly plan: string;
  /** The machine's name. */
  readonly host: string;
  /** The run's id (ULID), the same at its start and its end. */
  readonly run: string;
  /** When (RFC 3339, UTC). */
  readonly at: string;
  /** One short line: "app: backup failed on web1". */
  readonly title: string;
  /** What there is to say, in a line or several. */
  readonly text: string;
  /** How long the run took, in milliseconds; only at its end. */
  readonly durationMs?: number | undefined;
  /** The archive's file name. */
  readonly id?: string | undefined;
  /** Length of the archive. */
  readonly bytes?: number | undefined;
  /** Length of the content. */
  readonly contentBytes?: number | undefined;
  /** Number of entries. */
  readonly entries?: number | undefined;
  /** Warnings by kind. */
  readonly warnings?: Readonly<Record<string, number>> | undefined;
  /** What went wrong, in a failure. */
  readonly error?: string | undefined;
}

/** Tells of events in one way. One that fails is a warning of the run, never its failure. */
export interface Notifier {
  /** What it is called in warnings, without secrets: "ntfy (https://ntfy.sh)". */
  readonly name: string;
  /** The kinds it wants. */
  readonly on: readonly EventKind[];
  /** The tasks it wants. */
  readonly of: readonly EventTask[];
  /** Whether it is also told of a health check that finds the same as the one before. Default: true. */
  readonly repeat?: boolean | undefined;
  /** The most time that one event may take, in milliseconds. */
  readonly timeoutMs: number;
  /** Tells of one event; throws when that was not possible. `signal` fires when its time is up. */
  readonly send: (event: RunEvent, signal: AbortSignal) => Promise<void>;
}

/** What every notifier takes. */
export interface NotifierOptions {
  /** Kinds to tell of. */
  readonly on?: readonly EventKind[] | undefined;
  /** Tasks to tell of. Default: all; for healthchecks "backup" alone, since a check has one schedule. */
  readonly of?: readonly EventTask[] | undefined;
  /**
   * Whether to tell of a health check's start, and of an end that finds the same as the check before (what is wrong is told again after a
   * day). Default: false; true for healthchecks and Prometheus, to which silence means something.
   */
  readonly repeat?: boolean | undefined;
  /** The most time one event may take, retries included, in milliseconds: 100 to 120,000. Default: 10,000. */
  readonly timeoutMs?: number | undefined;
}

/** Something secret, asked for when it is needed. */
export type Secret = () => string | Promise<string>;

/** Every kind, in the order of a run. */
export const KINDS: readonly EventKind[] = ["start", "success", "warning", "failure"];
/** Every task. */
export const TASKS: readonly EventTask[] = ["backup", "drill", "verify", "health"];

/** Makes a notifier from what all of them have. Throws TypeError or RangeError for options that cannot be. */
export function notifier(
  name: string,
  options: NotifierOptions,
  defaults: {
    readonly on: readonly EventKind[];
    readonly of?: readonly EventTask[];
    readonly repeat?: boolean;
  },
  send: Notifier["send"],
): Notifier {
  const { on = defaults.on, of = defaults.of ?? TASKS, timeoutMs = 10_000 } = options;
  const { repeat = defaults.repeat ?? false } = options;
  for (const [key, given, known] of [["on", on, KINDS], ["of", of, TASKS]] as const) {
    const odd = given.find((word) => !(known as readonly string[]).includes(word));
    if (odd !== undefined || given.length === 0) {
      throw new TypeError(
        `Cannot notify by ${name}: "${key}" ${odd === undefined ? "is empty" : `knows no "${odd}"`}. Known: ${
          known.join(", ")
        }`,
      );
    }
  }
  if (!(timeoutMs >= 100 && timeoutMs <= 120_000)) {
    throw new RangeError(
      `Cannot notify by ${name}: timeoutMs is ${timeoutMs}, it must be from 100 to 120,000`,
    );
  }
  return { name, on, of, repeat, timeoutMs, send };
}
