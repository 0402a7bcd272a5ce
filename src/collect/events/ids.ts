/**
 * Which ids have been seen, at 32 bytes each.
 *
 * @module
 */
import { createHash, randomInt } from "node:crypto";
import type { U8 } from "../../stage.ts";

/** A growing set of ids. */
export interface IdSet {
  /** Adds an id; gives whether it is new. */
  readonly add: (bytes: U8, start: number, end: number) => boolean;
  /** Whether an id is in the set. */
  readonly has: (bytes: U8, start: number, end: number) => boolean;
  /** Ids so far. */
  readonly size: () => number;
}

/**
 * Makes an empty set. 32 lower-case hexadecimal digits are kept as the 128 bits they are, any other id as the first 128 bits of its
 * SHA-256.
 */
export function idSet(): IdSet {
  let slots = new Uint32Array(4 * 1024);
  let count = 0;
  const seed = randomInt(2 ** 32); // whoever chooses ids cannot choose where they collide
  const key = new Uint32Array(4);

  function place(table: Uint32Array, words: Uint32Array): number {
    const mask = table.length / 4 - 1;
    for (let slot = mix(words, seed) & mask;; slot = (slot + 1) & mask) {
      const at = slot * 4;
      if (
        table[at] === words[0] && table[at + 1] === words[1] && table[at + 2] === words[2] &&
        table[at + 3] === words[3]
      ) return at;
      if ((table[at]! | table[at + 1]! | table[at + 2]! | table[at + 3]!) === 0) return ~at;
    }
  }

  function grow(): void {
    const wider = new Uint32Array(slots.length * 2);
    for (let at = 0; at < slots.length; at += 4) {
      const words = slots.subarray(at, at + 4);
      if ((words[0]! | words[1]! | words[2]! | words[3]!) !== 0) wider.set(words, ~place(wider, words));
    }
    slots = wider;
  }

  return {
    size: () => count,
    has: (bytes, start, end) => place(slots, read(key, bytes, start, end)) >= 0,
    add: (bytes, start, end) => {
      const at = place(slots, read(key, bytes, start, end));
      if (at >= 0) return false;
      slots.set(key, ~at);
      if (++count * 8 > slots.length) grow();
      return true;
    },
  };
}

function mix(words: Uint32Array, seed: number): number {
  let hash = seed;
  for (let i = 0; i < 4; i++) {
    hash = Math.imul(hash ^ words[i]!, 0x9e3779b1);
    hash ^= hash >>> 15;
  }
  return hash;
}

/** The 128 bits of an id; never all zero, which marks an empty slot. */
function read(key: Uint32Array, bytes: U8, start: number, end: number): Uint32Array {
  if (end - start !== 32 || !readHex(key, bytes, start)) {
    const digest = createHash("sha256").update(bytes.subarray(start, end)).digest();
    for (let i = 0; i < 4; i++) key[i] = digest.readUInt32LE(i * 4);
  }
  if ((key[0]! | key[1]! | key[2]! | key[3]!) === 0) key[3] = 1;
  return key;
}

function readHex(key: Uint32Array, bytes: U8, start: number): boolean {
  for (let i = 0; i < 4; i++) {
    let word = 0;
    for (let at = start + i * 8; at < start + i * 8 + 8; at++) {
      const byte = bytes[at]!;
      const digit = byte >= 0x30 && byte <= 0x39
        ? byte - 0x30
        : byte >= 0x61 && byte <= 0x66
        ? byte - 0x57
        : -1;
      if (digit < 0) return false;
      word = (word << 4) | digit;
    }
    key[i] = word;
  }
  return true;
}
