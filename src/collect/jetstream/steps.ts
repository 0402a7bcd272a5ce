/**
 * What is done with each stream of a backup, decided before anything is touched.
 *
 * @module
 */
import { ExistsError } from "../../errors.ts";
import type { Context, RestoreAction } from "../../stage.ts";
import { isMemory } from "./choose.ts";
import { exactNumber, type ExactObject, integerAt, listAt, objectAt, textAt } from "../../nats/exact.ts";
import type { Stored } from "./gather.ts";
import type { Link } from "../../nats/link.ts";
import type { StreamInfo } from "./streams.ts";

/** What is done with one stream. */
export interface Step {
  readonly stream: Stored;
  readonly action: RestoreAction;
}

/** Decides, and throws {@linkcode ExistsError} with every conflict. */
export function planSteps(
  streams: readonly Stored[],
  existing: readonly StreamInfo[],
  { want: { conflict } }: Context,
  append = false,
): readonly Step[] {
  for (const stream of streams) checkPublishable(stream);
  const found = new Map(existing.map((stream) => [stream.name, stream]));
  const appends = ({ name, format }: Stored): boolean => append && format === "messages" && found.has(name);
  const there = streams.filter((stream) => found.has(stream.name) && !appends(stream)).map(({ name }) =>
    name
  );
  if (conflict === "error" && there.length > 0) {
    throw new ExistsError(
      `Cannot restore: ${there.length} of ${streams.length} streams exist (${
        there.slice(0, 5).map((name) => `"${name}"`).join(", ")
      }${there.length > 5 ? ", ..." : ""}). Nothing was changed; use --conflict skip or --conflict overwrite`,
    );
  }
  const memory = conflict === "overwrite" ? there.filter((name) => isMemory(found.get(name)!)) : [];
  if (memory.length > 0) {
    throw new ExistsError(
      `Cannot overwrite "${
        memory[0]
      }": it lives in memory, and could not be put back if the restore failed. Delete it yourself`,
    );
  }
  return streams.map((stream) => ({
    stream,
    action: !found.has(stream.name)
      ? "create"
      : appends(stream)
      ? "append"
      : conflict === "skip"
      ? "skip"
      : "overwrite",
  }));
}

/** Messages are published anew: to a stream that takes them from publishers, and says that it has. */
function checkPublishable({ name, config, format }: Stored): void {
  if (format !== "messages") return;
  const why = config.mirror !== undefined
    ? "it mirrors another stream"
    : listAt(config, "sources").length > 0
    ? "it draws from other streams"
    : config.no_ack === true
    ? "it does not acknowledge messages"
    : undefined;
  if (why === undefined) return;
  throw new Error(
    `Cannot restore the stream "${name}" message by message: ${why}. Nothing was changed; leave it out with --only, ` +
      "or restore into a folder",
  );
}

/** The stream with other replicas. */
export function adjust(stream: Stored, replicas: number | undefined): Stored {
  if (replicas === undefined || integerAt(stream.config, "num_replicas") === BigInt(replicas)) return stream;
  return { ...stream, config: { ...stream.config, num_replicas: exactNumber(replicas) } };
}

/** A server that is too old would refuse some streams half-way; it says its level, and streams say what they need. */
export async function checkLevel(link: Link, steps: readonly Step[]): Promise<void> {
  const info = await link.api("INFO");
  const level = integerAt(objectAt(info, "api"), "level");
  for (const { stream: { name, config }, action } of steps) {
    const needed = neededLevel(config);
    if (action === "skip" || needed <= level) continue;
    throw new Error(
      `Cannot restore "${name}": it needs a server with JetStream API level ${needed}, ${link.where} has ${level} (nats-server ${
        link.nc.info?.version ?? "?"
      }). Nothing was changed; use a newer nats-server`,
    );
  }
}

function neededLevel(config: ExactObject): bigint {
  const stated = textAt(objectAt(config, "metadata"), "_nats.req.level");
  if (/^\d{1,4}$/.test(stated)) return BigInt(stated);
  if (
    config.allow_atomic === true || config.allow_msg_counter === true || config.allow_msg_schedules === true
  ) {
    return 2n;
  }
  return config.allow_msg_ttl === true ? 1n : 0n;
}
