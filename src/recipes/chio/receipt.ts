/**
 * One receipt, checked offline: of both generations of the program, tool calls and child requests.
 *
 * @module
 */
import { sha256, utf8 } from "../../bytes.ts";
import { messageOf } from "../../errors.ts";
import { canonical, isObject, type Json, type JsonObject, parseObject, without } from "./json.ts";
import { checkSignature } from "./signature.ts";

/** What a receipt's text says. */
export interface CheckedReceipt {
  /** The leaf of its checkpoint's tree: the canonical text of the whole receipt; undefined when it cannot be read. */
  readonly leaf: string | undefined;
  /** Its members. */
  readonly body: JsonObject;
  /** The key that signed it. */
  readonly key: string;
  /** Whether the signature is of an algorithm that is not known here. */
  readonly unsupported: boolean;
  /** What is wrong. */
  readonly faults: readonly string[];
  /** What is odd, and covered by the signature. */
  readonly oddities: readonly string[];
}

/** Checks the text of a receipt. Never throws. */
export function checkReceipt(text: string): CheckedReceipt {
  let body: JsonObject;
  try {
    body = parseObject(text);
  } catch (error) {
    const faults = [`it cannot be read: ${messageOf(error)}`];
    return { leaf: undefined, body: {}, key: "", unsupported: false, faults, oddities: [] };
  }
  const key = textOf(body.kernel_key);
  const signature = textOf(body.signature);
  const faults: string[] = [];
  const oddities: string[] = [];
  // RFC 8785 first, then the older escapes.
  const tries = [false, true].map((older) => checkSignature(key, signature, signedText(body, older)));
  const older = tries[0] !== "good" && tries[1] === "good";
  const unsupported = tries[0] === "unsupported";
  if (!unsupported && !tries.includes("good")) faults.push("its signature is not its key's");
  if (isCurrent(body) && idOf(body, older) !== body.id) {
    faults.push("its id is not the digest of its content");
  }
  const odd = parameterFault(body, older);
  if (odd) oddities.push(odd);
  return { leaf: canonical(body, older), body, key, unsupported, faults, oddities };
}

/** Later versions name the kind of receipt, and sign the id beside the body. */
function isCurrent(body: JsonObject): boolean {
  return body.receipt_kind !== undefined;
}

function signedText(body: JsonObject, older: boolean): string {
  if (!isCurrent(body)) return canonical(without(body, "signature", "algorithm"), older);
  const inner = without(body, "id", "signature", "algorithm", "bbs_signature");
  const bbs: JsonObject = body.bbs_signature === undefined ? {} : { bbs_signature: body.bbs_signature };
  return canonical({ body: inner, id: body.id ?? null, ...bbs }, older);
}

function idOf(body: JsonObject, older: boolean): string {
  return sha256(utf8(canonical(without(body, "id", "signature", "algorithm", "bbs_signature"), older)));
}

function parameterFault(body: JsonObject, older: boolean): string | undefined {
  if (!isObject(body.action)) return undefined;
  const { parameters, parameter_hash } = body.action;
  return parameters !== undefined && sha256(utf8(canonical(parameters, older))) === parameter_hash
    ? undefined
    : "its parameter_hash is not the digest of its parameters (signed so)";
}

/** The value of a text member; "" for anything else. */
export function textOf(value: Json | undefined): string {
  return typeof value === "string" ? value : "";
}
