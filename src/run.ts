/**
 * Running a plan forward: `backup`, and its retention alone: `retain`.
 *
 * @module
 */
import { makeContext, type RunOptions } from "./context.ts";
import { type Plan, receiptOf, shelfOf } from "./find.ts";
import type { BackupReceipt } from "./receipt.ts";
import type { Verdict } from "./stage.ts";

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

/**
 * Runs a plan. Resolves only when a restorable backup lies in at least one target; a target that failed is in `copies`.
 * Throws the first failure otherwise, labelled with the stage it came from, and leaves nothing behind.
 */
export async function backup(plan: Plan, options: RunOptions = {}): Promise<BackupResult> {
  const context = { ...makeContext(options), shelf: plan.shelf };
  const stored = await plan.run(undefined, context);
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
