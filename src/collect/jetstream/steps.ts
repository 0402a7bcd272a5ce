/**
 * What is done with each stream of a backup, decided before anything is touched.
 *
 * @module
 */
import { ExistsError } from "../../errors.ts";
import type { Context, RestoreAction } from "../../stage.ts";
import { isMemory } from "./choose.ts";
import { exactNumber, type ExactObject, integerAt, objectAt, textAt } from "../../nats/exact.ts";
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
): readonly Step[] {
  const found = new Map(existing.map((stream) => [stream.name, stream]));
  const there = streams.filter(({ name }) => found.has(name)).map(({ name }) => name);
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
    action: !found.has(stream.name) ? "create" : conflict === "skip" ? "skip" : "overwrite",
  }));
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
