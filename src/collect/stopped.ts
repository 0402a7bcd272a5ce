/**
 * A service that stands still while its data is read.
 *
 * @module
 */
import { messageOf } from "../errors.ts";
import type { Context, Entry, FactSheet, Files, Stage } from "../stage.ts";
import { underway } from "../underway.ts";
import {
  alone,
  aloneOf,
  chained,
  chainedOf,
  plain,
  type PlainStage,
  rootsOf,
  weigh,
  weightOf,
} from "./plain.ts";
import { checkSpool, spooled } from "./spool.ts";
import { stoppable } from "./stoppable.ts";
import { keepAll, keptEntries } from "./stopped/keep.ts";
import { openPause, type Pause, type PauseOptions } from "./stopped/pause.ts";
import { type Control, controlOf, type Service } from "./stopped/service.ts";

/** How a service is stopped, and where its data waits. */
export interface StoppedOptions extends PauseOptions {
  /** Folder where the data waits, encrypted and without a name, once it is more than 4 MiB; default: the system's temporary folder. */
  readonly spoolDir?: string | undefined;
  /** How much must be free there before the service is stopped, in bytes. Default: what the files weigh now; nothing for other sources. */
  readonly spaceBytes?: number | undefined;
}

const NAME = "stopped";

/**
 * Stops a service, reads everything that `collector` has into a spool, starts the service again, and only then hands the data on: it
 * is down for as long as reading takes, not for as long as the upload does. The receipt records `downMs`.
 *
 * Before the stop: the collector's own checks, a look at all files, the service's programs or unit, and the room for the spool. A
 * service that does not run is neither stopped nor started. It is started again after success, failure and cancellation; after
 * `kill -9` and power loss by the next command of Holdfast, from a note on the disk that was synced before the stop. A service that does
 * not start again is an error, and so is one that something else started meanwhile: nothing is stored.
 *
 * Two runs never have one service: the second throws {@linkcode BusyError}.
 *
 * Undo with `want.inPlace` stops the service when the whole backup has been verified and lies beside its place, just before it is put
 * there, and starts it when that is done or was taken back. When it does not start on what was restored, that is taken back. With `want.into` the service is left alone.
 *
 * Throws TypeError or RangeError for wrong options.
 *
 * @example
 * ```ts ignore
 * collect.stopped({ unit: "prosody.service" }, collect.files(["/var/lib/prosody", "/etc/prosody"]));
 * ```
 */
export function stopped(
  service: Service,
  collector: Stage<void, Files>,
  options: StoppedOptions = {},
): Stage<void, Files> {
  const control = controlOf(service);
  checkOptions(options);
  const stage: PlainStage = {
    name: NAME,
    verb: "collect",
    secret: collector.secret,
    drill: collector.drill,
    run: (_input, context) => collect(control, collector, options, context),
    undo: (stored, context) => restore(control, collector, options, stored, context),
    [plain]: (want) => want.inPlace ? undefined : rootsOf(collector, want),
    [weigh]: (context) => weightOf(collector, context),
    [alone]: aloneOf(collector),
    [chained]: chainedOf(collector),
  };
  return stage;
}

function checkOptions({ stopTimeoutMs = 1, startTimeoutMs = 1, spaceBytes = 0 }: StoppedOptions): void {
  for (const [name, value] of Object.entries({ stopTimeoutMs, startTimeoutMs })) {
    if (!(value > 0 && value <= 2 ** 31 - 1)) {
      throw new RangeError(`Cannot use ${name} ${value}: use milliseconds above 0`);
    }
  }
  if (!(spaceBytes >= 0)) throw new RangeError(`Cannot use spaceBytes ${spaceBytes}: use a number of bytes`);
}

async function collect(
  control: Control,
  collector: Stage<void, Files>,
  options: StoppedOptions,
  context: Context,
): Promise<Files> {
  const what = `the data of "${control.name}"`;
  const files = await collector.run(undefined, context);
  let cutAt: Date | undefined;
  let pause: Pause | undefined;

  async function gather(signal: AbortSignal, kept: ReturnType<typeof spooled>): Promise<void> {
    const inner = { ...context, signal };
    const { spoolDir, spaceBytes = await weightOf(collector, inner) } = options;
    checkSpool(what, spoolDir, spaceBytes);
    const held = await openPause(control, options, inner);
    pause = held;
    await paused(held, async () => {
      await held.stop();
      cutAt = new Date();
      await keepAll(files, kept, context, signal);
      await held.undisturbed();
    });
  }

  async function* entries(signal: AbortSignal): AsyncGenerator<Entry, void, undefined> {
    if (pause) throw new Error("Cannot collect twice: run the stage anew");
    using kept = spooled(what, options.spoolDir);
    await underway(context.run, gather(signal, kept));
    yield* keptEntries(kept);
  }

  return {
    ...files,
    entries: () => stoppable(NAME, context.signal, entries),
    facts: (): FactSheet => {
      if (!pause || !cutAt) {
        throw new Error("Cannot tell the facts of a stopped service before it was stopped");
      }
      const { sources, ...rest } = files.facts();
      const own = { tool: NAME, cutAt: cutAt.toISOString(), facts: pause.facts() };
      return { ...rest, sources: [own, ...sources] };
    },
  };
}

/** Work with the service down, as far as `work` takes it down; up again whatever comes of it. */
async function paused(pause: Pause, work: () => Promise<void>): Promise<void> {
  try {
    try {
      await work();
    } catch (error) {
      await pause.resume().catch((second) => {
        throw new AggregateError([error, second], `${messageOf(second)}. Before that: ${messageOf(error)}`);
      });
      throw error;
    }
    await pause.resume();
  } finally {
    pause.release();
  }
}

async function restore(
  control: Control,
  collector: Stage<void, Files>,
  options: StoppedOptions,
  stored: Files,
  context: Context,
): Promise<void> {
  if (!context.want.inPlace || context.want.dryRun) return await collector.undo(stored, context);
  const pause = await openPause(control, options, context);
  await paused(pause, async () => {
    // Its end says that all of it is verified; until then the service has no reason to be down.
    async function* entries(wanted?: (path: string) => boolean): AsyncGenerator<Entry, void, undefined> {
      yield* stored.entries(wanted);
      await pause.stop();
    }
    // The old data is dropped only when the service runs on the new.
    const confirm = async (): Promise<void> => {
      try {
        await pause.trial();
        await context.want.confirm?.();
      } catch (error) {
        await pause.halt().catch((second) => context.log.warn("service", messageOf(second)));
        throw error;
      }
    };
    await collector.undo({ ...stored, entries }, { ...context, want: { ...context.want, confirm } });
  });
}
