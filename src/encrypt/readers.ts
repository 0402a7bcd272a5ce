/**
 * Who can read what is encrypted, as far as its start says it without a secret.
 *
 * @module
 */
import type { Bytes } from "../stage.ts";
import { describeStanzas, readStanzas } from "./header.ts";
import { intake } from "./intake.ts";
import { keyIdsOf } from "./openpgp_unlock.ts";
import { startsMessage, takeStart } from "./openpgp_open.ts";
import { header } from "./unlock.ts";

/** What the start of stored bytes says of their readers. */
export interface Readers {
  /** What they are encrypted with; "none": stored in the clear, or with something unknown. */
  readonly tool: "age" | "openpgp" | "none";
  /** Ids of the OpenPGP keys that open them, 16 hexadecimal digits each; zeros where whose it is was hidden. */
  readonly keyIds: readonly string[];
  /** In words: "1 X25519 recipient". age names nobody; empty where nothing can be said. */
  readonly words: string;
}

/** Reads no more of `start` than the header, and closes it. Throws IntegrityError when the header is damaged. */
export async function readersOf(start: Bytes, what: string): Promise<Readers> {
  const input = intake(start);
  try {
    const opened = await header(input, what);
    if (opened) {
      return { tool: "age", keyIds: [], words: describeStanzas(await readStanzas(opened.header, what)) };
    }
    if (await startsMessage(input)) {
      const { packets } = await takeStart(input, what);
      const keyIds = keyIdsOf(packets);
      return { tool: "openpgp", keyIds, words: keyIds.length === 0 ? "a passphrase" : "" };
    }
    const armored = new TextDecoder("latin1").decode(await input.peek(64)).includes("BEGIN PGP MESSAGE");
    return armored
      ? { tool: "openpgp", keyIds: [], words: "in armor" }
      : { tool: "none", keyIds: [], words: "" };
  } finally {
    await input.close();
  }
}
