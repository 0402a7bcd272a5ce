/**
 * Where the time of a restore goes.
 *
 * @module
 */
import { labelled } from "./bytes.ts";
import { type Plan, standing } from "./find.ts";
import type { Body, Bytes, Context, Files, Part, Stored, U8 } from "./stage.ts";

/**
 * Milliseconds of a drill's restore: "find" the backup and its receipt; "fetch" its bytes; "verify" signature, checksum and digest;
 * "decrypt"; "extract": decompress, unpack, write; "start" what was restored, where the collector can; "check": the operator's
 * assertion.
 */
export interface Phases {
  /** Listing the stores and reading the receipt. */
  readonly find: number;
  /** Waiting for the store's bytes. */
  readonly fetch: number;
  /** Signatures, checksums, digests. */
  readonly verify: number;
  /** Decryption, the derivation of a passphrase's key included. */
  readonly decrypt: number;
  /** Decompressing, unpacking, writing, syncing. */
  readonly extract: number;
  /** The collector's own proof, such as a database started on the tree. */
  readonly start: number;
  /** The assertion. */
  readonly check: number;
}

/** The phases that a restore itself has. */
export type RestorePhases = Pick<Phases, "fetch" | "verify" | "decrypt" | "extract">;

/**
 * Undoes a plan and tells where the time went. Everything is lazy and passes through all stages at once, so the time of a stage
 * is what others waited for its bytes, less what it waited for the bytes before it; where stages work at the same time, the sum
 * still is the whole.
 */
export async function undoTimed(plan: Plan, stored: Stored, context: Context): Promise<RestorePhases> {
  const phases = { fetch: 0, verify: 0, decrypt: 0, extract: 0 };
  const whole = performance.now();
  let value: unknown = stored;
  let upstream = { ms: 0 };
  const ends: (() => void)[] = [];
  for (const stage of plan.stages.toReversed()) {
    context.signal.throwIfAborted();
    const own = { ms: 0 };
    const before = upstream;
    if (stage === plan.stages[0]) value = standing(plan, stored, value as Files, context);
    ends.push(() => phases[phaseOf(stage)] += Math.max(0, own.ms - before.ms));
    value = timedCarrier(await timed(own, () => undo(stage, value, context)), own);
    upstream = own;
  }
  for (const end of ends) end();
  // Whatever ran beside the pulls belongs to the writing: phases add up to the whole.
  const rest = performance.now() - whole - phases.fetch - phases.verify - phases.decrypt;
  return {
    fetch: Math.round(phases.fetch),
    verify: Math.round(phases.verify),
    decrypt: Math.round(phases.decrypt),
    extract: Math.max(0, Math.round(rest)),
  };
}

async function undo(stage: Part, value: unknown, context: Context): Promise<unknown> {
  try {
    return await stage.undo(value, context);
  } catch (error) {
    throw labelled(stage.name, error);
  }
}

function phaseOf({ verb }: Part): keyof RestorePhases {
  if (verb === "prune" || verb === "upload") return "fetch";
  if (verb === "sign") return "verify";
  return verb === "encrypt" ? "decrypt" : "extract";
}

interface Clock {
  ms: number;
}

async function timed<T>(clock: Clock, work: () => Promise<T>): Promise<T> {
  const from = performance.now();
  try {
    return await work();
  } finally {
    clock.ms += performance.now() - from;
  }
}

/** A carrier of bytes whose readers are timed; anything else as it is. */
function timedCarrier(value: unknown, clock: Clock): unknown {
  if (typeof value !== "object" || value === null || !("body" in value)) return value;
  const { body, index } = value as { body: Body; index?: Body | undefined };
  return { ...value, body: timedBody(body, clock), ...(index && { index: timedBody(index, clock) }) };
}

function timedBody(body: Body, clock: Clock): Body {
  const { read, open } = body;
  return {
    ...body,
    read: () => timedBytes(read(), clock),
    ...(open && {
      open: async () => {
        const reader = await timed(clock, open);
        return reader && { ...reader, at: (start, end) => timed(clock, () => reader.at(start, end)) };
      },
    }),
  };
}

function timedBytes(bytes: Bytes, clock: Clock): Bytes {
  const reader = bytes.getReader();
  return new ReadableStream<U8>({
    pull: async (controller) => {
      const { done, value } = await timed(clock, () => reader.read());
      if (done) controller.close();
      else controller.enqueue(value);
    },
    cancel: (reason) => reader.cancel(reason),
  }, { highWaterMark: 0 });
}
