/**
 * The system's C library, where the FFI permission has been granted: what Deno has no call for. Nothing here ever asks for it.
 *
 * @module
 */
import { bytesOf, isRaw } from "../raw_name.ts";
import type { U8 } from "../stage.ts";

/** Numbers of the errors that callers tell apart; those of Linux, on all of its machines that Deno runs on. */
export const ERRNO = {
  EPERM: 1,
  ENOENT: 2,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  E2BIG: 7,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EBUSY: 16,
  EEXIST: 17,
  EXDEV: 18,
  ENODEV: 19,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  EMFILE: 24,
  EFBIG: 27,
  ENOSPC: 28,
  EROFS: 30,
  ERANGE: 34,
  ENAMETOOLONG: 36,
  ENOSYS: 38,
  ENOTEMPTY: 39,
  ELOOP: 40,
  ENODATA: 61,
  EOPNOTSUPP: 95,
  EDQUOT: 122,
} as const;

/** What the system refused: `code` as node:fs has it ("ENOENT"), so that both are told apart alike. */
export interface LibcError extends Error {
  /** The error's name, or its number where the name is not in {@linkcode ERRNO}. */
  readonly code: string;
  /** Its number. */
  readonly errno: number;
}

/** The functions that were asked for, the number of the last error, and the end. */
export interface Opened<S extends Deno.ForeignLibraryInterface> {
  /** The functions. */
  readonly call: Deno.StaticForeignLibraryInterface<S>;
  /** Number of the last error; to be asked for at once, and only after a call has failed. */
  readonly errno: () => number;
  /** Makes an error of the last failure: `what` is the call and what it was for. */
  readonly fault: (what: string) => LibcError;
  /** Lets go of the library; nothing may be called afterwards. */
  readonly close: () => void;
}

/** Why full metadata cannot be had, or the name under which the library is opened. */
export type Reach = { readonly library: string } | { readonly why: string };

/**
 * Where the library lies, on the systems and machines that are known: the name that the loader finds it by, then the paths that
 * `--allow-ffi=PATH` may name. A Deno for glibc has it loaded already, and a second C library in one process does not work: so never
 * that of the other kind.
 */
export function libraries(target: string = Deno.build.target): readonly string[] {
  const [machine, , system, kind] = target.split("-");
  if (system !== "linux" || (machine !== "x86_64" && machine !== "aarch64")) return [];
  if (kind === "musl") return [`libc.musl-${machine}.so.1`, `/lib/ld-musl-${machine}.so.1`];
  return [
    "libc.so.6",
    `/lib/${machine}-linux-gnu/libc.so.6`,
    `/usr/lib/${machine}-linux-gnu/libc.so.6`,
    "/lib64/libc.so.6",
    "/usr/lib64/libc.so.6",
    "/lib/libc.so.6",
    "/usr/lib/libc.so.6",
  ];
}

/** Whether the library may be opened, and as what: asks for nothing, opens nothing. */
export function reach(): Reach {
  const known = libraries();
  if (known.length === 0) {
    return { why: `it is known on Linux (x86_64, aarch64) only, this is ${Deno.build.target}` };
  }
  if (granted()) return { library: known[0]! };
  const library = known.slice(1).find(granted);
  return library === undefined ? { why: "the permission --allow-ffi is not granted" } : { library };
}

function granted(path?: string): boolean {
  return Deno.permissions.querySync(path === undefined ? { name: "ffi" } : { name: "ffi", path }).state ===
    "granted";
}

/**
 * Opens the library with the functions asked for; undefined where the permission is not granted, the system is another, or the library
 * has not all of them. To be closed by the caller.
 */
export function openLibrary<const S extends Deno.ForeignLibraryInterface>(symbols: S): Opened<S> | undefined {
  const found = reach();
  if ("why" in found) return undefined;
  let library: Deno.DynamicLibrary<S>;
  let location: Deno.DynamicLibrary<typeof LOCATION>;
  try {
    library = Deno.dlopen(found.library, symbols);
  } catch {
    return undefined;
  }
  try {
    location = Deno.dlopen(found.library, LOCATION);
  } catch {
    library.close();
    return undefined;
  }
  const errno = (): number => {
    const at = location.symbols.__errno_location();
    return at === null ? 0 : new Deno.UnsafePointerView(at).getInt32();
  };
  return {
    call: library.symbols,
    errno,
    fault: (what) => faultOf(what, errno()),
    close: () => {
      library.close();
      location.close();
    },
  };
}

const LOCATION = { __errno_location: { parameters: [], result: "pointer" } } as const;
const NAMES = new Map<number, string>(Object.entries(ERRNO).map(([name, number]) => [number, name]));

/** The error of a number. */
export function faultOf(what: string, errno: number): LibcError {
  const code = NAMES.get(errno) ?? `errno ${errno}`;
  return Object.assign(new Error(`${code}: ${what}`), { code, errno });
}

/** The longest path the system takes, its closing NUL included (PATH_MAX). */
const PATH_BYTES = 4096;
const encoder = new TextEncoder();

/** A buffer that holds one path at a time, closed by a NUL: text, or bytes through `nameOf` of src/raw_name.ts. Longer ones throw ENAMETOOLONG. */
export function pathBuffer(): (path: string) => U8 {
  const buffer = new Uint8Array(PATH_BYTES);
  return (path) => {
    if (path.includes("\0")) throw faultOf(JSON.stringify(path), ERRNO.EINVAL);
    if (!isRaw(path)) {
      const { read, written } = encoder.encodeInto(path, buffer);
      if (read < path.length || written >= PATH_BYTES) {
        throw faultOf(JSON.stringify(path), ERRNO.ENAMETOOLONG);
      }
      buffer[written] = 0;
    } else {
      const bytes = bytesOf(path);
      if (bytes.length >= PATH_BYTES) throw faultOf(JSON.stringify(path), ERRNO.ENAMETOOLONG);
      buffer.set(bytes);
      buffer[bytes.length] = 0;
    }
    return buffer;
  };
}

/** Flags of open(2) that differ between machines. */
export const OPEN: Readonly<Record<"DIRECTORY" | "NOFOLLOW" | "CLOEXEC" | "NONBLOCK" | "PATH", number>> = {
  DIRECTORY: Deno.build.arch === "aarch64" ? 0o40000 : 0o200000,
  NOFOLLOW: Deno.build.arch === "aarch64" ? 0o100000 : 0o400000,
  CLOEXEC: 0o2000000,
  NONBLOCK: 0o4000,
  PATH: 0o10000000,
};

/** Opens for reading: no link at the end of the path is followed, and a pipe does not make it wait. */
export const FOR_READING: number = OPEN.CLOEXEC | OPEN.NOFOLLOW | OPEN.NONBLOCK;

/** "The current folder", in place of a folder's descriptor. */
export const AT_FDCWD = -100;
