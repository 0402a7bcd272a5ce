/**
 * Faults in the middle of a stream.
 *
 * @module
 */
import { toBytes } from "../bytes.ts";
import { StoreError } from "../errors.ts";
import type { Bytes, U8 } from "../stage.ts";
import type { Fault } from "./faulty.ts";

/** What a fault throws. */
export function thrown(fault: Fault): Error {
  return fault.error?.() ?? new StoreError(`Cannot ${fault.on}: made to fail`, { retryable: true });
}

/** Waits as a fault says: for its promise, for its time, else for ever. */
export function pause(fault: Fault): Promise<unknown> {
  if (fault.until) return fault.until;
  const { ms } = fault;
  return new Promise((resolve) => ms === undefined ? undefined : setTimeout(resolve, ms));
}

/** A stream with a fault at its byte `at`; `room` counts what has been written, for a disk that fills up. */
export function damaged(bytes: Bytes, fault: Fault, room: { written: number }): Bytes {
  const at = fault.at ?? 0;
  return toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
    const reader = bytes.getReader();
    let seen = 0;
    let hit = false;
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        const here = at - seen;
        seen += value.length;
        if (fault.how === "full") fill(room, value.length, fault);
        if (fault.how === "slow") await pause(fault);
        if (hit || here >= value.length) {
          yield value;
          continue;
        }
        hit = true;
        if (fault.how === "flip") value[here]! ^= 1;
        if (!["tear", "cut", "stall"].includes(fault.how)) {
          yield value;
          continue;
        }
        if (here > 0) yield value.slice(0, here);
        if (fault.how === "cut") return;
        if (fault.how === "tear") throw thrown(fault);
        await pause(fault);
        yield value.slice(here);
      }
    } finally {
      await reader.cancel().catch(() => {});
    }
  }, bytes);
}

function fill(room: { written: number }, bytes: number, fault: Fault): void {
  if (room.written + bytes > (fault.at ?? 0)) {
    throw fault.error?.() ??
      new StoreError("Cannot write: no space left on device. Free some space, or prune");
  }
  room.written += bytes;
}
