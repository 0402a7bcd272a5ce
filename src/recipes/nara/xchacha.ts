/**
 * XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha): HChaCha20 here, the rest by the system's ChaCha20-Poly1305.
 *
 * @module
 */
import { createCipheriv, createDecipheriv } from "node:crypto";
import { IntegrityError } from "../../errors.ts";
import type { U8 } from "../../stage.ts";

const TAG = 16;

/** Encrypts; gives the ciphertext and its 16-byte tag. The nonce has 24 bytes and is used once. */
export function seal(key: U8, nonce: U8, plain: Uint8Array): U8 {
  const { inner, rest } = derive(key, nonce);
  const cipher = createCipheriv("chacha20-poly1305", inner, rest, { authTagLength: TAG });
  const out = new Uint8Array(plain.length + TAG);
  out.set(cipher.update(plain));
  cipher.final();
  out.set(cipher.getAuthTag(), plain.length);
  return out;
}

/** Decrypts. Throws {@linkcode IntegrityError} when key, nonce and bytes do not belong together. */
export function open(key: U8, nonce: U8, sealed: Uint8Array): U8 {
  if (sealed.length < TAG) throw new IntegrityError("Cannot open the stash: it is too short");
  const { inner, rest } = derive(key, nonce);
  const decipher = createDecipheriv("chacha20-poly1305", inner, rest, { authTagLength: TAG });
  decipher.setAuthTag(sealed.subarray(sealed.length - TAG));
  const plain = new Uint8Array(decipher.update(sealed.subarray(0, sealed.length - TAG)));
  try {
    decipher.final();
  } catch (cause) {
    throw new IntegrityError("Cannot open the stash: it was sealed with another soul, or it is damaged", {
      cause,
    });
  }
  return plain;
}

function derive(key: U8, nonce: U8): { inner: U8; rest: U8 } {
  if (key.length !== 32 || nonce.length !== 24) {
    throw new IntegrityError(`Cannot open the stash: its nonce has ${nonce.length} bytes, not 24`);
  }
  const rest = new Uint8Array(12);
  rest.set(nonce.subarray(16), 4);
  return { inner: hchacha20(key, nonce.subarray(0, 16)), rest };
}

/** HChaCha20: a key from a key and 16 bytes. */
export function hchacha20(key: U8, nonce: Uint8Array): U8 {
  const input = new Uint8Array(64);
  input.set(new TextEncoder().encode("expand 32-byte k"));
  input.set(key, 16);
  input.set(nonce, 48);
  const view = new DataView(input.buffer);
  const state = Uint32Array.from({ length: 16 }, (_, i) => view.getUint32(i * 4, true));
  const quarters = [
    [0, 4, 8, 12],
    [1, 5, 9, 13],
    [2, 6, 10, 14],
    [3, 7, 11, 15],
    [0, 5, 10, 15],
    [1, 6, 11, 12],
    [2, 7, 8, 13],
    [3, 4, 9, 14],
  ] as const;
  for (let round = 0; round < 10; round++) for (const [a, b, c, d] of quarters) quarter(state, a, b, c, d);
  const out = new Uint8Array(32);
  const words = new DataView(out.buffer);
  for (let i = 0; i < 8; i++) words.setUint32(i * 4, state[i < 4 ? i : i + 8]!, true);
  return out;
}

function quarter(s: Uint32Array, a: number, b: number, c: number, d: number): void {
  const step = (x: number, y: number, z: number, turn: number): void => {
    s[x] = s[x]! + s[y]!;
    const mixed = s[z]! ^ s[x]!;
    s[z] = (mixed << turn) | (mixed >>> (32 - turn));
  };
  step(a, b, d, 16);
  step(c, d, b, 12);
  step(a, b, d, 8);
  step(c, d, b, 7);
}
