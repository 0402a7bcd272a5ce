/**
 * The reading half of the SFTP store: requests run ahead by a few chunks, and a broken connection goes on where it broke.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { NotFoundError, StoreError } from "../../errors.ts";
import type { ByteRange, Bytes, U8 } from "../../stage.ts";
import { checkRange, resolveRange } from "../key.ts";
import { type Action, explain, RefusedError, STATUS, statusOf } from "./explain.ts";
import { type RemoteFile, remoteFile } from "./file.ts";
import { checkFolder, look, pathOf, type Root } from "./folder.ts";
import type { Attributes } from "./library.ts";

/** Bytes of a chunk. */
export const CHUNK_BYTES: number = 512 * 1024;

/** Chunks asked for ahead of the reader: 2 MiB under way fill a line of 100 Mbit/s over 160 ms. */
const AHEAD = 4;

/** What must be the same bytes when a file is opened again. */
const TAIL_BYTES = 4096;

/** Opens an object or a part of it. */
export async function read(root: Root, key: string, range: ByteRange | undefined): Promise<Bytes> {
  const path = pathOf(root, key);
  if (range) checkRange(range);
  const action: Action = { text: `Cannot read "${key}"`, right: "read files" };
  const { file, size } = await openToRead(root, path, action);
  try {
    const part = resolveRange(key, size, range);
    return streamOf(file, part, (error) => explain(error, action, root.link.place));
  } catch (error) {
    file.drop();
    throw error;
  }
}

/** A file that is read, and what it was when it was opened. */
export interface Opened {
  /** It. */
  readonly file: RemoteFile;
  /** Its bytes. */
  readonly size: number;
}

/** Opens a file; throws NotFoundError when it is proven absent. Opened again, it must be the same as before. */
export async function openToRead(root: Root, path: string, action: Action): Promise<Opened> {
  const { link } = root;
  const { url } = link.place;
  const absent = (): NotFoundError => new NotFoundError(`${action.text}: it is not in ${url}`);
  let first: Attributes | undefined;
  const file = remoteFile(link, action, async (wire) => {
    // Before open: a pipe in the folder would block the server.
    if (!await look(root, wire, path, action)) throw first ? replaced() : absent();
    let handle: Buffer;
    try {
      handle = await wire.open(path, "r");
    } catch (error) {
      if (statusOf(error) !== STATUS.absent) throw error;
      await checkFolder(root, wire, action);
      throw absent();
    }
    const now = await wire.fstat(handle);
    if (first && (first.size !== now.size || first.mtime !== now.mtime)) throw replaced();
    first ??= now;
    return handle;
  });
  await file.use(() => Promise.resolve());
  return { file, size: first!.size };

  function replaced(): StoreError {
    return new StoreError(`${action.text} in ${url}: it was replaced while it was read`);
  }
}

/** The bytes of a part, in chunks, a few of them asked for ahead. */
function streamOf(file: RemoteFile, { start, end }: ByteRange, explained: (error: unknown) => Error): Bytes {
  const ahead: { readonly want: number; readonly at: number; readonly got: Promise<U8> }[] = [];
  let asked = start;
  let open = true;
  let tail: { readonly at: number; readonly bytes: U8 } | undefined;
  let trusted = 0;

  function ask(): void {
    while (asked < end && ahead.length < AHEAD) {
      const want = Math.min(CHUNK_BYTES, end - asked);
      const got = file.read(asked, want);
      got.catch(() => {}); // told when its turn comes
      ahead.push({ want, at: asked, got });
      asked += want;
    }
  }

  function finish(): void {
    if (open) file.drop();
    open = false;
  }

  /** Size and time in whole seconds may be those of another object: what was read last tells them apart. */
  async function trust(): Promise<void> {
    if (file.reopened() === trusted || !tail) return;
    trusted = file.reopened();
    const again = await file.read(tail.at, tail.bytes.length);
    if (!Buffer.from(again).equals(tail.bytes)) throw new RefusedError("it was replaced while it was read");
  }

  async function take(): Promise<U8> {
    ask();
    const { want, at, got } = ahead.shift()!;
    const chunk = await got;
    if (chunk.length < want) {
      throw new RefusedError(`the file was cut while it was read: it ends at byte ${at + chunk.length}`);
    }
    await trust();
    tail = { at: at + chunk.length - Math.min(TAIL_BYTES, chunk.length), bytes: chunk.slice(-TAIL_BYTES) };
    return chunk;
  }

  if (start === end) finish();
  return new ReadableStream<U8>({
    async pull(controller): Promise<void> {
      if (!open) return controller.close();
      try {
        const chunk = await take();
        if (!open) return; // cancelled while reading
        if (asked === end && ahead.length === 0) finish();
        controller.enqueue(chunk);
        if (!open) controller.close();
      } catch (error) {
        const wasOpen = open;
        finish();
        if (wasOpen) throw explained(error);
      }
    },
    cancel: finish,
  }, { highWaterMark: 0 });
}
