/**
 * Starts what runs that died have left stopped. Called at the start of every command.
 *
 * @module
 */
import { messageOf } from "../../errors.ts";
import type { Log } from "../../stage.ts";
import { lockService, readRecord, recordKeys } from "./journal.ts";
import { startAgain } from "./bring.ts";
import { controlOf } from "./service.ts";

/** Looks through the notes in `folder`. A service whose run lives is left alone; one that does not start is a warning each time. */
export async function revive(folder: string, log: Log): Promise<void> {
  for (const key of recordKeys(folder)) {
    try {
      using lock = lockService(folder, key);
      const record = lock && readRecord(folder, key);
      if (!record) continue;
      if (!record.spec) {
        log.warn(
          "service",
          `"${record.name}" may be down: a run that died stopped it at ${record.stoppedAt}. ` +
            "Only its own plan can start it: run its backup again",
        );
        continue;
      }
      await startAgain(controlOf(record.spec), { restart: record.restart }, folder, key);
      log.info(`"${record.name}" runs: a run that died had stopped it at ${record.stoppedAt}`);
    } catch (error) {
      log.warn("service", messageOf(error));
    }
  }
}
