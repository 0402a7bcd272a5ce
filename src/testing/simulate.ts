/**
 * A plan's life among faults: many runs of a plan against a store that misbehaves by chance, and what must hold whatever happens.
 *
 * @module
 */
import { setTimeout as sleep } from "node:timers/promises";
import { memoryState, type RunOptions } from "../context.ts";
import { BusyError, findError, messageOf } from "../errors.ts";
import { type Plan, shelfOf } from "../find.ts";
import { encodeReceipt } from "../receipt.ts";
import { backup, retain } from "../run.ts";
import type { State, Store } from "../stage.ts";
import { LEASE_SUFFIX } from "../store/key.ts";
import { memory } from "../store/mod.ts";
import { verify } from "../verify.ts";
import { faultySince } from "./faulty.ts";
import { type History, history } from "./history.ts";
import { type Random, random } from "./random.ts";
import { retarget } from "./retarget.ts";
import { type FaultName, FAULTS, LATEST, schedule } from "./schedule.ts";
import { lost, type World, world } from "./world.ts";

/** Options of {@linkcode simulate}. */
export interface SimulateOptions {
  /** Which faults may happen. Default: all. */
  readonly faults?: readonly FaultName[] | undefined;
  /** Where chance starts: the same seed gives the same faults. Default: 1. */
  readonly seed?: number | undefined;
  /** How many lives are lived, each with a store of its own and the seed `seed + i`. Default: 100. */
  readonly runs?: number | undefined;
  /** Makes the empty store of one life. Default: memory. */
  readonly store?: (() => Store | Promise<Store>) | undefined;
  /** How long one run of the plan may take, in milliseconds. Default: 60,000. */
  readonly deadlineMs?: number | undefined;
  /** Ends the simulation between two runs of the plan. */
  readonly signal?: AbortSignal | undefined;
}

/** Something that must not happen, and did. */
export interface Violation {
  /** `simulate(plan, { seed, runs: 1 })` with the same faults shows it again. */
  readonly seed: number;
  /** What the plan was doing: "backup 2", "prune 3", "at the end". */
  readonly during: string;
  /** A sentence. */
  readonly what: string;
}

/** What a simulation saw. */
export interface Simulation {
  /** Lives lived. */
  readonly runs: number;
  /** How the runs of the plan ended: "complete", "warnings", "failed", "busy", "pruned". */
  readonly outcomes: Readonly<Record<string, number>>;
  /** How often each fault happened. */
  readonly faults: Readonly<Record<string, number>>;
  /** The longest run of the plan, in milliseconds. */
  readonly longestMs: number;
  /** Empty when all is well. */
  readonly violations: readonly Violation[];
}

/** Short, so that what a dead run holds is free again soon. */
const LEASE = { heartbeatMs: 20, expiryMs: 100 };
const HOUR_MS = 60 * 60 * 1000;

/** One life. */
interface Life {
  readonly world: World;
  readonly past: History;
  readonly plan: Plan;
  readonly chance: Random;
  readonly hosts: readonly State[];
  readonly options: { readonly faults: readonly FaultName[]; readonly deadlineMs: number };
  readonly count: (table: "outcomes" | "faults", name: string, times?: number) => void;
  readonly took: (ms: number) => void;
  readonly report: (what: string) => void;
}

/**
 * Runs `plan` over and over against stores that misbehave, in place of its own: backups, retention, two machines at once, clocks
 * that jump, machines that die. After each run of the plan, and at every change of the store, it looks whether
 *
 * - no incomplete backup was ever visible,
 * - no complete one was lost, but for those that retention announced, and never the newest,
 * - a lease is free again after its time,
 * - every run came to an end.
 *
 * What is collected, encrypted and signed is the plan's own, and is read each time: give it a small source. The plan's stores are
 * never touched. Resolves with a report, also when something is wrong; throws TypeError for a plan without upload.
 */
export async function simulate(plan: Plan, options: SimulateOptions = {}): Promise<Simulation> {
  const { faults = FAULTS, seed = 1, runs = 100, store = memory, deadlineMs = 60_000, signal } = options;
  for (const name of faults) {
    if (!FAULTS.includes(name)) {
      throw new TypeError(`Cannot simulate "${name}": the faults are ${FAULTS.join(", ")}`);
    }
  }
  const tables = { outcomes: {} as Record<string, number>, faults: {} as Record<string, number> };
  const violations: Violation[] = [];
  let longestMs = 0;
  for (let run = 0; run < runs; run++) {
    signal?.throwIfAborted();
    let during = "";
    const report = (what: string): void => void violations.push({ seed: seed + run, during, what });
    const watched = world(await store(), shelfOf(plan), report);
    const life: Life = {
      world: watched,
      past: history(watched.store, LATEST),
      plan,
      chance: random(seed + run),
      hosts: [memoryState(), memoryState()],
      options: { faults, deadlineMs },
      count: (table, name, times = 1) => void (tables[table][name] = (tables[table][name] ?? 0) + times),
      took: (ms) => void (longestMs = Math.max(longestMs, ms)),
      report,
    };
    await live(life, (what) => void (during = what), signal);
  }
  return { runs, ...tables, longestMs, violations };
}

/** A few runs of the plan among faults, and a last one in peace. */
async function live(life: Life, doing: (what: string) => void, signal?: AbortSignal): Promise<void> {
  const { chance, world, plan, report } = life;
  let now = Date.now();
  const steps = chance.between(2, 5);
  for (let step = 1; step <= steps; step++) {
    signal?.throwIfAborted();
    now += chance.pick([1, 6, 24, 24, 30, 72]) * HOUR_MS;
    // A clock that is wrong for one run, days early or late.
    const wrong = life.options.faults.includes("clock-skew") && chance.next() < 0.15;
    const time = new Date(wrong ? now + chance.between(-4, 4) * 24 * HOUR_MS : now);
    world.setTime(new Date(now));
    const what = chance.pick(
      plan.retain ? ["backup", "backup", "backup", "race", "prune"] : ["backup", "race"],
    );
    doing(`${what} ${step}`);
    // What a dead run holds expires; else most runs would say that they are busy.
    if (await world.store.head(leaseOf(plan))) await sleep(LEASE.expiryMs);
    if (what === "prune") await attempt(life, chance.pick([0, 1]), time, "prune");
    else if (what === "backup") await attempt(life, chance.pick([0, 0, 1]), time, "backup");
    else {
      const later = new Date(time.getTime() + chance.between(0, 3) * 1000);
      await Promise.all([attempt(life, 0, time, "backup"), attempt(life, 1, later, "backup")]);
    }
    for (const what of await lost(world)) report(what);
  }
  doing("at the end");
  await peace(life, new Date(now + 6 * 24 * HOUR_MS));
}

/** One run of the plan among faults. */
async function attempt(life: Life, host: number, now: Date, what: "backup" | "prune"): Promise<void> {
  const { world, past, options, chance, count } = life;
  const planned = schedule(options.faults, chance);
  const store = faultySince(past, world.store, planned.map(({ fault }) => fault));
  await ended(life, (run) => once(life, store, what, { ...run, now, state: life.hosts[host] }));
  for (const [i, times] of store.happened.entries()) {
    if (times > 0) count("faults", planned[i]!.name, times);
  }
}

/** Runs the plan once, and counts how it ended. A failure is an ending like another. */
async function once(life: Life, store: Store, what: "backup" | "prune", run: RunOptions): Promise<void> {
  const { world, count } = life;
  const plan = retarget(life.plan, store, LEASE);
  try {
    if (what === "prune") {
      await retain(plan, { ...run, confirm: true });
      count("outcomes", "pruned");
      return;
    }
    const result = await backup(plan, run);
    world.promise(result.id, encodeReceipt(result.receipt));
    count("outcomes", result.status);
  } catch (error) {
    count("outcomes", findError(error, BusyError) ? "busy" : "failed");
  }
}

/** Waits for a run to end, up to the deadline; then it is cancelled, and said. */
async function ended(
  { options, took, report }: Life,
  work: (run: RunOptions) => Promise<void>,
): Promise<void> {
  const start = performance.now();
  const cancel = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(() => {
      report(`the run has not ended after ${options.deadlineMs} ms`);
      cancel.abort();
      resolve();
    }, options.deadlineMs);
  });
  await Promise.race([work({ signal: cancel.signal }), late]);
  clearTimeout(timer);
  took(performance.now() - start);
}

/** Without faults, a backup must succeed as soon as what dead runs hold has expired, and everything must agree. */
async function peace(life: Life, now: Date): Promise<void> {
  const { world, report } = life;
  world.setTime(now);
  const plan = retarget(life.plan, world.store, LEASE);
  let done = false;
  await ended(life, async ({ signal }) => {
    const run = { signal, now, state: life.hosts[0] };
    if (!await backedUp(life, plan, run)) return;
    await verify(plan, { ...run, level: "quick" }).catch((error) =>
      report(`verify does not agree: ${messageOf(error)}`)
    );
    done = true;
  });
  for (const what of await lost(world)) report(what);
  if (done && await world.store.head(leaseOf(plan))) report("the lease was left behind");
}

/** Tries until it is no longer busy; whether there is a backup. */
async function backedUp({ world, report }: Life, plan: Plan, run: RunOptions): Promise<boolean> {
  for (;;) {
    try {
      const result = await backup(plan, run);
      world.promise(result.id, encodeReceipt(result.receipt));
      return true;
    } catch (error) {
      const busy = findError(error, BusyError) !== undefined;
      if (!busy) report(`a backup in peace failed: ${messageOf(error)}`);
      if (!busy || run.signal?.aborted) return false;
      await sleep(LEASE.heartbeatMs);
    }
  }
}

function leaseOf(plan: Plan): string {
  return shelfOf(plan).name + LEASE_SUFFIX;
}
