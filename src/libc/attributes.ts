/**
 * Extended attributes through the C library.
 *
 * @module
 */
import { nameOf } from "../raw_name.ts";
import type { U8 } from "../stage.ts";
import { ERRNO, type LibcError } from "./open.ts";

/** XATTR_LIST_MAX and XATTR_SIZE_MAX of linux/limits.h: no list and no value is longer. */
const XATTR_MAX = 65536;
/** A name that went meanwhile, and a file system without attributes. */
const NO_ATTRIBUTE: readonly number[] = [ERRNO.ENODATA, ERRNO.EOPNOTSUPP];

/** Reads the attributes of what stands at a path; undefined: none, or its file system has none. */
export function attributesWith(
  list: (path: U8, into: U8, size: bigint) => bigint,
  get: (path: U8, name: U8, into: U8, size: bigint) => bigint,
  errno: () => number,
  fault: (what: string) => LibcError,
  path: (text: string) => U8,
): (at: string) => ReadonlyMap<string, U8> | undefined {
  const names = new Uint8Array(XATTR_MAX);
  const value = new Uint8Array(XATTR_MAX);
  const most = BigInt(XATTR_MAX);
  return (at) => {
    const where = path(at);
    const size = Number(list(where, names, most));
    if (size === 0) return undefined;
    if (size < 0) {
      if (errno() === ERRNO.EOPNOTSUPP) return undefined;
      throw fault(`list the attributes of "${at}"`);
    }
    const found = new Map<string, U8>();
    for (let from = 0, end = 0; from < size; from = end + 1) {
      end = names.indexOf(0, from);
      const name = nameOf(names.subarray(from, end));
      const got = Number(get(where, names.subarray(from, end + 1), value, most));
      if (got >= 0) found.set(name, value.slice(0, got));
      else if (!NO_ATTRIBUTE.includes(errno())) throw fault(`read the attribute ${name} of "${at}"`);
    }
    return found.size === 0 ? undefined : found;
  };
}
