/**
 * What the Pod API sends along with a backup, and gets back on a restore: a tar archive of everything below `prose-pod-api-data/`.
 *
 * @module
 */
import { pathFault, quote } from "../../archive/path.ts";
import { readTar } from "../../archive/read.ts";
import { writeTar } from "../../archive/write.ts";
import { toBytes } from "../../bytes.ts";
import { type Spool, spool } from "../../collect/spool.ts";
import { IntegrityError } from "../../errors.ts";
import { comparePaths } from "../../order.ts";
import type { Bytes, Entry, U8 } from "../../stage.ts";
import { API_DATA } from "./layout.ts";

/** Data of the Pod API, checked, in memory while it is small, else in an encrypted file without a name. */
export interface PodApiData extends Disposable {
  /** How many entries it has. */
  readonly entries: number;
  /** Sum of all file lengths in bytes. */
  readonly bytes: number;
  /** The entries in path order; may be read again. */
  readonly files: () => AsyncGenerator<Entry, void, undefined>;
  /** All of it as a tar archive, rooted at `prose-pod-api-data/`. */
  readonly tar: () => Bytes;
}

/** Takes entries one by one. */
export interface Keeper extends Disposable {
  /** Takes an entry and reads its content. Throws {@linkcode IntegrityError} for one that has no place here. */
  readonly add: (entry: Entry) => Promise<void>;
  /** Ends it. Throws {@linkcode IntegrityError} when the entries do not make a tree, or there are none. */
  readonly end: () => PodApiData;
}

/** An entry, and where its content lies in the spool. */
interface Kept {
  readonly entry: Omit<Entry, "body" | "sha256">;
  readonly offset: number;
}

/** Bytes handed on at once. */
const STEP = 256 * 1024;
/** Most entries, and most bytes in a path. */
const LIMITS = { entries: 1_000_000, pathBytes: 4096 };

/** Reads the tar archive that the Pod API sends. Throws {@linkcode IntegrityError} for anything that is not one. */
export async function takeApiData(tar: Bytes, spoolDir?: string): Promise<PodApiData> {
  const keeper = keepApiData(spoolDir);
  try {
    for await (const entry of readTar(tar, LIMITS)) await keeper.add(entry);
    return keeper.end();
  } catch (error) {
    keeper[Symbol.dispose]();
    throw error;
  }
}

/** An empty place for such data. */
export function keepApiData(spoolDir: string | undefined): Keeper {
  const content = spool("the Pod API's data", spoolDir);
  const kept = new Map<string, Kept>();

  async function add(entry: Entry): Promise<void> {
    const { body, sha256: _, ...rest } = entry;
    checkPlace(entry, kept);
    if (entry.kind === "hardlink") {
      const first = kept.get(entry.target!);
      if (first?.entry.kind !== "file") {
        throw refused(entry.path, `it is a link to ${quote(entry.target!)}, which is no file before it`);
      }
      return void kept.set(entry.path, { entry: { ...first.entry, path: entry.path }, offset: first.offset });
    }
    kept.set(entry.path, { entry: rest, offset: content.size() });
    if (!body) return;
    for await (const chunk of body instanceof Uint8Array ? [body] : body()) content.write(chunk);
  }

  function end(): PodApiData {
    const all = [...kept.values()].sort((a, b) => comparePaths(a.entry.path, b.entry.path));
    if (all.length === 0) {
      throw new IntegrityError(`Cannot use the Pod API's data: it holds nothing. ${WANTED}`);
    }
    const files = (): AsyncGenerator<Entry, void, undefined> => entriesOf(withFolders(all), content.slice);
    return {
      entries: all.length,
      bytes: all.reduce((sum, { entry }) => sum + entry.bytes, 0),
      files,
      tar: () => toBytes(() => writeTar(files(), { entry: () => {}, progress: () => {}, end: () => {} })),
      [Symbol.dispose]: content.close,
    };
  }
  return { add, end, [Symbol.dispose]: content.close };
}

const WANTED = `Send a tar archive of one folder, ${API_DATA}/`;

function checkPlace({ path, kind }: Entry, kept: ReadonlyMap<string, Kept>): void {
  const fault = pathFault(path);
  if (fault !== undefined) throw refused(path, fault);
  const top = path === API_DATA;
  if (!top && !path.startsWith(`${API_DATA}/`)) throw refused(path, `it does not lie in ${API_DATA}/`);
  if (top && kind !== "directory") throw refused(path, "it must be a folder");
  if (kept.has(path)) throw refused(path, "it comes twice");
  for (let at = path.lastIndexOf("/"); at > 0; at = path.lastIndexOf("/", at - 1)) {
    const above = kept.get(path.slice(0, at));
    if (above && above.entry.kind !== "directory") {
      throw refused(path, `${quote(above.entry.path)} above it is no folder`);
    }
  }
}

function refused(path: string, why: string): IntegrityError {
  return new IntegrityError(`Cannot use the Pod API's data: ${quote(path)}: ${why}. ${WANTED}`);
}

/** Folders that the archive did not name itself, before what lies in them. */
function withFolders(all: readonly Kept[]): readonly Kept[] {
  const known = new Set(all.map(({ entry }) => entry.path));
  const made: Kept[] = [];
  for (const { entry } of all) {
    for (let at = entry.path.lastIndexOf("/"); at > 0; at = entry.path.lastIndexOf("/", at - 1)) {
      const path = entry.path.slice(0, at);
      if (known.has(path)) continue;
      known.add(path);
      made.push({
        entry: { ...entry, path, kind: "directory", mode: 0o755, bytes: 0, target: undefined },
        offset: 0,
      });
    }
  }
  if (made.length === 0) return all;
  return [...all, ...made].sort((a, b) => comparePaths(a.entry.path, b.entry.path));
}

async function* entriesOf(
  all: readonly Kept[],
  slice: Spool["slice"],
): AsyncGenerator<Entry, void, undefined> {
  for (const { entry, offset } of all) {
    if (entry.kind !== "file") yield entry;
    else if (entry.bytes <= STEP) {
      yield { ...entry, body: await slice(offset, offset + entry.bytes) };
    } else {
      const end = offset + entry.bytes;
      const body = (): Bytes =>
        toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
          for (let at = offset; at < end; at += STEP) {
            yield await slice(at, Math.min(end, at + STEP));
          }
        });
      yield { ...entry, body };
    }
  }
}
