/**
 * Streams that come back under another name. No server restores a snapshot under a name that is not in it, so such a stream is restored
 * into a private server, read there message by message, and published anew.
 *
 * @module
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Context } from "../../stage.ts";
import { type ExactObject, listAt } from "../../nats/exact.ts";
import { connectTo } from "../../nats/link.ts";
import { copyMessages } from "./copy.ts";
import type { Stored } from "./gather.ts";
import { startPrivate } from "./private.ts";
import { putStreams } from "./restore.ts";
import { isStreamName } from "./streams.ts";

/** New names by the old ones. */
export type Rename = Readonly<Record<string, string>>;

/** What a private server needs. */
export interface RenameOptions {
  /** The server's program. */
  readonly natsServer?: string | undefined;
  /** Folder for what does not fit into memory. */
  readonly spoolDir?: string | undefined;
}

/** Streams under their new names; disposing closes what was made for it. */
export interface Renamed extends Disposable {
  /** All streams, those without another name as they were. */
  readonly streams: readonly Stored[];
}

/** Throws TypeError for names that no stream can have, and for two streams of one name. */
export function checkRename(rename: Rename = {}): void {
  const names = Object.values(rename);
  for (const [from, to] of Object.entries(rename)) {
    if (typeof to !== "string" || !isStreamName(from) || !isStreamName(to)) {
      throw new TypeError(`Cannot restore "${from}" as "${to}": that is no stream's name`);
    }
    if (kindPrefix(from) !== kindPrefix(to)) {
      throw new TypeError(
        `Cannot restore "${from}" as "${to}": a bucket (KV_...) stays a bucket, an object store (OBJ_...) one`,
      );
    }
    if (names.filter((name) => name === to).length > 1) {
      throw new TypeError(`Cannot restore two streams as "${to}"`);
    }
  }
}

/** Gives the streams their new names. */
export async function renameStreams(
  streams: readonly Stored[],
  rename: Rename,
  context: Context,
  options: RenameOptions,
): Promise<Renamed> {
  const moved = streams.filter(({ name }) => Object.hasOwn(rename, name) && rename[name] !== name);
  const kept = streams.filter((stream) => !moved.includes(stream));
  for (const { name } of moved) {
    if (kept.some((other) => other.name === rename[name])) {
      throw new TypeError(`Cannot restore "${name}" as "${rename[name]}": the backup holds that stream too`);
    }
  }
  const snapshots = moved.filter(({ format }) => format === "snapshot");
  const copies = snapshots.length === 0 ? [] : await copied(snapshots, context, options);
  const as = (stream: Stored): Stored => underName(stream, rename[stream.name]!);
  return {
    streams: [...kept, ...moved.filter(({ format }) => format === "messages").map(as), ...copies.map(as)],
    [Symbol.dispose]: () => {
      for (const { content } of copies) content.close();
    },
  };
}

/** Copies message by message of what the snapshots hold. */
async function copied(
  snapshots: readonly Stored[],
  context: Context,
  { natsServer, spoolDir }: RenameOptions,
): Promise<readonly Stored[]> {
  const storeDir = await mkdtemp(join(tmpdir(), "holdfast-rename-nats-"));
  const copies: Stored[] = [];
  try {
    await using server = await startPrivate({ storeDir, program: natsServer });
    const link = await connectTo(server.server);
    try {
      const want = { ...context.want, dryRun: false, report: undefined };
      await putStreams(link, snapshots, { ...context, want }, { replicas: 1 });
      for (const stream of snapshots) {
        const how = { signal: context.signal, consumers: false, idleMs: 15_000, spoolDir };
        const copy = await copyMessages(link, stream, {}, how);
        copies.push({ ...copy, config: stream.config, format: "messages" });
      }
      return copies;
    } finally {
      await link.close();
    }
  } catch (error) {
    for (const { content } of copies) content.close();
    throw error;
  } finally {
    await rm(storeDir, { recursive: true, force: true });
  }
}

/** A stream with another name; a bucket and an object store have it in their subjects. */
function underName(stream: Stored, name: string): Stored {
  const [from, to] = [subjectsOf(stream.name), subjectsOf(name)];
  const subject = (text: string): string =>
    from !== undefined && text.startsWith(from) ? to + text.slice(from.length) : text;
  const config: ExactObject = {
    ...stream.config,
    name,
    ...(stream.config.subjects === undefined
      ? {}
      : { subjects: listAt(stream.config, "subjects").map((one) => subject(String(one))) }),
  };
  return { ...stream, name, config, subject };
}

/** What the subjects of a bucket or an object store begin with. */
function subjectsOf(name: string): string | undefined {
  if (name.startsWith("KV_")) return `$KV.${name.slice(3)}.`;
  return name.startsWith("OBJ_") ? `$O.${name.slice(4)}.` : undefined;
}

function kindPrefix(name: string): string {
  return /^(?:KV_|OBJ_)/.exec(name)?.[0] ?? "";
}
