/**
 * ChaCha20-Poly1305 (RFC 8439) and SHA-256 by the system's libcrypto (OpenSSL 1.1.1 or 3), where it may be used.
 *
 * @module
 */
import { createCipheriv, createHash } from "node:crypto";
import type { U8 } from "../stage.ts";
import { type Held, holding, LIBCRYPTO, sharedNative } from "./library.ts";

const INIT = { parameters: ["pointer", "pointer", "pointer", "buffer", "buffer"], result: "i32" } as const;
const UPDATE = { parameters: ["pointer", "buffer", "buffer", "buffer", "i32"], result: "i32" } as const;
const FINAL = { parameters: ["pointer", "buffer", "buffer"], result: "i32" } as const;
const HASH = { name: "EVP_DigestUpdate", parameters: ["pointer", "buffer", "usize"], result: "i32" } as const;
const MAKE = { parameters: [], result: "pointer" } as const;
const FREE = { parameters: ["pointer"], result: "void" } as const;
const SYMBOLS = {
  EVP_chacha20_poly1305: MAKE,
  EVP_CIPHER_CTX_new: MAKE,
  EVP_CIPHER_CTX_free: FREE,
  EVP_CIPHER_CTX_ctrl: { parameters: ["pointer", "i32", "i32", "buffer"], result: "i32" },
  EVP_DecryptInit_ex: INIT,
  EVP_DecryptUpdate: UPDATE,
  EVP_DecryptFinal_ex: FINAL,
  EVP_EncryptInit_ex: INIT,
  EVP_EncryptUpdate: UPDATE,
  EVP_EncryptFinal_ex: FINAL,
  EVP_sha256: MAKE,
  EVP_MD_CTX_new: MAKE,
  EVP_MD_CTX_free: FREE,
  EVP_DigestInit_ex: { parameters: ["pointer", "pointer", "pointer"], result: "i32" },
  hash: HASH,
  hashBeside: { ...HASH, nonblocking: true },
  EVP_DigestFinal_ex: FINAL,
} as const;

type Library = Held<typeof SYMBOLS>;

/** EVP_CTRL_AEAD_GET_TAG and EVP_CTRL_AEAD_SET_TAG of openssl/evp.h. */
const GET_TAG = 0x10;
const SET_TAG = 0x11;
/** Length of a Poly1305 tag in bytes. */
const TAG = 16;
/** Fewer bytes are hashed before another thread would have begun. */
const BESIDE_BYTES = 128 * 1024;

/** ChaCha20-Poly1305 under one key. */
export interface ChaCha {
  /** Writes content and tag, 16 bytes more than `plain`, to the start of `target`. */
  readonly seal: (nonce: Uint8Array, plain: Uint8Array, target: Uint8Array) => void;
  /**
   * Writes the content, 16 bytes less than `sealed` and at least one, to the start of `target`. False unless the tag is right: what
   * stands there then is nothing to be used.
   */
  readonly open: (nonce: Uint8Array, sealed: Uint8Array, target: Uint8Array) => boolean;
  /** Wipes the key. May be called twice; nothing else may be called afterwards. */
  readonly close: () => void;
}

/** A SHA-256 under way that is computed beside the calling thread. */
export interface Sha256 {
  /** Takes bytes, which must stay as they are until the promise has settled. One call at a time. */
  readonly add: (bytes: U8) => Promise<void>;
  /** The digest in lower-case hexadecimal; once, after the last `add` has settled. */
  readonly hex: () => string;
  /** Lets go of the memory, after the last `add` has settled. May be called twice; nothing else may be called afterwards. */
  readonly close: () => void;
}

/** It must answer as Deno does, else it is not used: a FIPS build has no ChaCha20, for one. */
const libcrypto = sharedNative(LIBCRYPTO, SYMBOLS, isRight);

/** ChaCha20-Poly1305 under `key`; undefined where the library may not be used or is not there. */
export function chacha(key: Uint8Array): ChaCha | undefined {
  const held = libcrypto();
  return held && chachaOf(held, key as U8);
}

/** A SHA-256; undefined where the library may not be used or is not there. */
export function sha256Beside(): Sha256 | undefined {
  const held = libcrypto();
  return held && sha256Of(held);
}

function chachaOf({ lib, release }: Library, key: U8): ChaCha | undefined {
  let context = lib.EVP_CIPHER_CTX_new();
  const length = new Uint8Array(4);
  const cipher = lib.EVP_chacha20_poly1305();
  if (context === null || cipher === null) {
    release();
    return undefined;
  }
  return {
    seal: (nonce, plain, target) => {
      const size = plain.length;
      const done = lib.EVP_EncryptInit_ex(context, cipher, null, key, nonce as U8) === 1 &&
        lib.EVP_EncryptUpdate(context, target as U8, length, plain as U8, size) === 1 &&
        lib.EVP_EncryptFinal_ex(context, target.subarray(size) as U8, length) === 1 &&
        lib.EVP_CIPHER_CTX_ctrl(context, GET_TAG, TAG, target.subarray(size, size + TAG) as U8) === 1;
      if (!done) throw new Error("Cannot encrypt: libcrypto has no memory. Run again");
    },
    open: (nonce, sealed, target) => {
      const size = sealed.length - TAG;
      return lib.EVP_DecryptInit_ex(context, cipher, null, key, nonce as U8) === 1 &&
        lib.EVP_CIPHER_CTX_ctrl(context, SET_TAG, TAG, sealed.subarray(size) as U8) === 1 &&
        lib.EVP_DecryptUpdate(context, target as U8, length, sealed as U8, size) === 1 &&
        lib.EVP_DecryptFinal_ex(context, target.subarray(size) as U8, length) === 1;
    },
    close: () => {
      if (context !== null) lib.EVP_CIPHER_CTX_free(context);
      context = null;
      release();
    },
  };
}

function sha256Of({ lib, release }: Library): Sha256 | undefined {
  let context = lib.EVP_MD_CTX_new();
  if (context === null || lib.EVP_DigestInit_ex(context, lib.EVP_sha256(), null) !== 1) {
    release();
    return undefined;
  }
  const check = (result: number): void => {
    if (result !== 1) throw new Error("Cannot compute a SHA-256: libcrypto has no memory. Run again");
  };
  return {
    add: async (bytes) => {
      check(
        bytes.length < BESIDE_BYTES
          ? lib.hash(context, bytes, BigInt(bytes.length))
          : await holding([bytes], () => lib.hashBeside(context, bytes, BigInt(bytes.length))),
      );
    },
    hex: () => {
      const digest = new Uint8Array(32);
      check(lib.EVP_DigestFinal_ex(context, digest, new Uint8Array(4)));
      return digest.toHex();
    },
    close: () => {
      if (context !== null) lib.EVP_MD_CTX_free(context);
      context = null;
      release();
    },
  };
}

/** Whether it answers as Deno does: 300 bytes sealed and opened, and hashed. */
function isRight(lib: Library["lib"]): boolean {
  const bytes = Uint8Array.from({ length: 300 }, (_, i) => i * 7);
  const [key, nonce] = [bytes.slice(0, 32), bytes.slice(32, 44)];
  const portable = createCipheriv("chacha20-poly1305", key, nonce, { authTagLength: TAG });
  const expected = portable.update(bytes).toString("hex") + portable.final("hex") +
    portable.getAuthTag().toString("hex");
  const held = { lib, release: () => {} };
  const own = chachaOf(held, key);
  const hash = sha256Of(held);
  try {
    const [sealed, plain] = [new Uint8Array(316), new Uint8Array(300)];
    if (!own || !hash) return false;
    own.seal(nonce, bytes, sealed);
    hash.add(bytes);
    return sealed.toHex() === expected && own.open(nonce, sealed, plain) && plain.toHex() === bytes.toHex() &&
      hash.hex() === createHash("sha256").update(bytes).digest("hex");
  } catch {
    return false;
  } finally {
    own?.close();
    hash?.close();
  }
}
