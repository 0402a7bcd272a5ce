/**
 * Who holds a lease, as text that others can read, and whether that process is still there.
 *
 * @module
 */
import { randomUUID } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";
import process from "node:process";
import * as v from "valibot";
import { codeOf } from "./folder.ts";

// The text comes from a store that others can write: nothing in it may drive a terminal.
const line = v.pipe(v.string(), v.regex(/^[\x20-\x7e]{0,200}$/));

const schema = v.object({
  run: line,
  host: line,
  pid: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
  machine: v.optional(line),
  processStart: v.optional(line),
  started: line,
  renewedAt: line,
  nonce: line,
});

/** A lease's content. */
export type Holder = v.InferOutput<typeof schema>;

/** This process as a lease's holder. Never twice the same: a conditional write of equal bytes would succeed for both. */
export function describeSelf(run: string): Holder {
  const now = new Date().toISOString();
  const machine = machineId();
  const start = machine === undefined ? undefined : processStart(process.pid);
  return {
    run,
    host: hostName(),
    pid: process.pid,
    ...(machine !== undefined && start !== undefined ? { machine, processStart: start } : {}),
    started: now,
    renewedAt: now,
    nonce: randomUUID(),
  };
}

/** The text of a lease. */
export function encodeHolder(holder: Holder): string {
  return JSON.stringify(holder);
}

/** Reads a lease; undefined for anything that is not one. */
export function decodeHolder(text: string): Holder | undefined {
  try {
    const result = v.safeParse(schema, JSON.parse(text));
    return result.success ? result.output : undefined;
  } catch {
    return undefined;
  }
}

/** Who has it, for a sentence. */
export function holderPhrase(holder: Holder | undefined): string {
  if (!holder) return "another run";
  return `run ${holder.run} on host ${holder.host} (pid ${holder.pid})`;
}

/**
 * Whether the holder is proven dead: a process of this very system (same boot, same process namespace), and there is none with
 * its number and start time. A host name proves nothing: containers share them. False when unsure.
 */
export function isDead(holder: Holder | undefined): boolean {
  if (holder?.machine === undefined || holder.machine !== machineId()) return false;
  const start = processStart(holder.pid);
  return start !== undefined && start !== holder.processStart;
}

function hostName(): string {
  try {
    return hostname().replace(/[^\x20-\x7e]/g, "?").slice(0, 200);
  } catch {
    return "(unknown)"; // without --allow-sys=hostname
  }
}

/** This boot of this machine and the process namespace; undefined where it cannot be told (not Linux, no --allow-all). */
function machineId(): string | undefined {
  try {
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    return `${boot} ${readlinkSync("/proc/self/ns/pid")}`;
  } catch {
    return undefined;
  }
}

/** Start time in clock ticks (proc_pid_stat(5), field 22); "" for no such process or a zombie, undefined when unsure. */
function processStart(pid: number): string | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch (error) {
    return ["ENOENT", "ESRCH"].includes(codeOf(error)) ? "" : undefined;
  }
  // Field 2, the program's name in parentheses, may itself hold spaces and parentheses.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields[0] === "Z" || fields[0] === "X" ? "" : fields[19];
}
