/**
 * One file out of a backup.
 *
 * @module
 */
import { label, toBytes } from "./bytes.ts";
import { makeContext, type RunOptions } from "./context.ts";
import { findError, IndexError, IntegrityError, messageOf, NotFoundError } from "./errors.ts";
import { find, type Plan, receiptOf, undoFrom } from "./find.ts";
import { rawOf } from "./raw_name.ts";
import type { BackupReceipt } from "./receipt.ts";
import { refuseOlder, wantOf } from "./restore.ts";
import type { Bytes, Entry, Files, U8 } from "./stage.ts";

/** A file that is asked for. */
interface Asked {
  /** Its path as the backup has it. */
  readonly path: string;
  /** The backup. */
  readonly id: string;
  /** Undoes the backup, for one path. */
  readonly open: (path: string) => Promise<Files>;
}

/**
 * Reads one file out of a backup: by ranges where index and archive allow it, else by reading the whole archive, which is said in the
 * log. The stream fails at its end when the file is not what was stored (after a full read: when anything of the archive is not), so only
 * then may its reader trust what it has. By ranges, the archive's own digest and signature are not checked: the file's digest is, and the
 * receipt binds that. Throws NotFoundError when no file has that path, IntegrityError where "latest" is not the newest that this host has seen.
 */
export async function cat(
  plan: Plan,
  options: RunOptions & { readonly id?: string | undefined; readonly path: string },
): Promise<Bytes> {
  const first = makeContext(options);
  const id = options.id ?? "latest";
  const stored = await find(plan, id, first);
  if (id === "latest") await refuseOlder(stored, first);
  const path = rawOf(options.path.replace(/^\.?\//, "").replace(/\/+$/, ""));
  const want = wantOf({}, receiptOf(stored));
  const read = (whole: boolean): Promise<Bytes> =>
    begun(content({
      path,
      id: stored.id,
      open: (path) =>
        undoFrom(plan, stored, { ...first, want: { ...want, path, whole } }, 1) as Promise<Files>,
    }));
  try {
    return await read(false);
  } catch (error) {
    refusePages(receiptOf(stored), path, error);
    // Nothing has gone out yet. The index may be damaged, or lie about the place: a full read needs neither.
    if (!findError(error, IntegrityError)) throw error;
    const kind = findError(error, IndexError) ? "index" : "ranges";
    first.log.warn(kind, `${messageOf(error)}. Reading the whole archive without its index`);
    return await read(true);
  }
}

/** A database of which only the changed pages are there is not one file. */
function refusePages({ id, sources }: BackupReceipt, path: string, cause: unknown): void {
  const pages = sources.some(({ tool, facts }) => tool === "sqlite" && Number(facts.increment) > 0);
  if (!pages || !findError(cause, NotFoundError)) return;
  throw new NotFoundError(
    `Cannot find "${path}" in "${id}": it holds only the changed pages of its databases. \`restore --only\` puts one together`,
    { cause },
  );
}

/** A stream that has given its first chunk, so that what is wrong with the start is wrong now. */
async function begun(bytes: Bytes): Promise<Bytes> {
  const reader = bytes.getReader();
  const first = await reader.read();
  return label(
    "cat",
    toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
      try {
        for (let next = first; !next.done; next = await reader.read()) yield next.value;
      } finally {
        await reader.cancel().catch(() => {});
      }
    }, reader),
  );
}

/** The content, and then the rest of what has to be read for it to be trusted. */
function content(asked: Asked): Bytes {
  const { path, id, open } = asked;
  return toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
    let target: string | undefined;
    let times = 0;
    for await (const entry of (await open(path)).entries((one) => one === path)) {
      if (entry.path !== path) continue;
      if (++times > 1) {
        throw new IntegrityError(`Cannot trust "${path}" in "${id}": the archive has it twice`);
      }
      if (entry.kind === "hardlink") target = entry.target;
      else yield* contentOf(entry, asked);
    }
    if (times === 0) {
      throw new NotFoundError(
        `Cannot find "${path}" in "${id}". "restore ID --into DIR --dry-run" shows the paths it has`,
      );
    }
    if (target !== undefined) yield* content({ ...asked, path: target });
  });
}

async function* contentOf(
  { kind, body }: Entry,
  { path, id }: Asked,
): AsyncGenerator<U8, void, undefined> {
  if (kind !== "file") throw new NotFoundError(`Cannot read "${path}" from "${id}": it is a ${kind}`);
  if (typeof body === "function") yield* body();
  else if (body && body.length > 0) yield body;
}
