/**
 * Does one job, wherever it runs.
 *
 * @module
 */
import { checkFile, settle } from "./check.ts";
import { type Answer, type Job, type Snapshot, SnapshotError } from "./job.ts";
import { snapshot } from "./snapshot.ts";

/** Does a job and says how it went; never throws. */
export async function work(job: Job, say: (answer: Answer) => void): Promise<void> {
  try {
    say({ done: await run(job, say) });
  } catch (error) {
    say({
      error: error instanceof Error ? error.message : String(error),
      // By name: a look of the caller's own has no class in common with this thread's imports.
      integrity: error instanceof SnapshotError
        ? error.integrity
        : error instanceof Error && error.name === "IntegrityError",
    });
  }
}

async function run(job: Job, say: (answer: Answer) => void): Promise<Snapshot | undefined> {
  if (job.kind === "snapshot") {
    return await snapshot(job, (bytes) => say({ bytes }), () => say({ copied: true }));
  }
  if (job.kind === "settle") settle(job.path, job.timeoutMs);
  else for (const path of job.paths) checkFile(path, job.check);
  return undefined;
}
