/**
 * Which services a run has stopped: written down, on the disk, before the service is stopped, so that a later run can start what a
 * run that died has left stopped. One run at a time has a service.
 *
 * @module
 */
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { dirname, join } from "node:path";
import * as v from "valibot";
import { stateFolder } from "../../home.ts";
import { unlock } from "../../unlock.ts";
import { codeOf } from "../place.ts";
import { syncFolder, writeDurably } from "../staging.ts";
import type { Control, Spec } from "./service.ts";

const argvSchema = v.pipe(v.array(v.string()), v.minLength(1));

const recordSchema = v.object({
  name: v.string(),
  stoppedAt: v.string(),
  pid: v.number(),
  restart: v.optional(v.boolean()),
  spec: v.optional(v.union([
    v.object({ unit: v.string(), user: v.optional(v.boolean()) }),
    v.object({
      stop: argvSchema,
      start: argvSchema,
      running: v.optional(argvSchema),
      name: v.optional(v.string()),
      cwd: v.optional(v.string()),
    }),
  ])),
});

/** A service that is stopped, or about to be. */
export interface StoppedRecord {
  /** What people call it. */
  readonly name: string;
  /** When, RFC 3339. */
  readonly stoppedAt: string;
  /** The process that stopped it. */
  readonly pid: number;
  /** It was started on data that may be taken back: then it must be stopped before it is started. */
  readonly restart?: boolean | undefined;
  /** How to start it; undefined for functions. */
  readonly spec?: Spec | undefined;
}

/** The folder for such records: `stopped` in the user's state folder. Undefined without a home. */
export function journalFolder(): string | undefined {
  const state = stateFolder((name) => Deno.env.get(name));
  return state === undefined ? undefined : join(state, "stopped");
}

/** One file name for each service. */
export function keyOf({ name, kind, spec }: Control): string {
  const digest = createHash("sha256").update(JSON.stringify([kind, spec ?? name])).digest("hex");
  return `${name.replaceAll(/[^A-Za-z0-9.@_-]/g, "_").slice(-60).replace(/^\./, "_")}-${digest.slice(0, 12)}`;
}

/** Takes the service for this process; undefined when another has it. The system lets go of it when the process dies. */
export function lockService(folder: string, key: string): Disposable | undefined {
  makeFolder(folder);
  // Never removed: two runs must not hold locks on two files of one name.
  const file = Deno.openSync(join(folder, `${key}.lock`), {
    read: true,
    write: true,
    create: true,
    mode: 0o600,
  });
  if (file.tryLockSync(true)) return { [Symbol.dispose]: () => unlock(file) };
  file.close();
  return undefined;
}

/** Made one by one: each name must be on the disk before what it holds counts. */
function makeFolder(folder: string): void {
  if (fs.lstatSync(folder, { throwIfNoEntry: false })) return;
  const above = dirname(folder);
  if (above !== folder) makeFolder(above);
  try {
    fs.mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw error;
  }
  syncFolder(above);
}

/** Writes the record and waits until the disk has it, and its name. */
export function writeRecord(folder: string, key: string, record: StoppedRecord): void {
  const part = join(folder, `${key}.part`);
  fs.rmSync(part, { force: true });
  writeDurably(part, [JSON.stringify(record) + "\n"]);
  fs.renameSync(part, join(folder, `${key}.json`));
  syncFolder(folder);
}

/** Removes the record. */
export function removeRecord(folder: string, key: string): void {
  fs.rmSync(join(folder, `${key}.json`), { force: true });
  syncFolder(folder);
}

/** Keys of all records in the folder. */
export function recordKeys(folder: string): readonly string[] {
  try {
    return fs.readdirSync(folder).filter((name) => name.endsWith(".json")).map((name) => name.slice(0, -5));
  } catch (error) {
    if (codeOf(error) === "ENOENT") return [];
    throw error;
  }
}

/**
 * Reads a record; undefined when there is none. Throws for one that cannot be understood, or that another user may have written:
 * it names programs that will be run.
 */
export function readRecord(folder: string, key: string): StoppedRecord | undefined {
  const path = join(folder, `${key}.json`);
  const stat = fs.lstatSync(path, { throwIfNoEntry: false });
  if (!stat) return undefined;
  const owner = fs.lstatSync(folder).uid;
  if (!stat.isFile() || (stat.mode & 0o077) !== 0 || stat.uid !== owner) {
    throw new Error(
      `Cannot trust "${path}": others can write it. Look which service it names, start that by hand, remove the file`,
    );
  }
  try {
    return v.parse(recordSchema, JSON.parse(fs.readFileSync(path, "utf8")));
  } catch (cause) {
    throw new Error(
      `Cannot read "${path}", which names a service that a backup has stopped. Check that all run, then remove the file`,
      { cause },
    );
  }
}
