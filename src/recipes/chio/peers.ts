/**
 * Pinned peers of a federation, as files hold them.
 *
 * @module
 */
import { isObject, type Json, parseJson } from "./json.ts";

/** A peer's key. */
export interface Peer {
  /** Its kernel's id. */
  readonly kernelId: string;
  /** Its public key. */
  readonly publicKey: string;
}

/**
 * The peers in a JSON text: objects with kernelId and publicKey, at any depth, or one object of keys by kernel id. None where it is no
 * JSON, or speaks of something else.
 */
export function peersIn(text: string): readonly Peer[] {
  let value: Json;
  try {
    value = parseJson(text);
  } catch {
    return [];
  }
  const found = [...walk(value, 0)];
  if (found.length > 0 || !isObject(value)) return found;
  const pairs = Object.entries(value);
  return pairs.every(([, key]) => typeof key === "string" && /^(?:p\d+:)?(?:0x)?[0-9a-fA-F]{64,}$/.test(key))
    ? pairs.map(([kernelId, publicKey]) => ({ kernelId, publicKey: String(publicKey) }))
    : [];
}

function* walk(value: Json, depth: number): Generator<Peer, void, undefined> {
  if (typeof value !== "object" || value === null || depth > 16) return;
  if (isObject(value) && typeof value.kernelId === "string" && typeof value.publicKey === "string") {
    yield { kernelId: value.kernelId, publicKey: value.publicKey };
    return;
  }
  for (const inner of Object.values(value)) yield* walk(inner as Json, depth + 1);
}

/** What is to be done about a restored pin. */
export interface PeerState extends Peer {
  /** Pins are lost with the process and end after hours: each peer needs a new handshake, after a look at the key where it "differs". */
  readonly state: "handshake" | "differs" | "not listed" | "new";
  /** The key of today, where it is another one. */
  readonly expected?: string | undefined;
}

/** Compares restored pins with the keys of today; without them every peer just needs a handshake. */
export function comparePeers(
  restored: readonly Peer[],
  today: readonly Peer[] | undefined,
): readonly PeerState[] {
  const keys = new Map(today?.map(({ kernelId, publicKey }) => [kernelId, publicKey]));
  const states = restored.map((peer): PeerState => {
    const expected = keys.get(peer.kernelId);
    keys.delete(peer.kernelId);
    if (!today) return { ...peer, state: "handshake" };
    if (expected === undefined) return { ...peer, state: "not listed" };
    return same(expected, peer.publicKey)
      ? { ...peer, state: "handshake" }
      : { ...peer, state: "differs", expected };
  });
  const more = [...keys].map(([kernelId, publicKey]): PeerState => ({ kernelId, publicKey, state: "new" }));
  return [...states, ...more];
}

function same(a: string, b: string): boolean {
  const plain = (key: string): string => key.toLowerCase().replace(/^((?:p\d+:)?)0x/, "$1");
  return plain(a) === plain(b);
}
