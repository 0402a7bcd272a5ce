/**
 * A snapshot as files while it still comes. Tar wants a file's length before its first byte, and no server tells it: so a length is
 * announced that should be enough, and what it is too long is filled with padding, a kind of frame that every reader of S2 skips. It
 * stands before the last frame, because a server reads no further than to the end of the archive inside. Where the length was not
 * enough, the rest follows as a file of its own.
 *
 * @module
 */
import { label, toBytes } from "../../bytes.ts";
import { share } from "../../blocks.ts";
import type { Entry, U8 } from "../../stage.ts";
import { integerAt } from "../../nats/exact.ts";
import { DATA_FILE, fileEntry, REST_FILE } from "./entries.ts";
import type { Flow } from "./begin.ts";

const MIB = 1024 * 1024;
/** A frame of padding is at least its header. */
const SMALLEST = 4;
const PADDING = 0xfe;

/** A length that should be enough: what the stream holds, shrunk as its beginning has shrunk, and a quarter more. */
export function announce({ state, frames, received, over }: Flow): number {
  if (over()) return received();
  // Beside its messages a snapshot holds what was deleted and not yet removed, an index, and consumers.
  const unfolded = Number(integerAt(state, "bytes")) * 1.02 + 4 * MIB;
  const shrunk = unfolded * Math.min(1, 1.25 * received() / Math.max(1, frames.unpackedBytes()));
  return Math.ceil(Math.max(shrunk, received()) / MIB) * MIB + 4 * MIB;
}

/** The data files of a snapshot below `base`. `failed` makes of an error the one to throw. */
export async function* flowEntries(
  flow: Flow,
  base: string,
  name: string,
  failed: (error: unknown) => Promise<unknown>,
): AsyncGenerator<Entry, void, undefined> {
  const bytes = announce(flow);
  const pieces = padded(flow, bytes);
  let rest: U8 | undefined;
  let given = 0;
  /** The next `length` bytes. What is left of a piece is the next file's. */
  async function* read(length: number): AsyncGenerator<U8, void, undefined> {
    try {
      for (let left = length; left > 0;) {
        const piece = rest ?? (await pieces.next()).value;
        if (!piece) return;
        const part = piece.length > left ? share(piece).subarray(0, left) : piece;
        rest = piece.length > left ? piece.subarray(left) : undefined;
        left -= part.length;
        given += part.length;
        yield part;
      }
    } catch (error) {
      throw await failed(error);
    }
  }
  const file = (path: string, length: number): Entry => ({
    ...fileEntry(path, flow.cutAt),
    bytes: length,
    body: () => label(name, toBytes(() => read(length))),
  });
  yield file(`${base}/${DATA_FILE}`, bytes);
  // Who has not read it will not read the rest either.
  if (given < bytes) flow.window.discard();
  await flow.ended.catch(async (error) => {
    throw await failed(error);
  });
  const more = flow.received() + paddingFor(flow, bytes) - bytes;
  if (more > 0) yield file(`${base}/${REST_FILE}`, more);
}

/** The snapshot with padding up to `announced` bytes; longer where it is longer. */
async function* padded(flow: Flow, announced: number): AsyncGenerator<U8, void, undefined> {
  let last: U8[] = [];
  let at = 0;
  for (let piece; (piece = await flow.window.next());) {
    last.push(piece);
    // What lies before the last frame so far may go.
    const safe = flow.frames.lastStart();
    while (last.length > 0 && at < safe) {
      const first = last.shift()!;
      const size = Math.min(first.length, safe - at);
      at += size;
      if (size < first.length) last = [share(first).subarray(size), ...last];
      yield size < first.length ? first.subarray(0, size) : first;
    }
  }
  yield* padding(paddingFor(flow, announced));
  yield* last;
}

/** How much padding a snapshot that is whole gets. Where there is less room than a frame needs, more than there is room for. */
function paddingFor({ received }: Flow, announced: number): number {
  const gap = Math.max(0, announced - received());
  return gap === 0 || gap >= SMALLEST ? gap : gap + SMALLEST;
}

function* padding(bytes: number): Generator<U8, void, undefined> {
  for (let left = bytes; left > 0;) {
    let size = Math.min(left, MIB);
    if (left - size > 0 && left - size < SMALLEST) size -= SMALLEST;
    const frame = new Uint8Array(size);
    const length = size - SMALLEST;
    frame.set([PADDING, length & 0xff, length >> 8 & 0xff, length >> 16]);
    left -= size;
    yield frame;
  }
}
