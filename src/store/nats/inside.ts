/**
 * What a store in JetStream does, once it is used.
 *
 * @module
 */
import { checkKey } from "../key.ts";
import type { NatsStore } from "../nats.ts";
import { space } from "./bucket.ts";
import { itemOf, list } from "./list.ts";
import { lookUp } from "./meta.ts";
import type { Settings } from "./options.ts";
import { remove, sweep } from "./purge.ts";
import { read } from "./read.ts";
import { sessionOf } from "./session.ts";
import { write } from "./write.ts";

/** Everything but its URL. */
export function openStore(settings: Settings): Omit<NatsStore, "url"> {
  const session = sessionOf(settings);
  let swept: Promise<void> | undefined;
  return {
    put: async (key, body, putOptions = {}) => {
      checkKey(key);
      if (!putOptions.signal?.aborted) await (swept ??= sweep(session));
      await write(session, key, body, putOptions);
    },
    get: (key, range) => read(session, key, range),
    head: async (key) => {
      const meta = await lookUp(session, checkKey(key), `Cannot look up "${key}"`);
      return meta?.kind === "object" ? itemOf(key, meta) : undefined;
    },
    list: (prefix = "") => list(session, prefix),
    delete: (key) => remove(session, key),
    space: () => space(session),
    close: session.close,
  };
}
