/**
 * The bucket itself: is it fit to keep backups, how large are its messages, how much room is left.
 *
 * @module
 */
import { StoreError } from "../../errors.ts";
import { type ExactObject, integerAt, listAt, objectAt, textAt } from "../../nats/exact.ts";
import { ApiError, type Link } from "../../nats/link.ts";
import { CODE, isUnmade } from "./explain.ts";
import type { Session } from "./session.ts";

/** Longest chunk that is written, in bytes. Larger ones are no faster, and reading them leaves more for the garbage collector. */
const CHUNK_BYTES = 256 * 1024;

/** Room for headers and subject in a message, in bytes. */
const HEADER_BYTES = 1024;

/** Finds the bucket fit for backups, makes it where that was asked for, and gives the length of chunks. */
export async function prepare(session: Session, action: string, signal?: AbortSignal): Promise<number> {
  const { settings } = session;
  return await session.call(action, async (link) => {
    const config = objectAt(await infoOf(session, link), "config");
    const why = unfit(config, settings.bucket);
    if (why !== undefined) throw new StoreError(`${action} in ${settings.url}: ${why}`);
    const longest = Math.min(
      link.nc.info?.max_payload ?? Infinity,
      Number(integerAt(config, "max_msg_size")) > 0 ? Number(integerAt(config, "max_msg_size")) : Infinity,
    );
    const chunk = Math.min(CHUNK_BYTES, longest - HEADER_BYTES);
    if (chunk < HEADER_BYTES) {
      throw new StoreError(
        `${action} in ${settings.url}: messages of at most ${longest} bytes are too short`,
      );
    }
    return chunk;
  }, signal);
}

async function infoOf({ settings }: Session, link: Link): Promise<ExactObject> {
  const { stream, bucket } = settings;
  try {
    return await link.api(`STREAM.INFO.${stream}`);
  } catch (error) {
    if (!isUnmade(error, settings)) throw error;
  }
  // As `nats object add` makes it.
  const config = {
    name: stream,
    description: "Backups, by Holdfast",
    subjects: [`$O.${bucket}.C.>`, `$O.${bucket}.M.>`],
    storage: "file",
    discard: "new",
    allow_rollup_hdrs: true,
    allow_direct: true,
    num_replicas: 1,
  };
  try {
    return await link.api(`STREAM.CREATE.${stream}`, JSON.stringify(config));
  } catch (error) {
    if (!(error instanceof ApiError) || error.code !== CODE.streamExists) throw error;
    return await link.api(`STREAM.INFO.${stream}`); // another run was quicker
  }
}

/** Why a bucket would lose backups by itself, or cannot keep them. */
function unfit(config: ExactObject, bucket: string): string | undefined {
  const number = (key: string): number => Number(integerAt(config, key));
  const subjects = listAt(config, "subjects");
  const edit = `(nats stream edit ${textAt(config, "name")})`;
  if (config.sealed === true) return "the bucket is sealed, nothing can be written. Use another";
  if (!subjects.includes(`$O.${bucket}.C.>`) || !subjects.includes(`$O.${bucket}.M.>`)) {
    return "the bucket is a mirror, or no object store: write to the one it mirrors";
  }
  if (textAt(config, "storage") === "memory") {
    return "the bucket lies in memory, and backups in it would go with a restart. Use one with file storage";
  }
  if (number("max_age") > 0) {
    return `the bucket deletes what is older than ${
      number("max_age") / 3_600_000_000_000
    } hours by itself, backups too. ` +
      `Take its time to live away ${edit}; prune keeps what your policy says`;
  }
  if (textAt(config, "discard") === "old" && (number("max_bytes") > 0 || number("max_msgs") > 0)) {
    return `the bucket throws away the oldest when it is full. Set discard to "new" ${edit}`;
  }
  if (number("max_msgs_per_subject") > 0) return `the bucket limits messages per subject. Lift that ${edit}`;
  if (config.allow_rollup_hdrs !== true) return `the bucket allows no rollups. Allow them ${edit}`;
  if (config.deny_purge === true) {
    return "the bucket denies purging, so nothing could be removed. Use another";
  }
  return undefined;
}

/** Room in bytes: the bucket's limit and the account's, whichever is nearer. Undefined where there is none, or none that may be seen. */
export async function space(session: Session): Promise<number | undefined> {
  const { stream } = session.settings;
  const left = await session.call("Cannot tell the free space", async (link) => {
    const info = await link.api(`STREAM.INFO.${stream}`).catch((error) => {
      if (isUnmade(error, session.settings)) return {};
      throw error;
    });
    const replicas = Number(integerAt(objectAt(info, "config"), "num_replicas")) || 1;
    const limit = Number(integerAt(objectAt(info, "config"), "max_bytes"));
    const used = Number(integerAt(objectAt(info, "state"), "bytes"));
    const account = await link.api("INFO").catch(() => undefined); // not every user may ask
    return [...(limit > 0 ? [limit - used] : []), ...accountLeft(account, replicas)];
  });
  return left.length === 0 ? undefined : Math.max(1, Math.min(...left)); // what is full says so when it is written to
}

function accountLeft(account: ExactObject | undefined, replicas: number): readonly number[] {
  if (!account) return [];
  const tier = objectAt(objectAt(account, "tiers"), `R${replicas}`);
  const own = integerAt(objectAt(account, "limits"), "max_storage");
  const from = own > 0n ? account : tier;
  const most = Number(integerAt(objectAt(from, "limits"), "max_storage"));
  if (!(most > 0)) return [];
  // Without tiers each replica counts.
  const each = from === account ? replicas : 1;
  return [Math.floor((most - Number(integerAt(from, "storage"))) / each)];
}
