/**
 * Giving events to a nara: signed batches, halved until the one it cannot take is found.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { type Ask, PeerError } from "../../collect/events/ask.ts";
import { KeyError } from "../../errors.ts";
import type { Soul } from "./soul.ts";

/** An event on its way. */
export interface Parcel {
  /** Its id. */
  readonly id: string;
  /** Its line. */
  readonly line: string;
}

/** What became of batches. */
export interface Tally {
  /** Taken, as the nara says. */
  imported: number;
  /** Not taken: known already, refused by its rules. */
  duplicates: number;
  /** Taken although the signature could not be verified: it does not know the emitter. */
  unverified: number;
}

/** Options of {@linkcode send}. */
export interface SendOptions {
  /** The nara's address, without a slash at the end. */
  readonly target: string;
  /** Its soul. */
  readonly soul: Soul;
  /** Asks, once. */
  readonly ask: Ask;
  /** Told of an event that the nara cannot take. */
  readonly refused: (parcel: Parcel, reason: string) => void;
}

/** Sends a batch. Throws {@linkcode KeyError} when the nara does not accept the soul, PeerError when it is gone. */
export async function send(parcels: readonly Parcel[], tally: Tally, options: SendOptions): Promise<void> {
  if (parcels.length === 0) return;
  try {
    const answer = await post(parcels, options);
    tally.imported += answer.imported;
    tally.duplicates += answer.duplicates;
    tally.unverified += answer.warnings ?? 0;
  } catch (error) {
    if (!(error instanceof PeerError) || !mayBeOne(error)) throw error;
    await probe(options); // is it the batch, or the nara?
    if (parcels.length === 1) return options.refused(parcels[0]!, error.message);
    const half = parcels.length >> 1;
    await send(parcels.slice(0, half), tally, options);
    await send(parcels.slice(half), tally, options);
  }
}

/** Whether one event can be the reason: the connection broke, or the batch was called wrong. */
function mayBeOne({ status, again }: PeerError): boolean {
  return status === undefined ? again : status === 400 || status === 413 || status >= 500;
}

/** An empty batch: harmless, and answered by a nara that lives and accepts the soul. */
export async function probe(options: SendOptions): Promise<void> {
  for (let attempt = 1;; attempt++) {
    try {
      return void await post([], options);
    } catch (error) {
      if (!(error instanceof PeerError) || !error.again || attempt === 4) throw error;
      await new Promise((resolve) => setTimeout(resolve, 250 * attempt));
    }
  }
}

interface Imported {
  readonly imported: number;
  readonly duplicates: number;
  readonly warnings?: number;
}

async function post(parcels: readonly Parcel[], { target, soul, ask }: SendOptions): Promise<Imported> {
  const ts = Math.floor(Date.now() / 1000);
  const hash = createHash("sha256").update(`${ts}:`);
  for (const { id } of parcels) hash.update(id);
  const events = parcels.map(({ line }) => line).join();
  const body = `{"events":[${events}],"ts":${ts},"sig":"${soul.sign(hash.digest())}"}`;
  const headers = (): Record<string, string> => ({ "content-type": "application/json" });
  try {
    return await ask({ url: `${target}/api/events/import`, method: "POST", headers, body }, ({ body }) => {
      const answer = JSON.parse(new TextDecoder().decode(body)) as Imported & { success?: boolean };
      if (answer.success !== true) {
        throw new PeerError("its answer is not that of a nara", false, { status: 200 });
      }
      return answer;
    });
  } catch (error) {
    if (error instanceof PeerError && error.status === 403) throw refusedSoul(error);
    throw error;
  }
}

function refusedSoul(error: PeerError): Error {
  if (error.message.includes("timestamp")) {
    return new Error(`Cannot restore: ${error.message}. A nara takes what is signed within 5 minutes`, {
      cause: error,
    });
  }
  return new KeyError(`Cannot restore: ${error.message}. Is this the target's own soul?`, { cause: error });
}
