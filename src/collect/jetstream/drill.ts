/**
 * Does a backup of streams work? Restores them into a private server and looks: counts, sequences, consumers, a sample of messages.
 *
 * @module
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { IntegrityError, messageOf } from "../../errors.ts";
import type { Context } from "../../stage.ts";
import { expires } from "./choose.ts";
import { entriesIn } from "./entries.ts";
import { integerAt, objectAt } from "../../nats/exact.ts";
import { gather, type Stored } from "./gather.ts";
import { connectTo, type Link } from "../../nats/link.ts";
import { startPrivate } from "./private.ts";
import { putStreams } from "./restore.ts";

/** Messages of each stream that are read back. */
const SAMPLE = 32n;

/**
 * Drills the streams whose files lie in `folder`, one folder a stream. Throws {@linkcode IntegrityError} when a stream does not come
 * back as its backup says; fewer messages are fine where the stream's own limits explain it, and said.
 */
export async function drillStreams(
  folder: string,
  context: Context,
  options: { readonly natsServer?: string | undefined } = {},
): Promise<Readonly<Record<string, unknown>>> {
  using gathered = await gather(entriesIn(folder), { ...context, progress: () => {} });
  const storeDir = await mkdtemp(join(tmpdir(), "holdfast-drill-nats-"));
  try {
    await using server = await startPrivate({ storeDir, program: options.natsServer });
    const link = await connectTo(server.server);
    try {
      await putStreams(link, gathered.streams, { ...context, want: { ...context.want, dryRun: false } }, {
        replicas: 1,
      });
      let sampled = 0;
      let expired = 0n;
      for (const stream of gathered.streams) {
        const result = await look(link, stream, context);
        sampled += result.sampled;
        expired += result.expired;
      }
      return { streams: gathered.streams.length, sampled, expired: String(expired) };
    } finally {
      await link.close();
    }
  } finally {
    await rm(storeDir, { recursive: true, force: true });
  }
}

async function look(
  link: Link,
  stream: Stored,
  { log }: Context,
): Promise<{ readonly sampled: number; readonly expired: bigint }> {
  const { name, config, state } = stream;
  const now = objectAt(await link.api(`STREAM.INFO.${name}`), "state");
  const fail = (why: string): never => {
    throw new IntegrityError(
      `The drill failed: the stream "${name}" ${why}. Do not rely on this backup; make another`,
    );
  };
  // A copy message by message has new numbers and no consumers.
  const exact = stream.format === "snapshot";
  const last = integerAt(state, "last_seq");
  if (exact && integerAt(now, "last_seq") < last) {
    fail(`ends at sequence ${integerAt(now, "last_seq")}, not ${last}`);
  }
  const expired = integerAt(state, "messages") - integerAt(now, "messages");
  if (expired > 0n) {
    if (!expires(config)) fail(`has ${expired} messages fewer than at the cut`);
    log.info(`The stream "${name}" has ${expired} messages fewer than at the cut: their time was up`);
  } else if (exact && integerAt(now, "first_seq") > integerAt(state, "first_seq")) {
    fail(`starts at sequence ${integerAt(now, "first_seq")}, not ${integerAt(state, "first_seq")}`);
  }
  if (integerAt(now, "consumer_count") < integerAt(state, "consumer_count")) {
    fail(`has ${integerAt(now, "consumer_count")} consumers, not ${integerAt(state, "consumer_count")}`);
  }
  return {
    sampled: await sample(link, name, integerAt(now, "first_seq"), integerAt(now, "last_seq")),
    expired,
  };
}

/** Reads messages spread over the stream; the server checks each one's hash. Gaps are what was deleted. */
async function sample(link: Link, name: string, first: bigint, last: bigint): Promise<number> {
  if (last < first) return 0;
  const step = (last - first) / SAMPLE + 1n;
  let read = 0;
  for (let seq = first; seq <= last; seq += step) {
    try {
      await link.api(`STREAM.MSG.GET.${name}`, `{"seq":${seq},"next_by_subj":">"}`);
      read++;
    } catch (cause) {
      if (/no message found/i.test(messageOf(cause))) continue;
      throw new IntegrityError(
        `The drill failed: a message of "${name}" from sequence ${seq} on cannot be read: ${
          messageOf(cause)
        }`,
        { cause },
      );
    }
  }
  return read;
}
