/**
 * The way back of events: the stored log to whoever gives it back.
 *
 * @module
 */
import { IntegrityError, NotFoundError } from "../../errors.ts";
import type { Bytes, Context, Files } from "../../stage.ts";
import { wantedBy } from "../only.ts";
import { spooled } from "../spool.ts";

/** What is given back, and how. */
export interface PourOptions {
  /** Stored path of the log. */
  readonly path: string;
  /** Folder where it waits until the backup has proven sound. */
  readonly spoolDir?: string | undefined;
  /** Gives it back. */
  readonly restore: (lines: () => Bytes, context: Context) => Promise<void>;
}

/** Hands the log on when the last byte of the backup has been verified, and not before. */
export async function pourEvents(options: PourOptions, stored: Files, context: Context): Promise<void> {
  const { path } = options;
  const { want, signal } = context;
  using kept = spooled(`"${path}"`, options.spoolDir);
  let found = false;
  for await (const entry of stored.entries()) {
    signal.throwIfAborted();
    if (entry.path !== path || entry.kind !== "file" || found) {
      throw new Error(
        `Cannot give back "${entry.path}": only "${path}" belongs to it. Restore into a folder`,
      );
    }
    found = true;
    if (entry.bytes > want.limits.bytes) {
      throw new IntegrityError(`Cannot give back "${path}": it is larger than ${want.limits.bytes} bytes`);
    }
    if (entry.body instanceof Uint8Array) kept.write(entry.body);
    else for await (const chunk of entry.body?.() ?? []) kept.write(chunk);
    if (kept.size() !== entry.bytes) {
      throw new IntegrityError(`Cannot give back "${path}": ${kept.size()} of ${entry.bytes} bytes came`);
    }
  }
  if (!found) throw new NotFoundError(`Cannot give back "${path}": the backup does not hold it`);
  if (!wantedBy(want.only)(path)) return;
  await options.restore(() => kept.read(), context);
  context.progress({ phase: "restore", bytes: kept.size(), entries: 1 });
  want.report?.(path, "overwrite");
}
