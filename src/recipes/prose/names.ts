/**
 * File names of Prose's backups: those of its design, `prose_2025-12-02T10:46:50Z.tar.zst.gpg`. One strict grammar, canonical both ways.
 *
 * @module
 */
import type { Naming } from "../../stage.ts";

/** The name of the shelf that Prose's backups lie on. */
export const SHELF = "prose";

const ID = /^prose_(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)(\.tar\.zst(?:\.gpg)?)$/;

/** Names of new backups: RFC 3339 in UTC, to the second. Not possible on Windows, because of the colons. */
export const proseNaming: Naming = {
  prefix: () => `${SHELF}_`,
  format: (_name, time, suffix) => {
    const id = `${SHELF}_${time.toISOString().slice(0, 19)}Z${suffix}`;
    if (!ID.test(id)) {
      throw new TypeError(`Cannot name a backup of Prose "${id}": it is tar, zstd, and gpg or nothing`);
    }
    return id;
  },
  parse: (id) => {
    const [, stamp, suffix] = ID.exec(id) ?? [];
    if (stamp === undefined || suffix === undefined) return undefined;
    const time = new Date(stamp);
    const real = !Number.isNaN(time.getTime()) && time.toISOString() === stamp.replace("Z", ".000Z");
    return real ? { name: SHELF, time, suffix } : undefined;
  },
};
