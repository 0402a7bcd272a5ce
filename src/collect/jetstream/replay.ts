/**
 * One snapshot back into the server (`$JS.API.STREAM.RESTORE`), several pieces under way at once.
 *
 * @module
 */
import type { Msg } from "@nats-io/transport-node";
import { messageOf } from "../../errors.ts";
import type { Stored } from "./gather.ts";
import type { Link } from "../../nats/link.ts";
import { readAnswer } from "../../nats/link.ts";
import { type ExactObject, textAt, writeExact } from "../../nats/exact.ts";

/** Bytes under way before the server has taken them: what a link of 20 ms needs for 100 MB/s and more. */
const WINDOW = 4 * 1024 * 1024;
const PIECE = 128 * 1024;
/** The server gives up after five seconds without a piece; a piece itself may wait for its disk. */
const PIECE_MS = 30_000;
/** How long the reason for giving up may take. */
const REASON_MS = 2_000;
/** What follows the last piece: the server may have to move and index a large stream. */
const END_MS = 3_600_000;

/** Sends a snapshot. Throws when the server refuses any of it; what it had taken is then gone again. */
export async function sendSnapshot(link: Link, stored: Stored, signal: AbortSignal): Promise<ExactObject> {
  const { name, config, state, content } = stored;
  const answer = await link.api(`STREAM.RESTORE.${name}`, writeExact({ config, state }), 60_000);
  const target = textAt(answer, "deliver_subject");
  const size = Math.min(PIECE, link.nc.info?.max_payload ?? PIECE);
  const window = pieces(link, target, Math.max(1, Math.floor(WINDOW / size)), signal);
  try {
    for await (const chunk of content.read()) {
      for (let at = 0; at < chunk.length; at += size) await window.send(chunk.subarray(at, at + size));
    }
    await window.drained();
  } finally {
    window.stop();
  }
  const last = await link.nc.request(target, "", { timeout: END_MS });
  return readAnswer(last.data);
}

interface Window {
  readonly send: (piece: Uint8Array) => Promise<void>;
  readonly drained: () => Promise<void>;
  readonly stop: () => void;
}

/** Sends pieces in order and lets so many be unanswered. Every answer but an empty one is a refusal. */
function pieces({ nc, onLost }: Link, target: string, room: number, signal: AbortSignal): Window {
  const inbox = `_INBOX.${crypto.randomUUID()}`;
  const failed = Promise.withResolvers<never>();
  failed.promise.catch(() => {});
  let given: ReturnType<typeof setTimeout> | undefined;
  let free = room;
  let moved = Promise.withResolvers<void>();
  const onAnswer = (error: Error | null, { data, headers }: Msg): void => {
    try {
      if (error) throw error;
      if (headers?.code === 503) {
        // It listens no more. Why comes in an answer of its own, maybe after this one.
        given ??= setTimeout(
          () => failed.reject(new Error("the server has given the restore up")),
          REASON_MS,
        );
        return;
      }
      if (data.length > 0) readAnswer(data);
      free++;
      moved.resolve();
      moved = Promise.withResolvers<void>();
    } catch (cause) {
      failed.reject(cause);
    }
  };
  const subscription = nc.subscribe(inbox, { callback: onAnswer });
  const forget = onLost((error) => failed.reject(error));
  const abort = (): void => failed.reject(signal.reason);
  signal.addEventListener("abort", abort);
  if (signal.aborted) abort();

  async function until(enough: number): Promise<void> {
    while (free < enough) {
      const late = Promise.withResolvers<never>();
      const timer = setTimeout(
        () => late.reject(new Error(`the server has not answered for ${PIECE_MS / 1000} s`)),
        PIECE_MS,
      );
      try {
        await Promise.race([moved.promise, failed.promise, late.promise]);
      } finally {
        clearTimeout(timer);
      }
    }
  }

  return {
    send: async (piece) => {
      await Promise.race([until(1), failed.promise]);
      free--;
      nc.publish(target, piece, { reply: inbox });
    },
    drained: () => until(room),
    stop: () => {
      clearTimeout(given);
      forget();
      signal.removeEventListener("abort", abort);
      if (!nc.isClosed()) subscription.unsubscribe();
    },
  };
}

/** What to do about a refusal. */
export function adviceFor(error: unknown): string {
  const message = messageOf(error);
  if (/consumer config replica count/i.test(message)) {
    return ". That consumer has a number of replicas of its own, which the snapshot fixes: restore into a cluster, or restore a backup " +
      "that was made with consumers = false";
  }
  if (/replicas? > 1|no suitable peers|insufficient resources|replicas/i.test(message)) {
    return ". Set replicas to what the server can give (1 where there is no cluster)";
  }
  if (/resource|space|storage/i.test(message)) return ". Give the account, or the disk, more room";
  if (/overlap/i.test(message)) return ". Another stream has its subjects: remove or change that one";
  return "";
}
