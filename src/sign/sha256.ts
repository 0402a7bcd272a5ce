/**
 * A checksum file beside the archive, as `sha256sum -c` reads it.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { text, utf8 } from "../bytes.ts";
import { IntegrityError } from "../errors.ts";
import { decodeReceipt } from "../receipt.ts";
import type { Proof, Sealed, Signature, Stage, U8 } from "../stage.ts";

const NAME = "sha256";
const SUFFIX = ".sha256";

/**
 * Writes a ".sha256" sidecar: `<hex>  <file name>\n`. It shows damage; it does not prove who wrote the backup. `undo` holds
 * the sidecar against the receipt, without reading the data: {@linkcode IntegrityError} when it is missing, malformed, for
 * another file or another digest. Data without a receipt (a foreign file) passes.
 */
export function sha256(): Stage<Sealed, Sealed> {
  return {
    name: NAME,
    verb: "sign",
    run: (input) =>
      Promise.resolve({
        ...input,
        facts: () => {
          const sheet = input.facts();
          return { ...sheet, stages: [...sheet.stages, { verb: "sign", tool: NAME }] };
        },
        signers: [...input.signers, {
          suffix: SUFFIX,
          authenticates: false,
          fromDigest: line,
          begin: (name) => Promise.resolve(begin(name)),
        }],
      }),
    undo: async (output) => {
      if (output.proof) await compare(output.proof);
      return output;
    },
  };
}

function begin(name: string): Signature {
  const hash = createHash("sha256");
  return {
    add: (chunk) => void hash.update(chunk),
    end: () => Promise.resolve(line(name, hash.digest("hex"))),
  };
}

function line(name: string, digest: string): U8 {
  return utf8(`${digest}  ${name}\n`);
}

async function compare(proof: Proof): Promise<void> {
  const file = `"${proof.id}${SUFFIX}"`;
  const receipt = decodeReceipt(proof.receipt, proof.id);
  const archive = receipt.event === "backup"
    ? receipt.objects.find(({ suffix }) => suffix === "")
    : undefined;
  if (!archive) {
    throw new IntegrityError(
      `Cannot verify "${proof.id}": its receipt names no archive. Restore another backup`,
    );
  }
  const sidecar = await proof.sidecar(SUFFIX);
  if (!sidecar) {
    throw new IntegrityError(
      `Cannot verify "${proof.id}": its checksum file ${file} is missing. Copy it back, or restore another backup`,
    );
  }
  const line = /^([0-9a-f]{64}) {2}([^\n]+)\n$/.exec(decode(sidecar));
  if (!line) {
    throw new IntegrityError(`Cannot read ${file}: it is not one line "<sha256>  <file name>". ${NEXT}`);
  }
  if (line[2] !== proof.id) {
    throw new IntegrityError(`Cannot accept ${file}: it is about another file. ${NEXT}`);
  }
  if (line[1] !== archive.sha256) {
    throw new IntegrityError(`Cannot accept ${file}: its digest is not the one in the receipt. ${NEXT}`);
  }
}

const NEXT = "Copy it back from another store, or restore another backup";

function decode(sidecar: Uint8Array): string {
  try {
    return text(sidecar);
  } catch {
    return "";
  }
}
