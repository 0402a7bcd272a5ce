/**
 * What the backup before says of the same surface: the next one must not fall behind it.
 *
 * @module
 */
import { newestComplete, readCatalog } from "../../catalog.ts";
import { IntegrityError } from "../../errors.ts";
import { readReceipt } from "../../ledger.ts";
import type { Context } from "../../stage.ts";
import { factsOf, type Surface } from "./surface.ts";
import type { Watermarks } from "./watermarks.ts";

/** What was recorded, and by which backup. */
export interface Recorded {
  /** The backup's file name. */
  readonly id: string;
  /** What it recorded. */
  readonly facts: Readonly<Record<string, unknown>>;
}

/** The newest recorded facts of a surface in the run's stores; undefined for the first backup. Signatures count as the plan pins them. */
export async function previousOf(
  { shelf, log }: Context,
  surface: Surface,
): Promise<Recorded | undefined> {
  let newest: (Recorded & { readonly time: number }) | undefined;
  for (const store of shelf?.stores ?? []) {
    const found = newestComplete(await readCatalog(store, shelf!));
    if (!found || (newest && newest.time >= found.time.getTime())) continue;
    const { receipt } = await readReceipt(store, found.id, shelf!);
    const said = receipt.event === "backup" ? factsOf(receipt.sources, surface) : undefined;
    if (said) newest = { id: found.id, time: found.time.getTime(), facts: said.facts };
  }
  if (shelf && !newest) log.info(`The first backup of ${surface}: there is nothing to compare it with`);
  return newest;
}

/** Watermarks as a receipt keeps them: 64-bit numbers as texts. */
export function writeMarks(
  { entries, tools, children, head }: Watermarks,
): Readonly<Record<string, unknown>> {
  const numbers = { entries: `${entries}`, tools: `${tools}`, children: `${children}` };
  return head
    ? { ...numbers, head: { seq: `${head.seq}`, sha256: head.sha256, end: `${head.end}` } }
    : numbers;
}

/** The way back. Throws {@linkcode IntegrityError} for what no backup of ours recorded. */
export function readMarks(value: unknown): Watermarks {
  const { entries, tools, children, head } = (value ?? {}) as Readonly<Record<string, unknown>>;
  const marks = { entries: whole(entries), tools: whole(tools), children: whole(children) };
  if (head === undefined) return marks;
  const { seq, sha256, end } = head as Readonly<Record<string, unknown>>;
  if (typeof sha256 !== "string") throw strange();
  return { ...marks, head: { seq: whole(seq), sha256, end: whole(end) } };
}

function whole(value: unknown): bigint {
  if (typeof value === "string" && /^\d{1,20}$/.test(value)) return BigInt(value);
  throw strange();
}

function strange(): IntegrityError {
  return new IntegrityError(
    "Cannot read the numbers that a backup recorded of Chio: they are not what Holdfast writes",
  );
}
