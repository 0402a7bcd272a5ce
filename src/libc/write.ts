/**
 * What a restore sets through the C library: nanosecond times, extended attributes, names of any bytes, and two things that change
 * places in one step. Paths are text as of `raw_name.ts`; a link at the end of one is never followed.
 *
 * @module
 */
import { AT_FDCWD, ERRNO, openLibrary, pathBuffer } from "./open.ts";

/** The calls. Each throws an error with the system's `code` when it is refused. */
export interface Writer extends Disposable {
  /** Exchanges two names in one step (renameat2(2), RENAME_EXCHANGE). False: not done, this kernel or file system cannot, or will not. */
  readonly exchange: (one: string, other: string) => boolean;
  /** Renames; what stands at `to` is replaced. */
  readonly rename: (from: string, to: string) => void;
  /** Sets access and modification time: whole milliseconds since 1970, and nanoseconds (0 to 999,999) after them. */
  readonly setTimes: (path: string, ms: number, ns: number) => void;
  /** Sets an extended attribute, of a link itself too where the system allows it. */
  readonly setAttribute: (path: string, name: string, value: Uint8Array<ArrayBuffer>) => void;
  /** Removes an extended attribute; none there is fine. */
  readonly removeAttribute: (path: string, name: string) => void;
}

/** renameat2(2). */
const RENAME_EXCHANGE = 2;
/** utimensat(2). */
const AT_SYMLINK_NOFOLLOW = 0x100;

const SYMBOLS = {
  renameat: { parameters: ["i32", "buffer", "i32", "buffer"], result: "i32" },
  renameat2: { parameters: ["i32", "buffer", "i32", "buffer", "u32"], result: "i32", optional: true },
  utimensat: { parameters: ["i32", "buffer", "buffer", "i32"], result: "i32" },
  lsetxattr: { parameters: ["buffer", "buffer", "buffer", "usize", "i32"], result: "i32" },
  lremovexattr: { parameters: ["buffer", "buffer"], result: "i32" },
} as const;

/** Opens the calls; undefined where the permission is not granted or the system is another. */
export function openWriter(): Writer | undefined {
  const library = openLibrary(SYMBOLS);
  if (!library) return undefined;
  const { call, errno, fault } = library;
  const first = pathBuffer();
  const second = pathBuffer();
  const times = new BigInt64Array(4);
  const timesBytes = new Uint8Array(times.buffer);

  function check(result: number, what: string): void {
    if (result !== 0) throw fault(what);
  }

  return {
    exchange: (one, other) => {
      if (!call.renameat2) return false;
      return call.renameat2(AT_FDCWD, first(one), AT_FDCWD, second(other), RENAME_EXCHANGE) === 0;
    },
    rename: (from, to) =>
      check(call.renameat(AT_FDCWD, first(from), AT_FDCWD, second(to)), `rename '${from}'`),
    setTimes: (path, ms, ns) => {
      const seconds = Math.floor(ms / 1000);
      times[0] = times[2] = BigInt(seconds);
      times[1] = times[3] = BigInt((ms - seconds * 1000) * 1_000_000 + ns);
      check(call.utimensat(AT_FDCWD, first(path), timesBytes, AT_SYMLINK_NOFOLLOW), `utimensat '${path}'`);
    },
    setAttribute: (path, name, value) => {
      check(call.lsetxattr(first(path), second(name), value, BigInt(value.length), 0), `setxattr '${path}'`);
    },
    removeAttribute: (path, name) => {
      if (call.lremovexattr(first(path), second(name)) === 0 || errno() === ERRNO.ENODATA) return;
      throw fault(`removexattr '${path}'`);
    },
    [Symbol.dispose]: library.close,
  };
}
