/**
 * Large buffers that change hands instead of being copied, and that are used again: a new one costs a page fault for every 4 KiB and
 * waits for the garbage collector, which is a third of the time of a backup.
 *
 * A chunk of a stream belongs to whoever has read it. That is certain only for chunks that were made here or marked here; all
 * others are left alone. Giving one back detaches it, so that whoever still looks at it sees nothing, and never other bytes.
 *
 * @module
 */
import type { Bytes, U8 } from "./stage.ts";

/** Most buffers of one length that wait to be used again. */
const KEPT = 4;
/** Lengths that are kept: those of stream chunks, of tar blocks, and of frames of which nothing could be packed. */
const LENGTHS = [1024 * 1024, 2 * 1024 * 1024, 2304 * 1024];
const shelves: ReadonlyMap<number, ArrayBuffer[]> = new Map(LENGTHS.map((length) => [length, []]));
const passing = new WeakSet<ArrayBuffer>();

/** A buffer of `size` bytes to be filled and passed on. Its content is whatever it last held. */
export function takeBlock(size: number): U8 {
  return pass(new Uint8Array(shelves.get(size)?.pop() ?? new ArrayBuffer(size)));
}

/** A buffer of at least `size` bytes, of a length that is kept where there is one not much larger. */
export function takeAtLeast(size: number): U8 {
  return takeBlock(LENGTHS.find((length) => length >= size && length <= 4 * size) ?? size);
}

/** The first `size` bytes of a block, to be passed on. Where that is a small part, a copy: the block is not kept along. */
export function cutBlock(block: U8, size: number): U8 {
  if (size > block.length / 2) return block.subarray(0, size);
  const copy = block.slice(0, size);
  giveBack(block);
  return copy;
}

/** Marks a chunk as having one owner: whoever reads it next. */
export function pass(chunk: U8): U8 {
  passing.add(chunk.buffer);
  return chunk;
}

/** Takes the mark off a chunk that several will read. */
export function share(chunk: U8): U8 {
  passing.delete(chunk.buffer);
  return chunk;
}

/** Whether a chunk has its buffer to itself, and one owner: such a buffer may be transferred. */
export function isWholeBlock(chunk: U8): boolean {
  return chunk.length === chunk.buffer.byteLength && passing.has(chunk.buffer);
}

/** Whether a chunk has one owner. */
export function isPassing(chunk: U8): boolean {
  return passing.has(chunk.buffer);
}

/** Gives back a chunk that has been read, with all that shares its buffer. Nothing happens to one that is not marked. */
export function giveBack(chunk: U8): void {
  const { buffer } = chunk;
  if (!passing.delete(buffer)) return;
  const shelf = shelves.get(buffer.byteLength);
  if (shelf && shelf.length < KEPT) shelf.push(buffer.transfer());
  else buffer.transfer(0); // frees it now
}

/** Small contents share a buffer, one allocation for hundreds of them. */
const SHARED_BYTES = 1024 * 1024;
/** What of the buffer is free. */
let free: U8 = new Uint8Array(0);
/** Contents in the buffer that have not been given back. */
let held = 0;

/** Room for a small content; the next call gives the same room, unless something is kept of it. */
export function takeRoom(size: number): U8 {
  if (size > SHARED_BYTES / 8) return new Uint8Array(size);
  if (free.length < size) {
    const { buffer } = free;
    // Moved: whoever still looks at what was given back sees nothing, and never other bytes.
    free = new Uint8Array(
      held === 0 && buffer.byteLength > 0 ? buffer.transfer() : new ArrayBuffer(SHARED_BYTES),
    );
    held = 0;
  }
  return free.subarray(0, size);
}

/** The first `size` bytes of a room, to be passed on. Nothing is written over them until they are given back. */
export function keepRoom(room: U8, size: number): U8 {
  if (room.buffer === free.buffer) {
    free = free.subarray(size);
    held++;
  }
  return room.subarray(0, size);
}

/** Gives back, once, what `keepRoom` gave and has been read. Nothing happens to what comes from elsewhere. */
export function giveBackRoom(content: U8): void {
  if (content.buffer === free.buffer) held--;
}

/** Lets go of the buffers that wait. */
export function emptyShelves(): void {
  for (const shelf of shelves.values()) shelf.length = 0;
}

/** Gives the next bytes of a content, which stay what they are until the next call; undefined at the end. */
export type Views = () => Promise<U8 | undefined>;

const views = new WeakMap<() => Bytes, Views>();

/** Offers a second way to read a body, without copies: for who has done with each part before asking for the next. */
export function withViews(body: () => Bytes, next: Views): () => Bytes {
  views.set(body, next);
  return body;
}

/** The second way, where a body has one. */
export function viewsOf(body: () => Bytes): Views | undefined {
  return views.get(body);
}

/** Writes the next bytes of a content into `target`, which is not longer than what is left; gives how many, 0 at the end. */
export type Fill = (target: U8) => Promise<number>;

const fills = new WeakMap<() => Bytes, Fill>();

/** Offers a second way to read a body, into the reader's own buffer. Of the two, one may be used, once. */
export function withFill(body: () => Bytes, fill: Fill): () => Bytes {
  fills.set(body, fill);
  return body;
}

/** The second way, where a body has one. A stage that puts another function in its place has none, as it must be. */
export function fillOf(body: () => Bytes): Fill | undefined {
  return fills.get(body);
}
