/**
 * The writing half of the SFTP store: temporary file in the same folder, fsync, a hard link or a rename, fsync of the folder.
 *
 * @module
 */
import { randomBytes } from "node:crypto";
import { posix } from "node:path";
import { crc32 } from "node:zlib";
import { giveBack } from "../../blocks.ts";
import { ExistsError, StoreError } from "../../errors.ts";
import type { Bytes, PutOptions, U8 } from "../../stage.ts";
import { TEMP_NAME } from "../key.ts";
import { type Source, sourceOf } from "../source.ts";
import { type Action, STATUS, statusOf } from "./explain.ts";
import { type RemoteFile, remoteFile } from "./file.ts";
import { explainFull, isFile, makeFolders, pathOf, type Root, syncFolder, tidyFolders } from "./folder.ts";
import { publish } from "./publish.ts";
import { CHUNK_BYTES } from "./read.ts";
import type { Wire } from "./wire.ts";

/** Bytes under way to the server that it has not confirmed. */
const WINDOW = 4 * 1024 * 1024;

const DAY_S = 24 * 60 * 60;

/** One write. */
interface Target {
  readonly root: Root;
  readonly action: Action;
  readonly temp: string;
  readonly path: string;
}

/** Writes an object: whole and durable when it resolves, not there at all when it rejects. */
export async function write(
  root: Root,
  key: string,
  body: Bytes | U8,
  options: PutOptions,
  swept: Set<string>,
): Promise<void> {
  const path = pathOf(root, key);
  const action: Action = { text: `Cannot write "${key}"`, right: "write and rename files" };
  const target: Target = { root, action, temp: tempName(path), path };
  const source = sourceOf(body, options.signal);
  const begun = { value: false };
  try {
    options.signal?.throwIfAborted();
    await fill(target, source, options.signal, begun, swept);
    options.signal?.throwIfAborted();
    root.seen = true;
    // Without the signal: once it may have its name, the end must be known.
    if (await publish(root, action, target.temp, path, options.ifAbsent ?? false) === "exists") {
      throw new ExistsError(
        `${action.text}: it exists in ${root.link.place.url} with other content. Choose another name, or delete it first`,
      );
    }
    await root.link.run(action, (wire) => syncFolder(wire, posix.dirname(path)));
  } catch (error) {
    if (begun.value) await clear(target);
    await source.cancel(error);
    throw error;
  } finally {
    source.release();
  }
}

function tempName(path: string): string {
  // At most 48 characters of the key, so that the name stays below the 255 bytes of most file systems.
  const base = Array.from(posix.basename(path)).slice(0, 48).join("");
  return posix.join(posix.dirname(path), `.${base}.tmp-${randomBytes(8).toString("hex")}`);
}

/** Sends the source to the temporary file, a window of it at a time, and makes it durable. */
async function fill(
  target: Target,
  source: Source,
  signal: AbortSignal | undefined,
  begun: { value: boolean },
  swept: Set<string>,
): Promise<void> {
  const { root, action } = target;
  let confirmed = 0;
  const file = remoteFile(root.link, action, async (wire, again) => {
    begun.value = true;
    if (again === 0) return await create(target, wire, swept);
    const handle = await wire.open(target.temp, "r+");
    if ((await wire.fstat(handle)).size < confirmed) throw lost(target);
    return handle;
  }, signal);
  try {
    await file.use(() => Promise.resolve()); // before the source is read: a target that is not there costs nothing
    const { bytes, sum } = await send(file, source, (count) => confirmed = count);
    await finish(target, file, bytes, sum);
  } catch (error) {
    file.drop();
    if (statusOf((error as Error).cause) !== STATUS.failure) throw error;
    throw await root.link.run(action, (wire) => explainFull(root, wire, action, (error as Error).cause))
      .catch(() => error);
  }
}

function lost({ root, action }: Target): StoreError {
  return new StoreError(
    `${action.text} in ${root.link.place.url}: the server lost what was written before the connection broke. Run again`,
    { retryable: true },
  );
}

/** Makes the temporary file; makes its folders only when they turn out to be missing. */
async function create({ root, action, temp }: Target, wire: Wire, swept: Set<string>): Promise<Buffer> {
  const folder = posix.dirname(temp);
  for (let attempt = 1;; attempt++) {
    try {
      // The name is random: what is there already is this write's, from before the connection broke.
      const handle = await wire.open(temp, "w");
      if (!swept.has(folder)) await sweep(wire, folder, (await wire.fstat(handle)).mtime);
      swept.add(folder);
      return handle;
    } catch (error) {
      // Another run may tidy away an empty folder between its making and this open.
      if (statusOf(error) !== STATUS.absent || attempt > 5) throw error;
      await makeFolders(root, wire, folder, action);
    }
  }
}

async function send(
  file: RemoteFile,
  source: Source,
  confirm: (bytes: number) => void,
): Promise<{ readonly bytes: number; readonly sum: number }> {
  const flying: { readonly end: number; readonly done: Promise<void> }[] = [];
  let bytes = 0;
  let confirmed = 0;
  let sum = 0;
  const settle = async (): Promise<void> => {
    const { end, done } = flying.shift()!;
    await done;
    confirm(confirmed = end);
  };
  for (let chunk = await source.next(); chunk; chunk = await source.next()) {
    const mine = chunk;
    sum = crc32(mine, sum);
    const done = file.write(mine, bytes).then(() => giveBack(mine));
    done.catch(() => {}); // told by settle(), or after a failure of the source by nobody
    bytes += mine.length;
    flying.push({ end: bytes, done });
    while (bytes - confirmed > WINDOW) await settle();
  }
  while (flying.length > 0) await settle();
  return { bytes, sum };
}

/** Durable and whole. After a broken connection it is read back: a server that was restarted may have lost what it confirmed. */
async function finish(target: Target, file: RemoteFile, bytes: number, sum: number): Promise<void> {
  const size = await file.use(async (wire, handle) => {
    await wire.sync(handle).catch((error) => {
      if (statusOf(error) !== STATUS.unsupported) throw error;
    });
    return (await wire.fstat(handle)).size;
  });
  if (size !== bytes) throw lost(target);
  if (file.reopened() > 0) {
    let found = 0;
    for (let at = 0; at < bytes; at += CHUNK_BYTES) {
      found = crc32(await file.read(at, Math.min(CHUNK_BYTES, bytes - at)), found);
    }
    if (found !== sum) throw lost(target);
  }
  await file.close();
}

/** Removes what a failed write left. What cannot be removed now goes a day later. */
async function clear({ root, action, temp }: Target): Promise<void> {
  await root.link.run(action, async (wire) => {
    await wire.unlink(temp);
    await tidyFolders(root, wire, posix.dirname(temp));
  }).catch(() => {});
}

/** Removes temporary files of dead runs: nothing has been written to them for a day of the server's own clock. */
async function sweep(wire: Wire, folder: string, now: number): Promise<void> {
  try {
    const handle = await wire.opendir(folder);
    try {
      for (let names = await wire.readdir(handle); names; names = await wire.readdir(handle)) {
        for (const { filename, attrs } of names) {
          if (!isFile(attrs) || !TEMP_NAME.test(filename) || now - attrs.mtime < DAY_S) continue;
          await wire.unlink(posix.join(folder, filename));
        }
      }
    } finally {
      await wire.close(handle);
    }
  } catch (error) {
    if (statusOf(error) === 0) throw error; // else best effort: what matters about the folder the write itself will say
  }
}
