/**
 * What streams an account has.
 *
 * @module
 */
import { messageOf } from "../../errors.ts";
import { type ExactObject, integerAt, isObject, listAt, objectAt, textAt } from "../../nats/exact.ts";
import type { Link } from "../../nats/link.ts";

/** One stream of an account. */
export interface StreamInfo {
  /** Its name: `KV_x` is the bucket x, `OBJ_x` the object store x. */
  readonly name: string;
  /** Its configuration as the server words it. */
  readonly config: ExactObject;
  /** Counts and sequences. */
  readonly state: ExactObject;
}

/** Every stream of an account. */
export interface Account {
  /** Sorted by name. */
  readonly streams: readonly StreamInfo[];
  /** Streams that the server knows of and cannot show: name, and why. */
  readonly absent: readonly { readonly name: string; readonly why: string }[];
}

/** Lists every stream. Throws when the list cannot be had whole. */
export async function listStreams(link: Link): Promise<Account> {
  const streams = new Map<string, StreamInfo>();
  const absent = new Map<string, string>();
  for (let offset = 0;;) {
    const page = await askPage(link, offset);
    for (const item of listAt(page, "streams")) {
      if (!isObject(item)) continue;
      const config = objectAt(item, "config");
      const name = textAt(config, "name");
      streams.set(name, { name, config, state: objectAt(item, "state") });
    }
    for (const name of listAt(page, "missing")) absent.set(String(name), "no server that has it answers");
    for (const [name, why] of Object.entries(objectAt(page, "offline"))) {
      absent.set(name, `it is offline: ${String(why)}`);
    }
    const count = listAt(page, "streams").length;
    offset += count;
    if (count === 0 || BigInt(offset) >= integerAt(page, "total")) break;
  }
  for (const name of streams.keys()) absent.delete(name);
  return {
    streams: [...streams.values()].sort((a, b) => a.name < b.name ? -1 : 1),
    absent: [...absent].map(([name, why]) => ({ name, why })),
  };
}

async function askPage(link: Link, offset: number): Promise<ExactObject> {
  try {
    return await link.api("STREAM.LIST", JSON.stringify({ offset }));
  } catch (cause) {
    throw new Error(`Cannot list the streams at ${link.where}: ${messageOf(cause)}`, { cause });
  }
}

/** What a stream is, by its name. */
export function kindOfStream(name: string): "kv" | "object_store" | "stream" {
  if (name.startsWith("KV_")) return "kv";
  return name.startsWith("OBJ_") ? "object_store" : "stream";
}

/** Whether a text can be a stream's name. Nothing else ever becomes part of a subject or of a path. */
export function isStreamName(name: string): boolean {
  // deno-lint-ignore no-control-regex -- control characters are what it refuses
  return name !== "" && name.length <= 255 && !/[\s.*>/\\\x00-\x1f\x7f]/.test(name) && name.isWellFormed();
}
