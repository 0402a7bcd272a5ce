/**
 * One stop of one service, and its start again, come what may.
 *
 * @module
 */
import { BusyError, messageOf } from "../../errors.ts";
import type { Context } from "../../stage.ts";
import { recover } from "../recover.ts";
import { bringDown, bringUp, startAgain, staysUp } from "./bring.ts";
import { journalFolder, keyOf, lockService, readRecord, writeRecord } from "./journal.ts";
import type { Control } from "./service.ts";

/** How long things may take, and where it is written down. */
export interface PauseOptions {
  /** How long the service may take to stop, in milliseconds. Default: 120,000. */
  readonly stopTimeoutMs?: number | undefined;
  /** How long it may take to start, in milliseconds. Default: 120,000. */
  readonly startTimeoutMs?: number | undefined;
  /** Folder for the note of what is stopped; default: `stopped` in the user's state folder, where every command looks. */
  readonly journalDir?: string | undefined;
}

/** A stop, from the checks before it to the start after it. */
export interface Pause {
  /** Writes the note, then stops the service and sees that it is stopped. */
  readonly stop: () => Promise<void>;
  /** Starts it on trial, if `stop` was called: the note stays until `resume`. */
  readonly trial: () => Promise<void>;
  /** Ends a trial: stops it again, whatever was cancelled meanwhile. */
  readonly halt: () => Promise<void>;
  /** Throws when it runs again although nobody here has started it. */
  readonly undisturbed: () => Promise<void>;
  /** Starts it if `stop` was called, and sees that it runs. Not stopped by any signal. May be called twice. */
  readonly resume: () => Promise<void>;
  /** For the receipt. */
  readonly facts: () => Readonly<Record<string, unknown>>;
  /** Lets others have the service. */
  readonly release: () => void;
}

/** Takes the service, starts it if a run that died has left it stopped, and checks what can be checked. Throws {@linkcode BusyError}. */
export async function openPause(control: Control, options: PauseOptions, context: Context): Promise<Pause> {
  const folder = options.journalDir ?? journalFolder();
  if (folder === undefined) {
    throw new Error(
      `Cannot stop "${control.name}": nowhere to note that it is stopped. Set HOME, XDG_STATE_HOME or journalDir`,
    );
  }
  const key = keyOf(control);
  const lock = lockService(folder, key);
  if (!lock) {
    throw new BusyError(
      `Cannot stop "${control.name}": another run has it. Let it end, or stop that run first`,
    );
  }
  const release = once(() => lock[Symbol.dispose]());
  try {
    await check(control, context.signal);
    const record = readRecord(folder, key);
    if (record) {
      // A restore that died first: the service must not start on half of a tree.
      await recover(context);
      await startAgain(control, { ...options, restart: record.restart }, folder, key);
      context.log.info(`Started "${control.name}" again: a run that died had left it stopped`);
    }
    const running = await control.running(context.signal);
    return makePause(control, options, context, { folder, key, running, release });
  } catch (error) {
    release();
    throw error;
  }
}

async function check(control: Control, signal: AbortSignal): Promise<void> {
  try {
    await control.ready(signal);
  } catch (cause) {
    throw new Error(`Cannot stop "${control.name}": ${messageOf(cause)}. Nothing was stopped`, { cause });
  }
}

/** What is known before the stop. */
interface Before {
  readonly folder: string;
  readonly key: string;
  readonly running: boolean | undefined;
  readonly release: () => void;
}

function makePause(control: Control, options: PauseOptions, context: Context, before: Before): Pause {
  const { folder, key, running, release } = before;
  const { name } = control;
  let stoppedAt: number | undefined;
  let downMs: number | undefined;
  let settled = false;

  async function stop(): Promise<void> {
    if (running === false) {
      return context.log.info(`"${name}" does not run: it is neither stopped nor started`);
    }
    note();
    stoppedAt = performance.now();
    try {
      await bringDown(control, options, context.signal);
    } catch (cause) {
      context.signal.throwIfAborted();
      throw new Error(
        `Cannot stop "${name}": ${
          messageOf(cause)
        }. Nothing was read; look why it does not stop, then run again`,
        { cause },
      );
    }
  }

  function note(restart?: boolean): void {
    const at = new Date().toISOString();
    writeRecord(folder, key, { name, stoppedAt: at, pid: Deno.pid, restart, spec: control.spec });
  }

  async function trial(): Promise<void> {
    if (stoppedAt === undefined) return;
    note(true);
    await bringUp(control, options);
    await staysUp(control).catch((cause) => {
      throw new Error(`${messageOf(cause)}. See its log`, { cause });
    });
    settled = true;
  }

  async function halt(): Promise<void> {
    settled = false;
    if (stoppedAt !== undefined) await bringDown(control, options, new AbortController().signal);
  }

  async function resume(): Promise<void> {
    if (stoppedAt === undefined || downMs !== undefined) return;
    try {
      downMs = Math.round(await startAgain(control, { ...options, settled }, folder, key) - stoppedAt);
    } catch (error) {
      context.log.warn("service", messageOf(error));
      throw error;
    }
    context.log.info(`"${name}" runs again; it was down for ${(downMs / 1000).toFixed(1)} s`);
  }

  async function undisturbed(): Promise<void> {
    if (stoppedAt === undefined && running === undefined) return;
    if (await control.running(context.signal) !== true) return;
    throw new Error(
      `Cannot trust what was read: "${name}" was started by something else meanwhile. Nothing is stored; run again`,
    );
  }

  const facts = (): Readonly<Record<string, unknown>> => ({
    service: name,
    kind: control.kind,
    stopped: stoppedAt !== undefined,
    downMs: downMs ?? 0,
  });
  return { stop, trial, halt, undisturbed, resume, facts, release };
}

function once(work: () => void): () => void {
  let done = false;
  return () => {
    if (done) return;
    done = true;
    work();
  };
}
