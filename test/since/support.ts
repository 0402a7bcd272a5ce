/** Plans that store only what has changed, and trees to compare. */
import { lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import {
  archive,
  collect,
  compress,
  encrypt,
  pipeline,
  prune,
  sign,
  type Store,
  store,
  upload,
} from "../../mod.ts";
import type { FilesOptions } from "../../src/collect/files.ts";
import type { Plan } from "../../src/find.ts";
import { backup, type BackupResult } from "../../src/run.ts";
import type { Log } from "../../src/stage.ts";
import { scratch } from "../support.ts";
import { identity, recipient } from "../engine/support.ts";

export { identity, recipient };

/** Options of a scene. */
export interface SceneOptions extends Omit<FilesOptions, "since" | "indexDir"> {
  readonly name?: string;
  readonly to?: Store | readonly Store[];
  readonly recipient?: string;
  /** Another folder to back up than the scene's. */
  readonly src?: string;
  readonly identities?: () => string;
  /** Without "since". */
  readonly whole?: boolean;
}

/** A scratch folder with a source tree, a store, and where the host keeps its copies. */
export interface Scene extends Disposable {
  readonly join: (...parts: string[]) => string;
  /** The tree that is backed up. */
  readonly src: string;
  /** Where the copies of indexes lie. */
  readonly index: string;
  /** A plan that stores what has changed. */
  readonly plan: (options?: SceneOptions) => Plan;
  /** Backs up, each run an hour after the one before unless told otherwise. */
  readonly run: (options?: SceneOptions & { readonly now?: Date }) => Promise<BackupResult>;
  /** What the last run said. */
  readonly said: string[];
}

/** The first run's time, unless told otherwise. */
export const START = Date.UTC(2026, 10, 20, 3);

/** Makes a scene; the tree is empty. */
export function scene(): Scene {
  const dir = scratch();
  const src = dir.join("src");
  const index = dir.join("since");
  mkdirSync(src);
  const said: string[] = [];
  let runs = 0;
  const log: Log = {
    info: (message) => void said.push(message),
    warn: (kind, message) => void said.push(`${kind}: ${message}`),
  };
  const plan: Scene["plan"] = (
    {
      name = "app",
      src: from = src,
      to = store.directory(dir.join("store")),
      recipient: key = recipient,
      identities = () => identity,
      whole = false,
      ...options
    } = {},
  ) =>
    pipeline(collect.files({ app: from }, { ...options, ...!whole && { since: "latest", indexDir: index } }))
      .pipe(archive.tar())
      .pipe(compress.zstd())
      .pipe(encrypt.age({ recipients: [key], identities }))
      .pipe(sign.sha256())
      .pipe(upload({ name, to }))
      .pipe(prune({ keepLast: 1000 }));
  return {
    join: dir.join,
    src,
    index,
    plan,
    said,
    run: ({ now, ...options } = {}) => {
      said.length = 0;
      return backup(plan(options), { now: now ?? new Date(START + 3_600_000 * runs++), log });
    },
    [Symbol.dispose]: () => dir[Symbol.dispose](),
  };
}

/** A tree as text, one line for each thing: kind, mode, time, owner, links, content. */
export function shape(root: string): string[] {
  const lines: string[] = [];
  const inodes = new Map<string, string>();
  const walk = (path: string, shown: string): void => {
    const stat = lstatSync(path, { bigint: true });
    const meta = `${(stat.mode & 0o7777n).toString(8)} ${stat.mtimeNs / 1_000_000n} ${stat.uid}:${stat.gid}`;
    if (stat.isSymbolicLink()) lines.push(`${shown} -> ${readlinkSync(path)} ${meta}`);
    else if (stat.isDirectory()) {
      lines.push(`${shown}/ ${meta}`);
      for (const name of readdirSync(path).sort()) walk(join(path, name), `${shown}/${name}`);
    } else {
      const inode = `${stat.ino}`;
      const first = stat.nlink > 1n ? inodes.get(inode) : undefined;
      if (stat.nlink > 1n && first === undefined) inodes.set(inode, shown);
      const content = first === undefined ? readFileSync(path).toString("latin1") : `= ${first}`;
      lines.push(`${shown} ${meta} ${JSON.stringify(content)}`);
    }
  };
  walk(root, "");
  return lines;
}
