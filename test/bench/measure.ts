/**
 * Runs a shell line and measures it: wall clock, processor time and memory of every process it starts. Linux, with GNU time.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

/** What one run took. */
export interface Measured {
  /** From start to end, in milliseconds, with the start of the processes. */
  readonly wallMs: number;
  /** User and system time of all processes, in milliseconds. */
  readonly cpuMs: number;
  /**
   * The most resident memory, in bytes: the sum over the processes alive at one moment, looked at every 20 ms, and never less
   * than what the kernel saw as the peak of the largest process.
   */
  readonly peakBytes: number;
}

/** Where and with what a line runs. */
export interface Surroundings {
  /** The folder. */
  readonly cwd: string;
  /** Variables beside the caller's own. */
  readonly env: Readonly<Record<string, string>>;
  /** A file for GNU time's figures. */
  readonly figures: string;
}

/** GNU time, not the shell's word. */
export const TIME = "/usr/bin/time";
const PAGE_BYTES = Number(execFileSync("getconf", ["PAGESIZE"], { encoding: "utf8" }));
const LOOK_EVERY_MS = 20;

/** Runs `line` in bash with pipefail. Throws, with what it said, when it fails. */
export async function measure(line: string, { cwd, env, figures }: Surroundings): Promise<Measured> {
  const start = performance.now();
  const child = new Deno.Command(TIME, {
    args: ["-q", "-o", figures, "-f", "%U %S %M", "bash", "-o", "pipefail", "-c", line],
    cwd,
    env,
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  let sampled = 0;
  const look = setInterval(() => sampled = Math.max(sampled, residentBelow(child.pid)), LOOK_EVERY_MS);
  const { code, stderr } = await child.output().finally(() => clearInterval(look));
  const wallMs = performance.now() - start;
  if (code !== 0) {
    throw new Error(`Cannot run ${line}: exit code ${code}: ${new TextDecoder().decode(stderr)}`);
  }
  const [user, system, kib] = readFileSync(figures, "utf8").trim().split(" ").map(Number) as [
    number,
    number,
    number,
  ];
  return { wallMs, cpuMs: (user + system) * 1000, peakBytes: Math.max(sampled, kib * 1024) };
}

/** Resident bytes of the processes below one, without that one. */
function residentBelow(pid: number): number {
  let sum = 0;
  for (const child of childrenOf(pid)) sum += residentOf(child) + residentBelow(child);
  return sum;
}

/** A process may end between two looks: then it has no children and no memory. */
function childrenOf(pid: number): readonly number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

function residentOf(pid: number): number {
  try {
    return Number(readFileSync(`/proc/${pid}/statm`, "utf8").split(" ")[1]) * PAGE_BYTES;
  } catch {
    return 0;
  }
}
