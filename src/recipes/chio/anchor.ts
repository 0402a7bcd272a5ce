/**
 * Anchors: the head of a chain, written where the host cannot take it back.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { readAll, sha256, text, utf8 } from "../../bytes.ts";
import { ExistsError, IntegrityError, messageOf, NotFoundError } from "../../errors.ts";
import { checkName } from "../../name.ts";
import type { Store } from "../../stage.ts";
import { type Head, type KnownHead, newestHead } from "./heads.ts";
import { canonical, isObject, type JsonObject, parseObject } from "./json.ts";
import { textOf } from "./receipt.ts";
import { checkSignature } from "./signature.ts";

/** A head with the kernel's signature: whoever holds it can check every later store against it. */
export interface ChioAnchor {
  /** The checkpoint's number. */
  readonly seq: bigint;
  /** The digest of its body. */
  readonly sha256: string;
  /** What the kernel signed: the canonical body. */
  readonly body: string;
  /** The signature, hexadecimal. */
  readonly signature: string;
  /** The kernel's key, hexadecimal. */
  readonly key: string;
}

/** The head of a live store, which is only read. Throws {@linkcode NotFoundError} without a checkpoint, {@linkcode IntegrityError} for a bad one. */
export function chioHead(path: string): ChioAnchor {
  const head = newestHead(path);
  if (!head) {
    throw new NotFoundError(
      `Cannot anchor "${path}": it has no checkpoint yet. Let the kernel make one (chio receipt checkpoint create)`,
    );
  }
  if (head.faults.length > 0) {
    throw new IntegrityError(
      `Cannot anchor "${path}": checkpoint ${head.seq} is not sound: ${head.faults.join("; ")}`,
    );
  }
  return anchorOf(head);
}

function anchorOf({ seq, sha256, body, signature, key }: Head): ChioAnchor {
  return { seq, sha256, body: canonical(body), signature, key };
}

/** The anchor's text: the checkpoint as Chio writes signed ones, body and signature. */
export function anchorText({ body, signature }: ChioAnchor): string {
  return canonical({ body: parseObject(body), signature });
}

/**
 * Writes a head to a store as `<name>.checkpoint_<number>_<digest>.json`, never over another object: with Object Lock on the bucket it
 * stays whatever happens to this host. Writing the same head again is fine. Gives the key.
 */
export async function writeAnchor(store: Store, anchor: ChioAnchor, name = "chio"): Promise<string> {
  const key = `${prefixOf(name)}${String(anchor.seq).padStart(20, "0")}_${anchor.sha256.slice(0, 16)}.json`;
  try {
    await store.put(key, utf8(anchorText(anchor)), { ifAbsent: true });
  } catch (error) {
    if (!(error instanceof ExistsError)) throw error;
    await readAnchor(store, key);
  }
  return key;
}

/** All heads that were written to a store under `name`, each with its signature checked; oldest first. With `empty` there may be none. */
export async function readAnchors(
  store: Store,
  name = "chio",
  { empty = false }: { readonly empty?: boolean | undefined } = {},
): Promise<readonly KnownHead[]> {
  // A folder is made by the first thing that is written to it.
  if (empty && store.folder !== undefined && !existsSync(store.folder)) return [];
  const heads: KnownHead[] = [];
  for await (const { key } of store.list(prefixOf(name))) heads.push(await readAnchor(store, key));
  if (heads.length > 0 || empty) return heads;
  throw new NotFoundError(
    `Cannot find an anchor called "${name}" in ${store.url}. Check the store, or write one with chio:anchor`,
  );
}

async function readAnchor(store: Store, key: string): Promise<KnownHead> {
  try {
    const { body, signature } = parseObject(text(await readAll(await store.get(key), 1 << 20, key)));
    if (!isObject(body)) throw new SyntaxError("it has no body");
    const said = canonical(body);
    if (checkSignature(textOf(body.kernel_key), textOf(signature), said) !== "good") {
      throw new SyntaxError("its signature is not its kernel's");
    }
    return { seq: seqOf(body), sha256: sha256(utf8(said)), from: `the anchor "${key}"` };
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
    throw new IntegrityError(`Cannot trust the anchor "${key}" in ${store.url}: ${messageOf(cause)}`, {
      cause,
    });
  }
}

function seqOf({ checkpoint_seq }: JsonObject): bigint {
  if (typeof checkpoint_seq === "bigint") return checkpoint_seq;
  throw new SyntaxError("it has no checkpoint_seq");
}

function prefixOf(name: string): string {
  checkName(name);
  return `${name}.checkpoint_`;
}
