/**
 * Who has a file open, on Linux: descriptors of processes we may look at, and locks of all.
 *
 * @module
 */
import { readdirSync, readFileSync, readlinkSync, type Stats, statSync } from "node:fs";

/** What could be seen. */
export interface Users {
  /** Processes that have it open; -1 stands for one that cannot be named. */
  readonly pids: readonly number[];
  /** Whether all processes could be looked at. */
  readonly certain: boolean;
}

/** The processes that have one of `paths` open, this one included. Never opens the files, which would drop this process's own locks on them. */
export function usersOf(paths: readonly string[]): Users {
  const files = paths.map((path) => statSync(path, { throwIfNoEntry: false })).filter((stat) =>
    stat !== undefined
  );
  if (files.length === 0) return { pids: [], certain: true };
  const pids = new Set<number>(lockers(files));
  let certain = true;
  try {
    for (const name of readdirSync("/proc").filter((name) => /^[1-9]\d*$/.test(name))) {
      const seen = holds(name, files, new Set(paths));
      if (seen) pids.add(Number(name));
      if (seen === undefined) certain = false;
    }
  } catch {
    certain = false;
  }
  return { pids: [...pids].sort((a, b) => a - b), certain };
}

/** Whether a process has one of the files open; undefined: not for us to see. */
function holds(pid: string, files: readonly Stats[], paths: ReadonlySet<string>): boolean | undefined {
  let names: readonly string[];
  try {
    names = readdirSync(`/proc/${pid}/fd`);
  } catch (error) {
    return (error as { code?: unknown }).code === "ENOENT" ? false : undefined;
  }
  for (const name of names) {
    try {
      const link = readlinkSync(`/proc/${pid}/fd/${name}`);
      if (paths.has(link)) return true;
      if (!link.startsWith("/")) continue;
      const stat = statSync(`/proc/${pid}/fd/${name}`);
      if (files.some(({ dev, ino }) => dev === stat.dev && ino === stat.ino)) return true;
    } catch {
      // Closed meanwhile.
    }
  }
  return false;
}

/** Holders of POSIX locks, also of other users (proc_locks(5)). A connection in WAL mode holds one as long as it is open. */
function lockers(files: readonly Stats[]): readonly number[] {
  let table: string;
  try {
    table = readFileSync("/proc/locks", "utf8");
  } catch {
    return [];
  }
  const inodes = new Set(files.map(({ dev, ino }) => `${deviceOf(dev)}:${ino}`));
  return table.split("\n").flatMap((line) => {
    const [, pid, file] = /\s(-?\d+) ([0-9a-f]+:[0-9a-f]+:\d+) /.exec(line) ?? [];
    return file !== undefined && inodes.has(file) ? [Math.max(-1, Number(pid))] : [];
  });
}

/** A device number as `/proc/locks` writes it: major and minor in hexadecimal (makedev(3)). */
function deviceOf(dev: number): string {
  const major = (dev >>> 8) & 0xfff;
  const minor = (dev & 0xff) | ((dev >>> 12) & 0xfff00);
  const hex = (value: number): string => value.toString(16).padStart(2, "0");
  return `${hex(major)}:${hex(minor)}`;
}
