/**
 * One file out of a backup.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { label, toBytes } from "./bytes.ts";
import { makeContext, type RunOptions } from "./context.ts";
import { IntegrityError, NotFoundError } from "./errors.ts";
import { find, type Plan, receiptOf, undoFrom } from "./find.ts";
import { wantOf } from "./restore.ts";
import type { Bytes, Context, Files, IndexEntry, U8 } from "./stage.ts";

/**
 * Reads one file out of a backup. The stream fails at its end when the file, or anything else of the archive, is not what was stored:
 * only then may its reader trust what it has. Throws NotFoundError when no file has that path.
 */
export async function cat(
  plan: Plan,
  options: RunOptions & { readonly id?: string | undefined; readonly path: string },
): Promise<Bytes> {
  const first = makeContext(options);
  const stored = await find(plan, options.id ?? "latest", first);
  const context: Context = { ...first, want: wantOf({}, receiptOf(stored)) };
  const files = await undoFrom(plan, stored, context, 1) as Files;
  const record = await findRecord(files, options.path, stored.id);
  return label("cat", contentOf(files, record));
}

async function findRecord(files: Files, path: string, id: string): Promise<IndexEntry> {
  if (!files.listing) throw new NotFoundError(`Cannot read "${path}" from "${id}": it has no index`);
  const wanted = path.replace(/^\.?\//, "").replace(/\/+$/, "");
  for await (const entry of files.listing()) {
    if (entry.path !== wanted) continue;
    if (entry.kind === "file") return entry;
    if (entry.kind === "hardlink" && entry.target !== undefined) return findRecord(files, entry.target, id);
    throw new NotFoundError(`Cannot read "${wanted}" from "${id}": it is a ${entry.kind}`);
  }
  throw new NotFoundError(`Cannot find "${wanted}" in "${id}". Paths are as \`tar t\` shows them`);
}

function contentOf(files: Files, record: IndexEntry): Bytes {
  return toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
    const hash = createHash("sha256");
    for await (const entry of files.entries()) {
      if (entry.path !== record.path || entry.body === undefined) continue;
      if (entry.body instanceof Uint8Array) {
        hash.update(entry.body);
        if (entry.body.length > 0) yield entry.body;
      } else {
        for await (const chunk of entry.body()) {
          hash.update(chunk);
          yield chunk;
        }
      }
    }
    if (hash.digest("hex") !== record.sha256) {
      throw new IntegrityError(`Cannot trust "${record.path}": its SHA-256 is not the one in the index`);
    }
  });
}
