/**
 * Programs around a plan's backup.
 *
 * @module
 */
import { dirname } from "node:path";
import { messageOf } from "../errors.ts";
import type { Job } from "../job.ts";
import { remark } from "./terminal.ts";

/** What a hook is told in its environment, as HOLDFAST_PLAN, HOLDFAST_OUTCOME and HOLDFAST_ID. */
export interface HookFacts {
  /** "running" before, then "complete", "warnings" or "failed". */
  readonly outcome: "running" | "complete" | "warnings" | "failed";
  /** The backup's file name, once there is one. */
  readonly id?: string | undefined;
}

/**
 * Runs one hook of a plan, if it has it: an argument list, no shell. What it prints goes to standard error, since standard output
 * is for results. Throws when it does not start or its exit code is not 0. `signal` ends it.
 */
export async function runHook(
  job: Job,
  kind: "before" | "after" | "failed" | "finally",
  facts: HookFacts,
  signal?: AbortSignal,
): Promise<void> {
  const argv = job.hooks[kind];
  if (argv === undefined) return;
  const [program, ...args] = argv;
  let child: Deno.ChildProcess;
  try {
    child = new Deno.Command(program!, {
      args,
      ...(job.file === undefined ? {} : { cwd: dirname(job.file) }),
      env: { HOLDFAST_PLAN: job.name, HOLDFAST_OUTCOME: facts.outcome, HOLDFAST_ID: facts.id ?? "" },
      stdin: "null",
      stdout: "piped",
      stderr: "inherit",
      ...(signal && { signal }),
    }).spawn();
  } catch (cause) {
    throw new Error(`The ${kind} hook "${program}" does not start: ${messageOf(cause)}`, { cause });
  }
  const [, status] = await Promise.all([forward(child.stdout), child.status]);
  signal?.throwIfAborted();
  if (!status.success) throw new Error(`The ${kind} hook "${program}" ended with exit code ${status.code}`);
}

async function forward(output: ReadableStream<Uint8Array>): Promise<void> {
  for await (const chunk of output) remark(chunk);
}
