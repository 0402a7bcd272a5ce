/**
 * One file out of a backup.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { label, toBytes } from "./bytes.ts";
import { makeContext, type RunOptions } from "./context.ts";
import { findError, IndexError, IntegrityError, messageOf, NotFoundError } from "./errors.ts";
import { find, type Plan, receiptOf, undoFrom } from "./find.ts";
import { wantOf } from "./restore.ts";
import type { Bytes, Context, Entry, Files, IndexEntry, U8 } from "./stage.ts";

/** A file that is asked for. */
interface Asked {
  /** Its path as the backup has it. */
  readonly path: string;
  /** The backup. */
  readonly id: string;
  /** Where it is said how the file is read. */
  readonly log: Context["log"];
}

/**
 * Reads one file out of a backup: by ranges where index and archive allow it, else by reading the whole archive, which is said in the
 * log. The stream fails at its end when the file is not what was stored (after a full read: when anything of the archive is not), so only
 * then may its reader trust what it has. By ranges, the archive's own digest and signature are not checked: the file's digest is, and the
 * receipt binds that. Throws NotFoundError when no file has that path.
 */
export async function cat(
  plan: Plan,
  options: RunOptions & { readonly id?: string | undefined; readonly path: string },
): Promise<Bytes> {
  const first = makeContext(options);
  const stored = await find(plan, options.id ?? "latest", first);
  const path = options.path.replace(/^\.?\//, "").replace(/\/+$/, "");
  const want = { ...wantOf({}, receiptOf(stored)), path };
  const asked: Asked = { path, id: stored.id, log: first.log };
  const undo = (whole: boolean): Promise<Files> =>
    undoFrom(plan, stored, { ...first, want: { ...want, whole } }, 1) as Promise<Files>;
  try {
    const files = await undo(false);
    if (!files.listing) {
      first.log.info(`Reading the whole of "${stored.id}": it has no index`);
      return label("cat", search(() => Promise.resolve(files), asked));
    }
    return label("cat", await ranged(files, asked) ?? fromAll(files, await recordOf(files, asked)));
  } catch (error) {
    if (!findError(error, IndexError)) throw error;
    first.log.warn("index", `${messageOf(error)}. Reading the whole archive without its index`);
    return label("cat", search(() => undo(true), asked));
  }
}

/** The content by ranges; undefined where the archive cannot be read so, or what lies there is not the file. */
async function ranged(files: Files, asked: Asked): Promise<Bytes | undefined> {
  const entry = await files.find?.(asked.path);
  const target = entry?.kind === "hardlink" ? entry.target : undefined;
  const file = target === undefined ? entry : await files.find?.(target);
  if (!file) {
    asked.log.info(`Reading the whole of "${asked.id}": it cannot be read by ranges`);
    return undefined;
  }
  const reader = contentOf(only(file, asked)).getReader();
  try {
    return goOn(await reader.read(), reader);
  } catch (error) {
    // Nothing has gone out yet: the index may lie about the place alone, which a full read does not need.
    if (!findError(error, IntegrityError)) throw error;
    asked.log.warn("ranges", `${messageOf(error)}. Reading the whole archive`);
    return undefined;
  }
}

/** What was read, and the rest. */
function goOn(first: ReadableStreamReadResult<U8>, reader: ReadableStreamDefaultReader<U8>): Bytes {
  return toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
    try {
      for (let next = first; !next.done; next = await reader.read()) yield next.value;
    } finally {
      await reader.cancel().catch(() => {});
    }
  });
}

function only<T extends Pick<IndexEntry, "kind">>(entry: T, { path, id }: Asked): T {
  if (entry.kind === "file") return entry;
  throw new NotFoundError(`Cannot read "${path}" from "${id}": it is a ${entry.kind}`);
}

function contentOf({ body }: Entry): Bytes {
  if (typeof body === "function") return body();
  return toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
    if (body && body.length > 0) yield body;
  });
}

async function recordOf(files: Files, asked: Asked): Promise<IndexEntry> {
  for await (const entry of files.listing!()) {
    if (entry.path !== asked.path) continue;
    if (entry.kind !== "hardlink" || entry.target === undefined) return only(entry, asked);
    return await recordOf(files, { ...asked, path: entry.target });
  }
  throw absent(asked);
}

function absent({ path, id }: Asked): NotFoundError {
  return new NotFoundError(`Cannot find "${path}" in "${id}". Paths are as \`tar t\` shows them`);
}

/** The content by reading the archive to its proven end. */
function fromAll(files: Files, record: IndexEntry): Bytes {
  return toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
    const hash = createHash("sha256");
    for await (const entry of files.entries()) {
      if (entry.path !== record.path || entry.kind !== "file") continue;
      for await (const chunk of contentOf(entry)) {
        hash.update(chunk);
        yield chunk;
      }
    }
    if (hash.digest("hex") !== record.sha256) {
      throw new IntegrityError(`Cannot trust "${record.path}": its SHA-256 is not the one in the index`);
    }
  });
}

/** The same without an index: the archive's own digest vouches for what is in it. `open` may be called twice, for a hard link. */
function search(open: () => Promise<Files>, asked: Asked): Bytes {
  return toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
    let target: string | undefined;
    let times = 0;
    for await (const entry of (await open()).entries()) {
      if (entry.path !== asked.path) continue;
      if (++times > 1) {
        throw new IntegrityError(`Cannot trust "${asked.path}" in "${asked.id}": the archive has it twice`);
      }
      if (entry.kind === "hardlink") target = entry.target;
      else yield* contentOf(only(entry, asked));
    }
    if (times === 0) throw absent(asked);
    if (target !== undefined) yield* search(open, { ...asked, path: target });
  });
}
