/**
 * SHA-256 of many short contents: by the system's libcrypto (OpenSSL 1.1.1 or 3) where it may be used and there are many, else by node:crypto.
 *
 * @module
 */
import { hash } from "node:crypto";
import type { U8 } from "../stage.ts";
import { type Held, LIBCRYPTO, sharedNative } from "./library.ts";

const SYMBOLS = {
  SHA256_Init: { parameters: ["buffer"], result: "i32" },
  SHA256_Update: { parameters: ["buffer", "buffer", "usize"], result: "i32" },
  SHA256_Final: { parameters: ["buffer", "buffer"], result: "i32" },
} as const;

/** More than SHA256_CTX of openssl/sha.h takes, 112 bytes. */
const CONTEXT_BYTES = 256;
const DIGEST_BYTES = 32;
/** Fewer contents are hashed before the library is there. */
const MANY = 512;

/** Computes SHA-256 (FIPS 180-4). */
export interface Digester {
  /** In lower-case hexadecimal. */
  readonly hex: (content: U8) => string;
  /** Written to the start of `target`. */
  readonly into: (content: U8, target: U8) => void;
}

/** By node:crypto. */
export const portable: Digester = {
  hex: (content) => hash("sha256", content, "hex"),
  into: (content, target) => void target.setFromHex(hash("sha256", content, "hex")),
};

const libcrypto = sharedNative(LIBCRYPTO, SYMBOLS, isRight);

/** The quicker way for many contents. To be let go of. */
export function digester(): Digester & Disposable {
  let held: Held<typeof SYMBOLS> | undefined;
  let by = portable;
  let seen = 0;
  const next = (): Digester => {
    if (++seen !== MANY) return by;
    held = libcrypto();
    return by = held ? nativeOf(held.lib) : portable;
  };
  return {
    hex: (content) => next().hex(content),
    into: (content, target) => next().into(content, target),
    [Symbol.dispose]: () => {
      by = portable;
      held?.release();
    },
  };
}

function nativeOf(lib: Held<typeof SYMBOLS>["lib"]): Digester {
  const context = new Uint8Array(CONTEXT_BYTES);
  const digest = new Uint8Array(DIGEST_BYTES);
  const into = (content: U8, target: U8): void => {
    const done = lib.SHA256_Init(context) === 1 &&
      lib.SHA256_Update(context, content, BigInt(content.length)) === 1 &&
      lib.SHA256_Final(target, context) === 1;
    if (!done) throw new Error("Cannot compute a SHA-256: libcrypto refuses. Run again");
  };
  return {
    hex: (content) => {
      into(content, digest);
      return digest.toHex();
    },
    into,
  };
}

/** Whether it answers as Deno does, for a short content and for one of several blocks. */
function isRight(lib: Held<typeof SYMBOLS>["lib"]): boolean {
  const native = nativeOf(lib);
  const bytes = Uint8Array.from({ length: 300 }, (_, i) => i * 7);
  try {
    return [0, 3, 300].every((size) => {
      const content = bytes.subarray(0, size);
      return native.hex(content) === portable.hex(content);
    });
  } catch {
    return false;
  }
}
