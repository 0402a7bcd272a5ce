/**
 * The way back: streams into a server, all or none.
 *
 * @module
 */
import { IntegrityError, messageOf, NotFoundError } from "../../errors.ts";
import type { Context, Files } from "../../stage.ts";
import { wantedBy } from "../only.ts";
import { type ExactObject, integerAt, objectAt } from "../../nats/exact.ts";
import { gather, type Stored } from "./gather.ts";
import { connectTo, type Link, type NatsServer } from "../../nats/link.ts";
import { expires } from "./choose.ts";
import type { MessageChoice } from "./message.ts";
import { publishMessages } from "./publish.ts";
import { type Rename, renameStreams } from "./rename.ts";
import { adviceFor, sendSnapshot } from "./replay.ts";
import { adjust, checkLevel, planSteps, type Step } from "./steps.ts";
import { listStreams } from "./streams.ts";
import { keep, putBack } from "./old.ts";
import { openUndo, takeBack } from "./undo.ts";

/** Where to, and how. */
export interface RestoreStreamsOptions extends NatsServer {
  /** Replicas instead of the recorded number. */
  readonly replicas?: number | undefined;
  /** Folder for the old streams while new ones take their place. Default: the user's state folder. */
  readonly spoolDir?: string | undefined;
  /** Which messages of streams that were copied message by message. */
  readonly select?: MessageChoice | undefined;
  /** Whether such a stream's messages are added to the stream where it exists. */
  readonly append?: boolean | undefined;
  /** What the server is known by from one restore to the next. Default: its URLs. */
  readonly place?: string | undefined;
  /** New names by the old ones. */
  readonly rename?: Rename | undefined;
  /** The server's program for streams that get another name. */
  readonly natsServer?: string | undefined;
}

/** What is told to each stream. */
type PutOptions = Omit<RestoreStreamsOptions, keyof NatsServer>;

/** Restores the wanted streams of a backup that {@linkcode jetstream} made. */
export async function restoreStreams(
  stored: Files,
  context: Context,
  options: RestoreStreamsOptions,
): Promise<void> {
  const wanted = wantedBy(context.want.only);
  using gathered = await gather(stored.entries(), context, { wanted, spoolDir: options.spoolDir });
  if (gathered.streams.length === 0) {
    throw new NotFoundError(
      `Cannot restore: no stream of the backup matches ${context.want.only.join(", ") || "anything"}`,
    );
  }
  using named = await renameStreams(gathered.streams, options.rename ?? {}, context, options);
  const link = await connectTo(options);
  try {
    await putStreams(link, named.streams, context, options);
  } finally {
    await link.close();
  }
}

/** Puts streams into a server, all or none; conflicts are found first. Gives how many were restored. */
export async function putStreams(
  link: Link,
  streams: readonly Stored[],
  context: Context,
  options: PutOptions,
): Promise<number> {
  const place = options.place ?? link.where;
  await takeBack(link, place, context, { ...options, change: !context.want.dryRun });
  const { streams: existing } = await listStreams(link);
  const steps = planSteps(
    streams.map((stream) => adjust(stream, options.replicas)),
    existing,
    context,
    options.append,
  );
  await checkLevel(link, steps);
  if (!context.want.dryRun) await run(link, steps, context, options);
  for (const { stream, action } of steps) context.want.report?.(stream.name, action);
  return steps.filter(({ action }) => action !== "skip").length;
}

/** Carries the steps out. When one fails, everything is put back. */
async function run(
  link: Link,
  steps: readonly Step[],
  context: Context,
  options: PutOptions,
): Promise<void> {
  const done: { readonly name: string; readonly old: Stored | undefined }[] = [];
  const undo = steps.some(({ action }) => action === "overwrite")
    ? await openUndo(options.place ?? link.where, context, options.spoolDir)
    : undefined;
  let stay = false;
  try {
    for (const { stream, action } of steps) {
      context.signal.throwIfAborted();
      if (action === "skip") continue;
      const old = action === "overwrite"
        ? await keep(link, stream.name, context, options.spoolDir, undo)
        : undefined;
      // What was added to a stream cannot be told from the rest again.
      if (action !== "append") done.push({ name: stream.name, old });
      await replace(link, stream, action, context, options.select ?? {});
      context.log.info(`Restored the stream "${stream.name}"`);
    }
  } catch (error) {
    const { error: told, whole } = await putBack(link, done, error, undo);
    stay = !whole;
    throw told;
  } finally {
    await undo?.end(stay);
    for (const { old } of done) old?.content.close();
  }
}

async function replace(
  link: Link,
  stream: Stored,
  action: Step["action"],
  context: Context,
  select: MessageChoice,
): Promise<void> {
  const { name } = stream;
  let answer: ExactObject;
  let sent: bigint | undefined;
  try {
    if (action === "overwrite") await link.api(`STREAM.DELETE.${name}`, "", 60_000);
    if (stream.format === "messages") {
      const result = await publishMessages(link, stream, select, action === "append", context.signal);
      answer = result.answer;
      sent = result.published;
    } else answer = await sendSnapshot(link, stream, context.signal);
  } catch (cause) {
    if (context.signal.aborted) throw cause;
    throw new Error(
      `Cannot restore the stream "${name}": ${messageOf(cause)}${adviceFor(cause)}`,
      { cause },
    );
  }
  if (action === "append") context.log.info(`Added ${sent} messages to the stream "${name}"`);
  else checkRestored(stream, sent, objectAt(answer, "state"), context);
}

/** The server has taken everything: does it hold what was stored? Limits may have removed the oldest at once. */
function checkRestored(
  { name, config, state }: Stored,
  sent: bigint | undefined,
  now: ExactObject,
  { log }: Context,
): void {
  const last = integerAt(state, "last_seq");
  if (sent === undefined && integerAt(now, "last_seq") < last) {
    throw new IntegrityError(
      `Cannot restore the stream "${name}": it ends at sequence ${
        integerAt(now, "last_seq")
      }, the backup says ${last}. The snapshot was cut short when it was made; use another backup`,
    );
  }
  const missing = (sent ?? integerAt(state, "messages")) - integerAt(now, "messages");
  if (missing <= 0n) return;
  const limited = expires(config);
  const why = limited
    ? "their time was up"
    : sent === undefined
    ? "they were deleted while the snapshot was taken, or could not be read"
    : "its own limits removed them";
  if (limited) log.info(`The stream "${name}" has ${missing} messages fewer than at the cut: ${why}`);
  else log.warn("messages", `The stream "${name}" has ${missing} messages fewer than at the cut: ${why}`);
}
