/**
 * The archive inside a snapshot of nats-server 2.15 and newer: the mark, then entries one after another, each of five numbers
 * (variable length: name, time, sequence, headers, payload) and its bytes; an entry of nothing but zeros is the end.
 *
 * @module
 */
import { IntegrityError } from "../../errors.ts";

/** What such an archive begins with. */
export const MAGIC = "NATSARC1";
/** The last entry: five numbers, all 0. */
const END = 5;

/** Follows the entries. */
export interface Walk {
  /** Takes the next unfolded bytes. Throws {@linkcode IntegrityError} when something follows the end. */
  readonly add: (bytes: Uint8Array) => void;
  /** Says that nothing follows. Throws {@linkcode IntegrityError} unless the last entry was the end. */
  readonly end: () => void;
}

/** Follows an archive from its mark to its end. */
export function walkArchive(): Walk {
  let skip = MAGIC.length;
  let fields: number[] = [];
  let value = 0;
  let scale = 1;
  let zero = true;
  let ended = false;

  function number(byte: number): void {
    value += (byte & 0x7f) * scale;
    scale *= 128;
    if (byte !== 0) zero = false;
    if (byte >= 0x80) return;
    fields.push(value);
    value = 0;
    scale = 1;
    if (fields.length < END) return;
    const [name = 0, , , headers = 0, payload = 0] = fields;
    ended = zero;
    skip = name + headers + payload;
    fields = [];
    zero = true;
  }

  return {
    add: (bytes) => {
      for (let at = 0; at < bytes.length;) {
        if (ended) throw new IntegrityError("it is damaged: something follows its end");
        if (skip > 0) {
          const step = Math.min(skip, bytes.length - at);
          skip -= step;
          at += step;
        } else number(bytes[at++]!);
      }
    },
    end: () => {
      if (!ended) throw new IntegrityError("it is cut: it does not end as a snapshot ends");
    },
  };
}

/** Whether the last bytes can be the end: a quick look, where not everything is unfolded. */
export function endsLikeArchive(tail: Uint8Array): boolean {
  return tail.length >= END && tail.subarray(-END).every((byte) => byte === 0);
}
