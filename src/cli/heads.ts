/**
 * Heads of a ledger that an operator keeps elsewhere: a copy of a receipt, or the line that `sha256sum` prints of one.
 *
 * @module
 */
import { basename } from "node:path";
import { sha256, text } from "../bytes.ts";
import { ConfigError, messageOf } from "../errors.ts";
import type { ReceiptRef } from "../receipt.ts";

/** Reads a file of heads. Throws {@linkcode ConfigError} when it holds none. */
export async function readHeads(file: string): Promise<readonly ReceiptRef[]> {
  let content: string;
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = await Deno.readFile(file);
    content = text(bytes);
  } catch (cause) {
    throw new ConfigError(`Cannot read the head in "${file}": ${messageOf(cause)}`, { cause });
  }
  if (content.startsWith("{")) return [{ id: idIn(content) ?? basename(file), sha256: sha256(bytes) }];
  const lines = content.split("\n").filter((line) => line.trim() !== "");
  const heads = lines.map((line) => /^([0-9a-f]{64}) [ *](.+)$/.exec(line));
  if (heads.length === 0 || heads.includes(null)) {
    throw new ConfigError(
      `Cannot use "${file}" as a head: give a copy of a receipt, or what "sha256sum NAME.receipt.json" prints`,
    );
  }
  return heads.map((head) => ({
    id: basename(head![2]!).replace(/\.receipt\.json$/, ""),
    sha256: head![1]!,
  }));
}

function idIn(content: string): string | undefined {
  try {
    const { id } = JSON.parse(content) as { id?: unknown };
    return typeof id === "string" ? id : undefined;
  } catch {
    return undefined;
  }
}
