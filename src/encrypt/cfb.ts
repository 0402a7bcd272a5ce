/**
 * OpenPGP's CFB mode (RFC 9580, section 5.13.1) from ciphers that are there natively, in large steps. A step is a buffer with
 * room for one block in front of its data: the block before it, so that nothing is copied.
 *
 * @module
 */
import { createCipheriv } from "node:crypto";
import type { U8 } from "../stage.ts";

/** Bytes of a block, and of the room in front of a step's data. */
export const BLOCK = 16;

/** Free bytes in front of what a step gives, in the same buffer: room for a header. */
export const HEADROOM = 4;

/**
 * Turns `step.subarray(BLOCK)` into its other form, in a buffer of its own behind {@linkcode HEADROOM}. Every step but the last is
 * whole blocks. The step may be used again once the promise is fulfilled.
 */
export type CfbStep = (step: U8) => Promise<U8>;

/**
 * Encrypts from a zero IV. The keystream of a block is the encryption of the ciphertext block before it, and that is what CBC
 * computes when it is fed the plaintext one block late: E(plain XOR keystream). So one native call does a whole step, off the
 * main thread.
 */
export async function encryptCfb(key: Uint8Array): Promise<CfbStep> {
  const raw = new Uint8Array(key);
  const imported = await crypto.subtle.importKey("raw", raw, "AES-CBC", false, ["encrypt"]);
  let iv: U8 = new Uint8Array(BLOCK);
  return async (step) => {
    const late = step.subarray(0, wholeBlocks(step.length - BLOCK));
    // The padding, one block more, is not used.
    const stream = new Uint8Array(await crypto.subtle.encrypt({ name: "AES-CBC", iv }, imported, late));
    iv = stream.slice(late.length - BLOCK, late.length);
    return xored(step.subarray(BLOCK), stream);
  };
}

/** Decrypts from a zero IV: every keystream block is the encryption of a ciphertext block that is at hand, all at once. */
export function decryptCfb(key: Uint8Array): { readonly step: CfbStep; readonly close: () => void } {
  const ecb = createCipheriv(`aes-${key.length * 8}-ecb`, key, null);
  ecb.setAutoPadding(false);
  return {
    step: (step) => {
      const late = step.subarray(0, wholeBlocks(step.length - BLOCK));
      const stream = ecb.update(late);
      return Promise.resolve(
        xored(step.subarray(BLOCK), stream.byteOffset % 4 === 0 ? stream as U8 : new Uint8Array(stream)),
      );
    },
    close: () => void ecb.final(),
  };
}

function wholeBlocks(length: number): number {
  return Math.ceil(length / BLOCK) * BLOCK;
}

/** XORs two texts of words into a buffer of its own; gives as much as `data` has. Both are aligned to words. */
function xored(data: U8, stream: U8): U8 {
  const out = new Uint8Array(HEADROOM + Math.ceil(data.length / 4) * 4);
  const words = data.length >> 2;
  const a = new Int32Array(data.buffer, data.byteOffset, words);
  const b = new Int32Array(stream.buffer, stream.byteOffset, words);
  const c = new Int32Array(out.buffer, HEADROOM, words);
  for (let i = 0; i < words; i++) c[i] = a[i]! ^ b[i]!;
  for (let i = words * 4; i < data.length; i++) out[HEADROOM + i] = data[i]! ^ stream[i]!;
  return out.subarray(HEADROOM, HEADROOM + data.length);
}
