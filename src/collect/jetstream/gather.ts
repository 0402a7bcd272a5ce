/**
 * From a backup's entries to snapshots that wait, checked, until the whole backup has been verified.
 *
 * @module
 */
import { readAll, text } from "../../bytes.ts";
import { IntegrityError, messageOf } from "../../errors.ts";
import type { Context, Entry } from "../../stage.ts";
import { type Spool, spool, SPOOL_MEMORY } from "../spool.ts";
import { CONFIG_FILE, DATA_FILE, MESSAGES_FILE, REST_FILE } from "./entries.ts";
import { type ExactObject, objectAt, parseExact, textAt } from "../../nats/exact.ts";
import { type FrameCheck, frameCheck } from "./frames.ts";
import { checkMessages } from "./publish.ts";
import { isStreamName } from "./streams.ts";

/** A stream to restore. */
export interface Stored {
  /** Its name. */
  readonly name: string;
  /** Its configuration. */
  readonly config: ExactObject;
  /** Its state at the cut. */
  readonly state: ExactObject;
  /** Its data. */
  readonly content: Spool;
  /** What the data is. */
  readonly format: "snapshot" | "messages";
  /** What a message's subject becomes, where the stream has another name than before. */
  readonly subject?: ((subject: string) => string) | undefined;
}

/** Streams that wait; whoever has them closes them. */
export interface Gathered extends Disposable {
  /** By name, sorted. */
  readonly streams: readonly Stored[];
}

/** Where in a backup an entry belongs: a stream's file, something that is passed over, or undefined: not of this backup. */
export type Locate = (
  path: string,
) => { readonly stream: string; readonly file: string } | "pass" | undefined;

/** Where entries lie that {@linkcode jetstream} wrote, or `nats account backup`. */
export const locate: Locate = (path) => {
  const [stream = "", file, ...rest] = path.split("/");
  if (file === undefined) return "pass";
  return rest.length === 0 ? { stream, file } : undefined;
};

/** How a backup is taken in. */
export interface GatherOptions {
  /** Which streams are kept while they come by. Default: all. */
  readonly wanted?: ((stream: string) => boolean) | undefined;
  /** Where entries belong. Default: {@linkcode locate}. */
  readonly find?: Locate | undefined;
  /** Is handed what belongs to no stream. */
  readonly other?: ((entry: Entry) => Promise<void>) | undefined;
  /** Folder for what does not fit into memory. Default: the system's temporary folder. */
  readonly spoolDir?: string | undefined;
  /** Asked at the end: which of them are restored. What is not is not checked. Default: all. */
  readonly chosen?: ((stream: string) => boolean) | undefined;
}

interface Parts {
  config?: string;
  content?: Spool;
  format?: Stored["format"];
  /** What a snapshot's data has shown. */
  frames?: FrameCheck | undefined;
  /** What is wrong with the data: a foreign archive may hold an empty file for a stream that had failed, and say so later. */
  damage?: unknown;
  rest?: true;
}

const CONFIG_LIMIT = 64 * 1024 * 1024;
/** Blocks of the spool that are sealed beside this thread. */
const SEALED_BESIDE = 2;

/**
 * Takes in the wanted streams. Resolves only when the entries have ended soundly, and every stream is whole: both files, the
 * right name, every block's checksum, the end of an archive. Throws {@linkcode IntegrityError} otherwise.
 */
export async function gather(
  entries: AsyncIterable<Entry>,
  context: Context,
  { wanted = () => true, find = locate, other, spoolDir, chosen = () => true }: GatherOptions = {},
): Promise<Gathered> {
  const parts = new Map<string, Parts>();
  const close = (): void => {
    for (const { content } of parts.values()) content?.close();
  };
  try {
    let bytes = 0;
    for await (const entry of entries) {
      context.signal.throwIfAborted();
      const place = find(entry.path);
      if (place === undefined || (entry.kind !== "file" && entry.kind !== "directory")) throw stranger(entry);
      if (place === "pass" || entry.kind === "directory") {
        await other?.(entry);
        continue;
      }
      if (!isStreamName(place.stream)) throw stranger(entry);
      bytes += entry.bytes;
      if (bytes > context.want.limits.bytes) {
        throw new IntegrityError(
          `Cannot restore: the streams have more than ${context.want.limits.bytes} bytes. Raise --limit-bytes if you trust it`,
        );
      }
      if (wanted(place.stream)) await take(entry, place, parts, context, spoolDir);
      context.progress({ phase: "restore", bytes, entries: parts.size });
    }
    const names = [...parts.keys()].filter(chosen).sort();
    const streams = names.map((name) => whole(name, parts.get(name)!));
    for (const stream of streams) if (stream.format === "messages") await checkMessages(stream);
    return { streams, [Symbol.dispose]: close };
  } catch (error) {
    close();
    throw error;
  }
}

async function take(
  entry: Entry,
  { stream, file }: { readonly stream: string; readonly file: string },
  parts: Map<string, Parts>,
  context: Context,
  spoolDir: string | undefined,
): Promise<void> {
  const part = parts.get(stream) ?? {};
  parts.set(stream, part);
  if (file === CONFIG_FILE && part.config === undefined) {
    part.config = await readText(entry);
  } else if ((file === DATA_FILE || file === MESSAGES_FILE) && part.content === undefined) {
    const content = spool(`the data of "${stream}"`, spoolDir, SPOOL_MEMORY, SEALED_BESIDE);
    part.content = content;
    part.format = file === DATA_FILE ? "snapshot" : "messages";
    // Padding is of no use to the server.
    if (file === DATA_FILE) part.frames = frameCheck({ thorough: true, keep: content.write });
    await fill(part, entry, context);
  } else if (file === REST_FILE && part.frames && !part.rest) {
    part.rest = true;
    await fill(part, entry, context);
  } else throw stranger(entry);
}

async function fill(part: Parts, entry: Entry, context: Context): Promise<void> {
  const { content, frames } = part;
  const add = (chunk: Uint8Array): void => {
    if (!frames) return content!.write(chunk);
    look(part, () => frames.add(chunk));
  };
  if (entry.body instanceof Uint8Array) return add(entry.body);
  for await (const chunk of entry.body?.() ?? []) {
    context.signal.throwIfAborted();
    add(chunk);
  }
}

/** Notes the first damage; a spool that cannot be written to is none. */
function look(part: Parts, what: () => void): void {
  if (part.damage) return;
  try {
    what();
  } catch (error) {
    if (!(error instanceof IntegrityError)) throw error;
    part.damage = error;
  }
}

/** An entry's content as text. */
export async function readText(entry: Entry): Promise<string> {
  const bytes = typeof entry.body === "function"
    ? await readAll(entry.body(), CONFIG_LIMIT, `"${entry.path}"`)
    : entry.body ?? new Uint8Array();
  try {
    return text(bytes);
  } catch (cause) {
    throw new IntegrityError(`Cannot read "${entry.path}": it is not UTF-8 text`, { cause });
  }
}

function whole(name: string, part: Parts): Stored {
  const { config, content, format = "snapshot", frames } = part;
  look(part, () => void frames?.end());
  if (part.damage) {
    throw new IntegrityError(
      `Cannot restore "${name}/${DATA_FILE}": ${
        messageOf(part.damage)
      }. Restore another backup, or leave this stream out with --only`,
      { cause: part.damage },
    );
  }
  if (config === undefined || content === undefined) {
    throw new IntegrityError(
      `Cannot restore the stream "${name}": the backup lacks its ${
        config === undefined ? CONFIG_FILE : DATA_FILE
      }`,
    );
  }
  let value: ExactObject;
  try {
    value = parseExact(config);
  } catch (cause) {
    throw new IntegrityError(`Cannot read ${CONFIG_FILE} of "${name}": ${messageOf(cause)}`, { cause });
  }
  const stored = textAt(objectAt(value, "config"), "name");
  if (stored !== name) {
    throw new IntegrityError(
      `Cannot restore the stream "${name}": its ${CONFIG_FILE} is that of "${stored}"`,
    );
  }
  return { name, config: objectAt(value, "config"), state: objectAt(value, "state"), content, format };
}

function stranger({ path, kind }: Entry): IntegrityError {
  return new IntegrityError(
    `Cannot restore "${path}" (${kind}) into JetStream: the backup does not consist of streams, or holds this twice. Restore it into a folder`,
  );
}
