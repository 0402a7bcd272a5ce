/**
 * JetStream's object store as a store: a NATS cluster as a target of backups.
 *
 * @module
 */
import type { Store } from "../stage.ts";
import { later } from "./later.ts";
import { type NatsStoreOptions, settingsOf } from "./nats/options.ts";

export type { NatsStoreOptions } from "./nats/options.ts";

/** A store in an object store of JetStream. */
export interface NatsStore extends Store {
  /** Ends the connection now; the next call makes a new one. Without it, the connection ends by itself soon after the last call. */
  readonly close: () => Promise<void>;
}

/**
 * Keeps objects in a bucket of JetStream's object store, as every client of it writes them (ADR-20): `nats object get` reads what
 * is written here, and the other way round.
 *
 * An object appears when its description is written, after all of its chunks, on the condition that its name still stands for what was
 * seen there: of two conditional writes the server lets one win. Each chunk waits for the one before it, and cannot be there
 * twice. Whole reads are checked with the description's SHA-256. What a write that died has left is removed by the first write a day
 * later. A bucket that would lose backups by itself (memory, a time to live, discarding the oldest) is refused when it is written to.
 *
 * Nothing is loaded or connected before the first call. Throws TypeError or RangeError for options that cannot work.
 *
 * @example
 * ```ts ignore
 * store.nats({ servers: "nats://10.0.0.5:4222", bucket: "backups", auth: () => ({ credentials: readCreds() }) });
 * ```
 */
export function nats(options: NatsStoreOptions): NatsStore {
  const settings = settingsOf(options);
  return {
    url: settings.url,
    ...later(
      async () => (await import("./nats/inside.ts")).openStore(settings),
      ["put", "get", "head", "list", "delete", "space", "close"],
    ),
  };
}
