/**
 * What a restore sets through the C library: nanosecond times, extended attributes, names of any bytes, and two things that change
 * places in one step. Paths are text as of `raw_name.ts`; a link at the end of one is never followed.
 *
 * @module
 */
import { AT_FDCWD, ERRNO, FOR_READING, openLibrary, pathBuffer } from "./open.ts";

/** The calls. Each throws an error with the system's `code` when it is refused. */
export interface Writer extends Disposable {
  /** Exchanges two names in one step (renameat2(2), RENAME_EXCHANGE). False: not done, this kernel or file system cannot, or will not. */
  readonly exchange: (one: string, other: string) => boolean;
  /** Renames. What stands at `to` is an EEXIST, where kernel and file system can tell; else it is replaced. */
  readonly rename: (from: string, to: string) => void;
  /** Makes a symbolic link. */
  readonly symlink: (target: string, path: string) => void;
  /** Sets the mode, of what is no link. */
  readonly setMode: (path: string, mode: number) => void;
  /** Sets owner and group. */
  readonly setOwner: (path: string, uid: number, gid: number) => void;
  /** Waits until the disk has what stands at a path; what cannot be opened is passed over. */
  readonly sync: (path: string) => void;
  /** Sets access and modification time: whole milliseconds since 1970, and nanoseconds (0 to 999,999) after them. */
  readonly setTimes: (path: string, ms: number, ns: number) => void;
  /** Sets an extended attribute, of a link itself too where the system allows it. */
  readonly setAttribute: (path: string, name: string, value: Uint8Array<ArrayBuffer>) => void;
  /** Removes an extended attribute; false: it could not, most often because none is there. */
  readonly removeAttribute: (path: string, name: string) => boolean;
}

/** renameat2(2). */
const RENAME_NOREPLACE = 1;
const RENAME_EXCHANGE = 2;
/** utimensat(2). */
const AT_SYMLINK_NOFOLLOW = 0x100;

const SYMBOLS = {
  renameat: { parameters: ["i32", "buffer", "i32", "buffer"], result: "i32" },
  renameat2: { parameters: ["i32", "buffer", "i32", "buffer", "u32"], result: "i32", optional: true },
  utimensat: { parameters: ["i32", "buffer", "buffer", "i32"], result: "i32" },
  symlink: { parameters: ["buffer", "buffer"], result: "i32" },
  chmod: { parameters: ["buffer", "u32"], result: "i32" },
  lchown: { parameters: ["buffer", "u32", "u32"], result: "i32" },
  open: { parameters: ["buffer", "i32", "u32"], result: "i32" },
  fsync: { parameters: ["i32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
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
    rename: (from, to) => {
      const [one, other] = [first(from), second(to)];
      if (call.renameat2) {
        if (call.renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_NOREPLACE) === 0) return;
        if (errno() !== ERRNO.EINVAL && errno() !== ERRNO.ENOSYS) throw fault(`rename '${from}'`);
      }
      check(call.renameat(AT_FDCWD, one, AT_FDCWD, other), `rename '${from}'`);
    },
    symlink: (target, path) => check(call.symlink(first(target), second(path)), `symlink '${path}'`),
    setMode: (path, mode) => check(call.chmod(first(path), mode), `chmod '${path}'`),
    setOwner: (path, uid, gid) => check(call.lchown(first(path), uid, gid), `lchown '${path}'`),
    sync: (path) => {
      const fd = call.open(first(path), FOR_READING, 0);
      if (fd < 0) return;
      const failed = call.fsync(fd) !== 0;
      call.close(fd);
      if (failed) throw fault(`fsync '${path}'`);
    },
    setTimes: (path, ms, ns) => {
      const seconds = Math.floor(ms / 1000);
      times[0] = times[2] = BigInt(seconds);
      times[1] = times[3] = BigInt((ms - seconds * 1000) * 1_000_000 + ns);
      check(call.utimensat(AT_FDCWD, first(path), timesBytes, AT_SYMLINK_NOFOLLOW), `utimensat '${path}'`);
    },
    setAttribute: (path, name, value) => {
      check(call.lsetxattr(first(path), second(name), value, BigInt(value.length), 0), `setxattr '${path}'`);
    },
    removeAttribute: (path, name) => call.lremovexattr(first(path), second(name)) === 0,
    [Symbol.dispose]: library.close,
  };
}
