/**
 * OpenPGP's CFB mode (RFC 9580, section 5.13.1) from ciphers that are there natively, in large steps. A step is a buffer with
 * room for one block in front of its data: the block before it, so that nothing is copied.
 *
 * @module
 */
import { createCipheriv } from "node:crypto";
import { pass } from "../blocks.ts";
import type { U8 } from "../stage.ts";

/** Bytes of a block, and in front of a step's data when it is decrypted: the block before it. */
export const BLOCK = 16;

/** Bytes in front of a step's data when it is encrypted: the two blocks before it. */
export const LEAD: number = 2 * BLOCK;

/** Free bytes in front of what a step gives, in the same buffer: room for a header. */
export const HEADROOM = 4;

/**
 * Starts the keystream of `step.subarray(LEAD)`, whose lead is the two plaintext blocks before it (zeros for the first step). Every
 * step but the last is whole blocks. The step is read at once; the next may start when the promise is fulfilled.
 */
export type Keystream = (step: U8) => Promise<U8>;

/**
 * The keystream of an encryption from a zero IV. Each of its blocks is the encryption of the ciphertext block before it, and that is
 * what CBC computes when it is fed the plaintext late: E(plain XOR keystream). So one native call does a whole step, off the main
 * thread. One block of room comes first, which is why the plaintext is fed two blocks late and not one.
 */
export async function keystream(key: Uint8Array): Promise<Keystream> {
  const imported = await crypto.subtle.importKey("raw", new Uint8Array(key), "AES-CBC", false, ["encrypt"]);
  let iv: U8 | undefined;
  return async (step) => {
    const blocks = wholeBlocks(step.length - LEAD);
    // The padding, one block more, is not used.
    const late = step.subarray(iv ? 0 : BLOCK, BLOCK + blocks);
    const name = "AES-CBC";
    let stream = new Uint8Array(
      await crypto.subtle.encrypt({ name, iv: iv ?? new Uint8Array(BLOCK) }, imported, late),
    );
    if (!iv) {
      const roomy = new Uint8Array(BLOCK + stream.length);
      roomy.set(stream, BLOCK);
      stream = roomy;
    }
    iv = stream.slice(blocks - BLOCK, blocks);
    return stream;
  };
}

/** Turns a step's keystream into its ciphertext, in place; at least {@linkcode HEADROOM} bytes in front of it are free. */
export function masked(stream: U8, step: U8): U8 {
  const data = step.subarray(LEAD);
  xor(data, stream.subarray(BLOCK), stream.subarray(BLOCK));
  return pass(stream.subarray(BLOCK, BLOCK + data.length));
}

/** Decryption, step after step. */
export interface Decryption {
  /** The plaintext of `step.subarray(BLOCK)`, in a buffer of its own. Every step but the last is whole blocks, after the block before it. */
  readonly step: (step: U8) => U8;
  /** Lets go of the cipher. */
  readonly close: () => void;
}

/** Decrypts from a zero IV: every keystream block is the encryption of a ciphertext block that is at hand, all at once. */
export function decryptCfb(key: Uint8Array): Decryption {
  const ecb = createCipheriv(`aes-${key.length * 8}-ecb`, key, null);
  ecb.setAutoPadding(false);
  return {
    step: (step) => {
      const data = step.subarray(BLOCK);
      const made = ecb.update(step.subarray(0, wholeBlocks(data.length)));
      // Small results may share a buffer with others.
      const own = made.length === made.buffer.byteLength;
      const stream = own ? new Uint8Array(made.buffer as ArrayBuffer) : new Uint8Array(made);
      xor(data, stream, stream);
      return pass(stream.subarray(0, data.length));
    },
    close: () => void ecb.final(),
  };
}

function wholeBlocks(length: number): number {
  return Math.ceil(length / BLOCK) * BLOCK;
}

/** XORs as many bytes as `data` has into `out`, which may be `stream`. All three are aligned to words. */
function xor(data: U8, stream: U8, out: U8): void {
  const words = data.length >> 2;
  const a = new Int32Array(data.buffer, data.byteOffset, words);
  const b = new Int32Array(stream.buffer, stream.byteOffset, words);
  const c = new Int32Array(out.buffer, out.byteOffset, words);
  for (let i = 0; i < words; i++) c[i] = a[i]! ^ b[i]!;
  for (let i = words * 4; i < data.length; i++) out[i] = data[i]! ^ stream[i]!;
}
