/**
 * What of an archive is wanted, and where it goes: path checks, globs, strip, limits. Pure but for looking at the target.
 *
 * @module
 */
import { lstatSync, realpathSync, statSync } from "node:fs";
import { basename, dirname, isAbsolute, join, resolve } from "node:path";
import { ConfigError, ExistsError, IntegrityError, NotFoundError, StoreError } from "../errors.ts";
import { shownRaw } from "../raw_name.ts";
import type { Entry, IndexEntry, Limits, Want } from "../stage.ts";
import type { Disk } from "./disk.ts";

/** Where a collected root lies in the archive (`path`) and where it came from (`source`, absolute). */
type Root = Readonly<Record<"path" | "source", string>>;

/** One place that is swapped as a whole. */
export interface Place {
  /** Stored path of the root that goes here; "" for everything. */
  readonly prefix: string;
  /** What is swapped: the target, or its first folder that does not exist yet. */
  readonly target: string;
  /** Where the content starts below `target`: "" unless folders above it are missing as well. */
  readonly inner: string;
  /** What the operator named, for messages. */
  readonly shown: string;
}

/** Where an entry goes. */
export interface Spot {
  /** Number of the place. */
  readonly place: number;
  /** Path below `target`; "" is the target itself. */
  readonly path: string;
}

/** What `--only` asks for. */
export interface Asked {
  /** Whether it asks for this path. */
  readonly wanted: (path: string) => boolean;
  /** Globs that no path has matched so far. */
  readonly unmatched: () => readonly string[];
}

const ALL: Asked = { wanted: () => true, unmatched: () => [] };

/** Answers for each entry whether it is wanted, and where it goes. */
export interface Selection extends Asked {
  /** The places. */
  readonly places: readonly Place[];
  /** Where a stored path goes, wanted or not; undefined when strip drops it. Only a directory can become the target itself. */
  readonly spot: (path: string, directory: boolean) => Spot | undefined;
}

const STAGING = /(?:^|\/)\.(?:[^/]*\.)?holdfast-[0-9a-f]{16}(?:\/|$)/;

/** Whether a stored path is, or is inside, a staging folder of an unfinished restore: never restored as such. */
export function isStaging(path: string): boolean {
  return STAGING.test(path);
}

/** A name as it may stand in a message: quoted, without anything a terminal would act on, at most 200 characters. */
export function quote(name: string): string {
  const short = name.length > 200 ? `${name.slice(0, 150)}...${name.slice(-40)}` : name;
  return shownRaw(JSON.stringify(short)).replace(
    /[\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/**
 * Checks a stored path: relative, no empty, "." or ".." part, no NUL, well-formed, at most `limits.pathBytes` bytes of
 * UTF-8. Throws {@linkcode IntegrityError} naming it.
 */
export function checkPath(path: string, what: string, limits: Limits): void {
  const fault = pathFault(path, limits);
  if (fault) throw new IntegrityError(`Cannot restore ${what} ${quote(path)}: ${fault}`);
}

/** What to do about a name that no tool would have stored. */
const DAMAGED =
  "The archive is damaged or hostile, and nothing was changed. Take another copy or an older backup";

function pathFault(path: string, limits: Limits): string | undefined {
  if (path === "") return `the name is empty. ${DAMAGED}`;
  if (path.length * 3 > limits.pathBytes && new TextEncoder().encode(path).length > limits.pathBytes) {
    return `its name is longer than ${limits.pathBytes} bytes. Raise --limit-path-bytes if you trust this backup`;
  }
  if (path.includes("\0")) return `its name holds a NUL byte. ${DAMAGED}`;
  if (!path.isWellFormed()) return `its name is not Unicode. ${DAMAGED}`;
  if (path.startsWith("/")) return `an absolute name would leave the target. ${DAMAGED}`;
  for (const part of path.split("/")) {
    if (part === "..") return `a name with ".." would leave the target. ${DAMAGED}`;
    if (part === "" || part === ".") return `its name is not in canonical form. ${DAMAGED}`;
    if (Deno.build.os === "windows" && /[\\:<>"|?*]/.test(part)) return "its name is not possible on Windows";
  }
  return undefined;
}

/**
 * Counts entries, and bytes of the wanted ones, against the limits. Throws {@linkcode IntegrityError} with the way to raise
 * the one that broke.
 */
export function counter(limits: Limits): (entry: Entry | IndexEntry, wanted: boolean) => void {
  let entries = 0;
  let bytes = 0;
  return (entry, wanted) => {
    if (++entries > limits.entries) {
      throw new IntegrityError(
        `Cannot restore: the backup holds more than ${limits.entries} entries. Raise --limit-entries if you trust it`,
      );
    }
    if (wanted) bytes += entry.bytes;
    if (bytes > limits.bytes) {
      throw new IntegrityError(
        `Cannot restore: the backup unfolds to more than ${limits.bytes} bytes. Raise --limit-bytes if you trust it`,
      );
    }
  };
}

/** Reads the request. Throws {@linkcode ConfigError} when it is wrong in itself. */
export async function select(want: Want, roots: readonly Root[]): Promise<Selection> {
  if (want.inPlace && (want.strip > 0 || want.into !== undefined)) {
    throw new ConfigError(
      "Cannot restore in place with --into or --strip: leave them out, or leave out --in-place",
    );
  }
  if (!want.inPlace && want.into === undefined) {
    throw new ConfigError("Cannot restore: no target. Pass --into DIR or --in-place");
  }
  if (want.into !== undefined && !isAbsolute(want.into)) {
    throw new ConfigError(`Cannot restore into ${quote(want.into)}: the target must be an absolute path`);
  }
  const places = want.inPlace
    ? roots.map((root) => reachable(root.source, () => rootPlace(root)))
    : [reachable(want.into!, () => intoPlace(want.into!))];
  if (places.length === 0) {
    throw new NotFoundError(
      "Cannot restore in place: the backup does not say where it came from. Use --into DIR",
    );
  }
  // What compiles globs is loaded for who has some.
  const asked = want.only.length === 0 ? ALL : (await import("./only.ts")).askedFor(want.only);
  return { places, spot: (path, directory) => spotOf(path, directory, places, want), ...asked };
}

function spotOf(path: string, directory: boolean, places: readonly Place[], want: Want): Spot | undefined {
  if (!want.inPlace) {
    const rest = strip(path, want.strip);
    return rest === undefined || (rest === "" && !directory)
      ? undefined
      : { place: 0, path: below(places[0]!.inner, rest) };
  }
  for (let place = 0; place < places.length; place++) {
    const { prefix, inner } = places[place]!;
    if (path === prefix) return { place, path: inner };
    if (path.startsWith(prefix + "/")) return { place, path: below(inner, path.slice(prefix.length + 1)) };
  }
  throw new NotFoundError(
    `Cannot restore ${quote(path)} in place: the backup does not say where it came from. Use --into DIR`,
  );
}

function below(folder: string, path: string): string {
  if (folder === "") return path;
  return path === "" ? folder : `${folder}/${path}`;
}

/** The path without `count` leading parts: "" for one of exactly that many parts, undefined for one of fewer. */
function strip(path: string, count: number): string | undefined {
  let at = 0;
  for (let i = 0; i < count; i++) {
    const next = path.indexOf("/", at);
    if (next < 0) return i === count - 1 ? "" : undefined;
    at = next + 1;
  }
  return path.slice(at);
}

/** The folder part of a stored path; "" at the top. */
export function parentOf(path: string): string {
  const at = path.lastIndexOf("/");
  return at < 0 ? "" : path.slice(0, at);
}

/** A target this user may not even look at. */
function reachable(path: string, look: () => Place): Place {
  try {
    return look();
  } catch (cause) {
    if (!(cause instanceof Error && "code" in cause && cause.code === "EACCES")) throw cause;
    throw new StoreError(
      `Cannot restore into ${
        quote(path)
      }: this user may not look into a folder above it (EACCES). Nothing was changed. ` +
        "Choose another target, or run as a user who may",
      { cause },
    );
  }
}

function intoPlace(into: string): Place {
  if (!present(() => lstatSync(into))) return absentPlace(into, "");
  if (!present(() => statSync(into))) {
    throw new ExistsError(
      `Cannot restore into ${quote(into)}: it is a symbolic link to something that does not exist. ` +
        "Nothing was changed. Remove the link, or choose another target",
    );
  }
  const target = realpathSync(into);
  if (!statSync(target).isDirectory()) {
    throw new ExistsError(`Cannot restore into ${quote(into)}: it is not a folder. Choose another target`);
  }
  return { prefix: "", target, inner: "", shown: into };
}

function rootPlace(root: Root): Place {
  if (!isAbsolute(root.source) || resolve(root.source) !== root.source) {
    throw new IntegrityError(
      `Cannot restore ${quote(root.path)} in place: ${quote(root.source)} is not an absolute path`,
    );
  }
  return absentPlace(root.source, root.path);
}

/** Whether something is there; not where a part of the path is missing or a file. */
function present(look: () => unknown): boolean {
  try {
    look();
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR")) {
      return false;
    }
    throw error;
  }
}

/** The place of a path that may be absent: its first missing folder is what will be swapped in. */
function absentPlace(path: string, prefix: string): Place {
  let above = dirname(path);
  const missing = [basename(path)];
  while (above !== dirname(above) && !present(() => statSync(above))) {
    missing.unshift(basename(above));
    above = dirname(above);
  }
  if (!statSync(above).isDirectory()) {
    throw new ExistsError(
      `Cannot restore into ${quote(path)}: ${quote(above)} is not a folder. Choose another target`,
    );
  }
  return {
    prefix,
    target: join(realpathSync(above), missing[0]!),
    inner: missing.slice(1).join("/"),
    shown: path,
  };
}

/** What stands where an entry would go. */
export type Standing = "absent" | "folder" | "conflict";

/**
 * Looks at a target: "folder" is a directory where the entry is one too, "conflict" anything else that exists, at the path or
 * above it. Symlinks are never followed. `at` is where the conflict stands.
 */
export function prober(
  target: string,
  disk: Disk,
): (path: string, directory: boolean) => { standing: Standing; at: string } {
  const known = new Map<string, { standing: Standing; at: string }>();
  function look(path: string): { standing: Standing; at: string } {
    const stat = disk.look(path === "" ? target : join(target, path));
    if (!stat) return { standing: "absent", at: path };
    return { standing: stat.isDirectory() ? "folder" : "conflict", at: path };
  }
  function folder(path: string): { standing: Standing; at: string } {
    const seen = known.get(path);
    if (seen) return seen;
    const above = path === "" ? undefined : folder(parentOf(path));
    const found = above && above.standing !== "folder" ? above : look(path);
    known.set(path, found);
    return found;
  }
  return (path, directory) => {
    if (directory || path === "") {
      const found = folder(path);
      return found.standing === "folder" && !directory ? { standing: "conflict", at: path } : found;
    }
    const above = folder(parentOf(path));
    if (above.standing !== "folder") return above;
    const found = look(path);
    return found.standing === "absent" ? found : { standing: "conflict", at: path };
  };
}
