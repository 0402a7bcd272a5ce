/**
 * The text of a key file, and what a key must look like.
 *
 * @module
 */
import { IntegrityError } from "../../errors.ts";

/** One key of a key file. */
export interface FileKey {
  /** Its reference. */
  readonly ref: string;
  /** Its bytes. */
  readonly value: Uint8Array;
}

/** Reads a key file; throws {@linkcode IntegrityError} for the first thing that is wrong. */
export function parseKeys(text: string): { readonly keys: readonly FileKey[]; readonly wrapped: number } {
  const fail = (why: string): never => {
    throw new IntegrityError(`Cannot import the keys: ${why}. Nothing was imported`);
  };
  let file: { version?: unknown; keys?: unknown };
  try {
    file = JSON.parse(text);
  } catch {
    file = fail("this is no key file");
  }
  if (file?.version !== 2 && file?.version !== 3) fail(`the file has version ${file?.version}, not 2 or 3`);
  if (!Array.isArray(file.keys)) fail("the file has no list of keys");
  const keys: FileKey[] = [];
  let wrapped = 0;
  for (
    const { key_ref, user_id, key } of file.keys as { key_ref?: unknown; user_id?: unknown; key?: unknown }[]
  ) {
    const ref = typeof key_ref === "string" && key_ref !== ""
      ? key_ref
      : typeof user_id === "string" && user_id !== ""
      ? `user.${user_id}`
      : fail("a key has no reference");
    if (ref.startsWith("dek.")) wrapped++;
    else keys.push({ ref, value: decode(key) ?? fail(`"${ref}" is not base64`) });
  }
  for (const { ref, value } of keys) checkKey(ref, value, "Cannot import the keys");
  return { keys, wrapped };
}

function decode(text: unknown): Uint8Array | undefined {
  try {
    return typeof text === "string" ? Uint8Array.fromBase64(text) : undefined;
  } catch {
    return undefined;
  }
}

const ALGORITHM = "builtin-xchacha20-poly1305-v1";

/** Throws {@linkcode IntegrityError} for a reference or a value that Chatto would refuse. */
export function checkKey(ref: string, value: Uint8Array, what: string): void {
  const fail = (why: string): never => {
    throw new IntegrityError(`${what}: "${ref}" ${why}. Nothing was written`);
  };
  if (!/^(?:kek|user)\.[A-Za-z0-9_=/-]+$/.test(ref)) fail("is neither a kek.* nor a user.* key");
  if (value.length === 32) return;
  if (ref.startsWith("user.")) fail(`has ${value.length} bytes, not 32`);
  const text = new TextDecoder("latin1").decode(value);
  // The protobuf record: field 1, 32 bytes of key; field 2, the algorithm.
  const sound = text.startsWith("\n ") &&
    text.slice(34) === `\x12${String.fromCharCode(ALGORITHM.length)}${ALGORITHM}`;
  if (!sound) fail("is not a key record that Chatto knows");
}
