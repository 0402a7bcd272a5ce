/**
 * Old streams while new ones take their place: in a private folder, as the `nats` command has them, so that not even `kill -9` loses one.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { existsSync, readdirSync } from "node:fs";
import { mkdir, open, rename, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { utf8 } from "../../bytes.ts";
import { messageOf } from "../../errors.ts";
import { stateFolder } from "../../home.ts";
import type { Bytes, Context } from "../../stage.ts";
import { unlock } from "../../unlock.ts";
import { writeExact } from "../../nats/exact.ts";
import type { Link } from "../../nats/link.ts";
import { syncFolder } from "../staging.ts";
import { CONFIG_FILE, DATA_FILE, entriesIn } from "./entries.ts";
import { gather, type Stored } from "./gather.ts";
import { sendSnapshot } from "./replay.ts";
import { listStreams } from "./streams.ts";

/** Old streams of one restore. */
export interface Undo {
  /** The folder. */
  readonly folder: string;
  /** Writes a stream; resolves when the disk has it. */
  readonly add: (old: Stored) => Promise<void>;
  /** Lets go of the folder, and removes it unless it is to stay. */
  readonly end: (stay: boolean) => Promise<void>;
}

/** Where old streams wait: below `spoolDir`, else in the user's state folder. Undefined without a home. */
function rootOf(spoolDir: string | undefined): string | undefined {
  if (spoolDir !== undefined) return resolve(spoolDir);
  return stateFolder((name) => Deno.env.get(name));
}

/** Folders of one server begin with this. */
function prefixOf(place: string): string {
  return `jetstream-undo-${createHash("sha256").update(place).digest("hex").slice(0, 16)}-`;
}

/** Opens a folder for the old streams of the server at `place`; undefined where there is none to use. */
export async function openUndo(
  place: string,
  { run }: Context,
  spoolDir: string | undefined,
): Promise<Undo | undefined> {
  const root = rootOf(spoolDir);
  if (root === undefined) return undefined;
  const folder = join(root, prefixOf(place) + run);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const lock = lockOf(folder)!;
  return {
    folder,
    add: async ({ name, config, state, content }) => {
      const part = join(folder, `${name}.part`);
      await mkdir(part, { mode: 0o700 });
      await write(join(part, CONFIG_FILE), [utf8(writeExact({ config, state }, 2))]);
      await write(join(part, DATA_FILE), content.read());
      syncFolder(part);
      await rename(part, join(folder, name));
      syncFolder(folder);
    },
    end: async (stay) => {
      unlock(lock);
      if (!stay) await rm(folder, { recursive: true, force: true });
    },
  };
}

/** The folder's lock, which the system lets go of when the process dies; undefined while another holds it. */
function lockOf(folder: string): Deno.FsFile | undefined {
  const file = Deno.openSync(join(folder, ".lock"), { write: true, create: true, mode: 0o600 });
  if (file.tryLockSync(true)) return file;
  file.close();
  return undefined;
}

async function write(path: string, chunks: Iterable<Uint8Array> | Bytes): Promise<void> {
  const file = await open(path, "wx", 0o600);
  try {
    for await (const chunk of chunks) await file.writeFile(chunk);
    await file.sync();
  } finally {
    await file.close();
  }
}

/**
 * Puts back what a restore that was killed has left away: streams that the server does not have any more. One that is there is the new
 * one, whole, or the old one, untouched: it stays. Without `change` it only says what lies there.
 */
export async function takeBack(
  link: Link,
  place: string,
  context: Context,
  { spoolDir, change }: { readonly spoolDir?: string | undefined; readonly change: boolean },
): Promise<void> {
  const root = rootOf(spoolDir);
  if (root === undefined || !existsSync(root)) return;
  for (const name of readdirSync(root).filter((name) => name.startsWith(prefixOf(place)))) {
    const folder = join(root, name);
    const lock = lockOf(folder);
    if (!lock) continue;
    try {
      await takeBackFrom(folder, link, context, change);
    } catch (cause) {
      throw new Error(
        `Cannot put back what a restore that was killed has removed: ${
          messageOf(cause)
        }. The old streams lie in "${folder}": ` +
          "restore them with `nats stream restore`, or remove that folder if they are not needed",
        { cause },
      );
    } finally {
      unlock(lock);
    }
    if (change) await rm(folder, { recursive: true, force: true });
  }
}

async function takeBackFrom(folder: string, link: Link, context: Context, change: boolean): Promise<void> {
  const names = readdirSync(folder).filter((name) => name !== ".lock" && !name.endsWith(".part"));
  const there = (await listStreams(link)).streams.map(({ name }) => name);
  const gone = names.filter((name) => !there.includes(name));
  if (!change || gone.length === 0) {
    for (const name of names) {
      context.log.info(
        gone.includes(name)
          ? `A restore that was killed has removed the stream "${name}"; it lies in "${folder}"`
          : `A restore that was killed was about to replace the stream "${name}", which is there: it stays`,
      );
    }
    return;
  }
  using gathered = await gather(entriesIn(folder, gone), { ...context, progress: () => {} });
  for (const stream of gathered.streams) {
    await sendSnapshot(link, stream, context.signal);
    context.log.info(`Put the stream "${stream.name}" back, which a restore that was killed had removed`);
  }
}
