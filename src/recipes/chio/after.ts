/**
 * The list after a restore: what is to be done before Chio serves, for people and for programs.
 *
 * @module
 */
import type { Context } from "../../stage.ts";
import { comparePeers, type Peer, type PeerState } from "./peers.ts";

/** What a restore of Chio ends with. */
export interface AfterRestore {
  /** The format. */
  readonly schema: "holdfast.chio-restore.v1";
  /** What was restored: surface, backup, and when it was cut. */
  readonly restored: readonly Readonly<Record<string, unknown>>[];
  /** The chain: its head, what no checkpoint covers yet, and whether going on would fork it. Absent when no receipts were restored. */
  readonly chain?: unknown;
  /** How old the revocations are in seconds, and what was merged. Absent when none were restored. */
  readonly revocations?: Readonly<Record<string, unknown>> | undefined;
  /** Every pinned peer, and what is to be done about it. */
  readonly peers: readonly PeerState[];
  /** Public keys of the restored seeds and of the authority. */
  readonly identity: readonly string[];
  /** Keys that are in no backup, by id and public key. */
  readonly externalKeys: readonly unknown[];
  /** Public keys that belong into CHIO_TRUSTED_ISSUER_KEYS. */
  readonly trustedIssuers: readonly string[];
  /** What to do, in this order. */
  readonly todo: readonly string[];
}

type Part = Readonly<Record<string, unknown>>;

/** Makes the list from what the surfaces told. Warns of keys that differ. */
export function afterRestore(
  parts: readonly Part[],
  { peerKeys }: { readonly peerKeys?: readonly Peer[] | undefined },
  { now, log }: Context,
): AfterRestore {
  const part = (surface: string): Part | undefined => parts.find((one) => one.surface === surface);
  const peers = comparePeers((part("federation")?.peers ?? []) as readonly Peer[], peerKeys);
  for (const { kernelId, expected } of peers.filter(({ state }) => state === "differs")) {
    log.warn(
      "peer",
      `The restored key of the peer "${kernelId}" is not the one of today, ${expected}: pin it anew`,
    );
  }
  const list = {
    schema: "holdfast.chio-restore.v1",
    restored: parts.map(({ surface, id, cutAt, path, archives }) => ({ surface, id, cutAt, path, archives })),
    ...(part("receipts") && { chain: part("receipts")!.chain }),
    ...(part("revocations") && { revocations: staleness(part("revocations")!, now) }),
    peers,
    identity: (part("authority")?.identity ?? []) as readonly string[],
    externalKeys: parts.flatMap(({ externalKeys }) => (externalKeys ?? []) as readonly unknown[]),
    trustedIssuers: (part("policies")?.trustedIssuers ?? []) as readonly string[],
  } as const;
  return { ...list, todo: [...todoOf(list, part("state") !== undefined)] };
}

function staleness({ cutAt, newestAt, count, merged }: Part, now: Date): Part {
  const seconds = typeof cutAt === "string"
    ? Math.max(0, Math.round((now.getTime() - Date.parse(cutAt)) / 1000))
    : null;
  return { cutAt: cutAt ?? null, stalenessSeconds: seconds, newestAt, count, merged };
}

function* todoOf(list: Omit<AfterRestore, "todo">, state: boolean): Generator<string, void, undefined> {
  const { chain, revocations, peers, externalKeys, identity, trustedIssuers } = list;
  if ((chain as { fork?: boolean } | undefined)?.fork) {
    yield "Do not serve yet: the chain would fork. Look for a newer copy of the receipts, or tell those who verify the chain";
  }
  if (revocations && revocations.merged === null) {
    yield `Bring the revocations up to date: they are ${
      revocations.stalenessSeconds ?? "an unknown number of"
    } seconds old`;
  }
  if (peers.some((peer) => peer.state === "differs")) {
    yield "Pin the peers whose keys differ anew, after asking them";
  }
  if (peers.length > 0) yield `Do a new handshake with ${peers.length} peers: pins are lost with the process`;
  if (identity.length > 0) yield `Check that Chio starts with the identity ${identity.join(", ")}`;
  if (externalKeys.length > 0) {
    yield `Give Chio access to the ${externalKeys.length} keys that are in no backup`;
  }
  if (trustedIssuers.length > 0) yield "Set CHIO_TRUSTED_ISSUER_KEYS to the trusted issuers";
  if (state) yield "Compare budgets and nonces with what happened since: an older copy gives spent ones back";
  yield "Report generation anchors, if this deployment has them: Chio refuses a store that is behind its anchor, and no tool may move it";
}
