/**
 * Running a plan forward: `backup`, and its retention alone: `retain`.
 *
 * @module
 */
import { makeContext, type RunOptions } from "./context.ts";
import { recipientsOf } from "./recipients.ts";
import { type Plan, receiptOf, shelfOf } from "./find.ts";
import { formatBytes, several } from "./bytes.ts";
import { monitoringOf } from "./monitor.ts";
import { announced, type Outcome } from "./notify/announce.ts";
import type { Notifier } from "./notify/event.ts";
import type { BackupReceipt } from "./receipt.ts";
import type { Verdict } from "./stage.ts";
import { settled } from "./underway.ts";

/** What a backup did. */
export interface BackupResult {
  /** The archive's file name. */
  readonly id: string;
  /** The run's id. */
  readonly run: string;
  /** The receipt (of the first target; others differ at most in their parents). */
  readonly receipt: BackupReceipt;
  /** Every target, with its error if it has no copy. */
  readonly copies: readonly { readonly store: string; readonly error?: Error | undefined }[];
  /** Warnings by kind. */
  readonly warnings: Readonly<Record<string, number>>;
  /** What retention decided. */
  readonly verdicts: readonly Verdict[];
  /** "warnings" when something is missing or a target failed. */
  readonly status: "complete" | "warnings";
}

/** What a backup takes. */
export interface BackupOptions extends RunOptions {
  /** Who is told of the start and the end. Default: whom the plan's `monitor` names. */
  readonly notify?: readonly Notifier[] | undefined;
  /** With `collect.files({ since })`: read every file and compare its content. Default: as the collector's options say. */
  readonly rehash?: boolean | undefined;
}

/**
 * Runs a plan, and tells its notifiers once at the start and once at the end. Resolves only when a restorable backup lies in at least one target; a target that failed is in `copies`.
 * Throws the first failure otherwise, labelled with the stage it came from, and leaves nothing behind.
 */
export async function backup(plan: Plan, options: BackupOptions = {}): Promise<BackupResult> {
  const notifiers = options.notify ?? monitoringOf(plan).notify ?? [];
  const subject = { task: "backup", plan: plan.shelf?.name ?? plan.name, log: options.log } as const;
  return await announced(notifiers, subject, () => make(plan, options), outcomeOf);
}

/** What a backup's result comes to, for notifiers. */
export function outcomeOf({ id, receipt, warnings, copies, verdicts, status }: BackupResult): Outcome {
  const { entries, bytes } = receipt.contents;
  const stored = receipt.objects[0]?.bytes ?? 0;
  const gone = verdicts.filter(({ keep }) => !keep).length;
  const text = [
    `${id}: ${several(entries, "entry", "entries")}, ${formatBytes(bytes)}, stored as ${formatBytes(stored)}`,
    ...copies.map(({ store, error }) => error ? `Not in ${store}: ${error.message}` : `In ${store}`),
    ...Object.entries(warnings).map(([kind, count]) => `Warnings (${kind}): ${count}`),
    ...(gone > 0 ? [`Removed by retention: ${gone}`] : []),
  ].join("\n");
  const kind = status === "complete" ? "success" : "warning";
  return { kind, text, id, bytes: stored, contentBytes: bytes, entries, warnings };
}

async function make(plan: Plan, options: BackupOptions): Promise<BackupResult> {
  const made = makeContext(options);
  const { rehash } = options;
  const context = { ...made, shelf: plan.shelf, rehash, recipients: () => recipientsOf(plan, made) };
  const stored = await plan.run(undefined, context).finally(() => settled(context.run));
  const receipt = receiptOf(stored);
  const warnings = { ...context.warnings() };
  return {
    id: stored.id,
    run: context.run,
    receipt,
    copies: [
      ...stored.copies.map(({ store }) => ({ store: store.url })),
      ...stored.failures.map(({ store, error }) => ({ store: store.url, error })),
    ],
    warnings,
    verdicts: stored.verdicts ?? [],
    status: Object.keys(warnings).length > 0 ? "warnings" : "complete",
  };
}

/** Options of {@linkcode retain}. */
export interface RetainOptions extends RunOptions {
  /** Remove. Default: false, it only decides. */
  readonly confirm?: boolean | undefined;
  /** `planDigest` of the verdicts that may be carried out; any other list is refused with StoreError, and nothing is removed. */
  readonly expect?: string | undefined;
}

/**
 * Applies the plan's retention without a backup. Without `confirm` it only decides. Refuses when the store changes between deciding
 * and removing. Throws TypeError when the plan has no prune stage.
 */
export async function retain(
  plan: Plan,
  options: RetainOptions = {},
): Promise<readonly Verdict[]> {
  if (!plan.retain) throw new TypeError("Cannot prune: the plan has no prune stage");
  const { confirm = false, expect } = options;
  return await plan.retain({ confirm, expect }, makeContext(options), shelfOf(plan));
}
