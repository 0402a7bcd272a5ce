/**
 * The opt-out from encryption: a word that can be searched for.
 *
 * @module
 */
import { label, toBytes } from "../bytes.ts";
import { IntegrityError } from "../errors.ts";
import type { Archive, Body, Sealed, Stage, U8 } from "../stage.ts";
import { sniff } from "./header.ts";
import { intake } from "./intake.ts";

const NAME = "plaintext";

/**
 * Stores the archive unencrypted: bytes, index and suffix stay as they are. `undo` refuses bytes that are encrypted with age
 * ({@linkcode IntegrityError}, at the first read), because then the plan and the backup do not agree.
 */
export function plaintext(): Stage<Archive, Sealed> {
  return {
    name: NAME,
    verb: "encrypt",
    run: ({ suffix, body, index, facts, proof }) =>
      Promise.resolve({
        kind: "sealed",
        suffix,
        body,
        index,
        facts: () => {
          const sheet = facts();
          return { ...sheet, stages: [...sheet.stages, { verb: "encrypt", tool: NAME }] };
        },
        proof,
        signers: [],
      }),
    undo: (output) => {
      const { body, index } = output;
      const what = nameOf(output);
      return Promise.resolve({
        ...asArchive(output),
        body: refusing(body, what),
        index: index && refusing(index, `the index of ${what}`),
      });
    },
  };
}

/** What messages call the data: its file name where that is known. */
export function nameOf({ proof, suffix }: Sealed): string {
  return proof ? `"${proof.id}"` : `the data ("*${suffix}")`;
}

/** The same bytes as an archive. */
export function asArchive({ suffix, body, index, facts, proof }: Sealed): Archive {
  return { kind: "archive", suffix, body, index, facts, proof };
}

function refusing(body: Body, what: string): Body {
  async function* checked(): AsyncGenerator<U8, void, undefined> {
    const input = intake(body.read());
    try {
      if (await sniff(input) !== undefined) {
        throw new IntegrityError(
          `Cannot read ${what} as clear text: it is encrypted with age. Use encrypt.age in place of encrypt.plaintext`,
        );
      }
      // As they came: who reads a chunk gives its whole buffer back, so no part of one may be handed on.
      yield* input.rest();
    } finally {
      await input.close();
    }
  }
  return { ...body, read: () => label(NAME, toBytes(checked)) };
}
