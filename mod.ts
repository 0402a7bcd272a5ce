/**
 * Holdfast: backups as a chain of small typed stages, and restores as the same chain run backwards.
 *
 * ```ts
 * import { archive, backup, collect, compress, encrypt, pipeline, sign, store, upload } from "@holdfast/backup";
 *
 * const nightly = pipeline(collect.files("/srv/app", { exclude: ["cache/**"] }))
 *   .pipe(archive.tar())
 *   .pipe(compress.zstd({ level: 3 }))
 *   .pipe(encrypt.plaintext())
 *   .pipe(sign.sha256())
 *   .pipe(upload({ name: "app", to: store.directory("/var/backups") }));
 * if (import.meta.main) await backup(nightly);
 * ```
 *
 * Everything it stores opens with stock tools; `restore`, `list`, `verify`, `drill`, `retain` and `cat` take the same plan.
 *
 * @module
 */

/** Verb 1, void to Files: where the data comes from. */
export * as collect from "./src/collect/mod.ts";
/** Verb 2, Files to Archive: entries to one stream. */
export * as archive from "./src/archive/mod.ts";
/** Verb 3, Archive to Archive: smaller. */
export * as compress from "./src/compress/mod.ts";
/** Verb 4, Archive to Sealed: only who holds the identity can read it. */
export * as encrypt from "./src/encrypt/mod.ts";
/** Verb 5, Sealed to Sealed: detached checksums and signatures. */
export * as sign from "./src/sign/mod.ts";
/** The stores that verb 6, upload, writes to. */
export * as store from "./src/store/mod.ts";
export { upload, type UploadOptions } from "./src/upload/mod.ts";
export { type Candidate, type Decision, keep, planDigest, type Policy, prune } from "./src/prune/mod.ts";

/** Telling people and machines how a run went. */
export * as notify from "./src/notify/mod.ts";
export type { EventKind, EventTask, Notifier, RunEvent } from "./src/notify/event.ts";

/** The recipe for naras: their events as a source, and back. */
export * as nara from "./src/recipes/nara.ts";

/** The recipe for Chio: its surfaces backed up and restored, its receipt stores verified offline. */
export * as chio from "./src/recipes/chio.ts";

/** Database servers by their own programs: dumps that are read to their end before they are stored, and back. */
export * as databases from "./src/recipes/databases.ts";

/** Chatto's own backups: archives that `chatto restore` takes, its restore, its keys. */
export * as chatto from "./src/recipes/chatto.ts";

/** The recipe for Prose: a pod's data by its own design, and the lifecycle service. */
export * as prose from "./src/recipes/prose.ts";

export { pipeline } from "./src/pipeline.ts";
export { follow, type Followed, type FollowOptions } from "./src/follow.ts";
export { backup, type BackupOptions, type BackupResult, retain, type RetainOptions } from "./src/run.ts";
export { restore, type RestoreOptions, type RestoreResult } from "./src/restore.ts";
export { list, type ListItem, type ListOptions } from "./src/list.ts";
export {
  compare,
  type CompareOptions,
  type CompareResult,
  copy,
  type CopyOptions,
  type CopyResult,
  type CopyStep,
  type CopyTrouble,
  type Difference,
  type Disagreement,
} from "./src/copy/mod.ts";
export { verify, type VerifyOptions, type VerifyResult } from "./src/verify.ts";
export { chain, type ChainOptions, type ChainResult } from "./src/chain.ts";
export { drill, type DrillOptions, type DrillResult } from "./src/drill.ts";
export type { Phases } from "./src/phases.ts";
export { health, type HealthOptions, type HealthResult } from "./src/health.ts";
export type { HealthLimits } from "./src/health/limits.ts";
export type { Finding, FindingCode } from "./src/health/finding.ts";
export { monitor, type MonitoredPlan, type Monitoring } from "./src/monitor.ts";
export { type Measure, type Report, report, type ReportOptions } from "./src/report.ts";
export type { BackupPoint, DrillPoint, History } from "./src/report/history.ts";
export type { Targets } from "./src/report/targets.ts";
export { reportPage } from "./src/report/html.ts";
export { type BackupKeys, keys, type KeysOptions, type KeysResult, type KeyUse } from "./src/keys.ts";
export { reencrypt } from "./src/rotate/reencrypt.ts";
export { forget } from "./src/rotate/forget.ts";
export type { ForgetOptions, ReencryptOptions, RotateResult, RotateStep } from "./src/rotate/result.ts";
export { cat } from "./src/cat.ts";
export { type CheckOptions, checkProven, type EntryProof, prove } from "./src/prove.ts";
export { sinceLastBackup, type SinceOptions } from "./src/since.ts";
export type { Plan } from "./src/find.ts";
export type { RunOptions } from "./src/context.ts";
export type { ShelfState } from "./src/catalog.ts";
export { decodeReceipt } from "./src/receipt.ts";
export type {
  BackupReceipt,
  ProofReceipt,
  PruneReceipt,
  Receipt,
  ReceiptHead,
  ReceiptObject,
  ReceiptRef,
} from "./src/receipt.ts";
export * from "./src/errors.ts";
export type * from "./src/stage.ts";
