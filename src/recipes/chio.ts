/**
 * Chio: its surfaces backed up and restored, its receipt stores verified offline; see the README.
 *
 * @module
 */
export { type ChioFinding, type ChioReport, type ChioVerifyOptions, verifyChioStore } from "./chio/verify.ts";
export type { Watermarks } from "./chio/watermarks.ts";
export { type ChioReceiptsOptions, receipts } from "./chio/receipts.ts";
export { authority, type ChioAuthorityOptions } from "./chio/authority.ts";
export { type ChioRevocationsOptions, revocations } from "./chio/revocations.ts";
export { type ChioPoliciesOptions, federation, policies, state } from "./chio/trust.ts";
export {
  type Accept,
  type chio,
  type ChioStage,
  type ExternalKey,
  type Extra,
  type Surface,
} from "./chio/surface.ts";
export {
  type ChioBackup,
  chioBackup,
  type ChioBackupOptions,
  chioRestore,
  type ChioRestoreOptions,
} from "./chio/run.ts";
export type { AfterRestore } from "./chio/after.ts";
export { type Peer, peersIn, type PeerState } from "./chio/peers.ts";
export type { KnownHead } from "./chio/heads.ts";
export { type ChioAnchor, chioHead, readAnchors, writeAnchor } from "./chio/anchor.ts";
export { publishHead } from "./chio/publish.ts";
