/**
 * Whether a run can store only what has changed, and since which backup.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { type Base, chainOf, newestBase, readsToo } from "../../base.ts";
import { findError, IntegrityError, messageOf, NotFoundError } from "../../errors.ts";
import type { BackupReceipt } from "../../receipt.ts";
import type { Context } from "../../stage.ts";
import type { Root } from "../extract.ts";
import { type CopyKey, readCopy } from "./copy.ts";
import type { Line } from "./line.ts";

/** When a full backup is made though it need not be. */
export interface FullRules {
  /** Of so many backups at least one is full. */
  readonly fullEvery: number;
  /** The most that the increments since the last full backup may take, as a share of what that took. */
  readonly fullShare: number;
}

/** What a run begins with. */
export interface Choice {
  /** The backup that it goes on from; undefined: it is a full one. */
  readonly base?: Base | undefined;
  /** How many increments there are between that and the full one. */
  readonly increments: number;
  /** What was there then. */
  readonly lines: Generator<Line, void, undefined>;
}

/** What tells one plan's copies from another's: name, stores and roots, and in a group who its members are. */
export function planKey(roots: readonly Root[], { shelf, within }: Context): string {
  const parts = [
    shelf?.name,
    shelf?.stores.map(({ url }) => url),
    roots.map(({ path, source }) => [path, source]),
    ...(within === undefined ? [] : [within]),
  ];
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 32);
}

/** No lines. */
export function* nothing(): Generator<Line, void, undefined> {}

/** Chooses, and says in the log why a backup is a full one. */
export async function chooseBase(key: CopyKey, rules: FullRules, context: Context): Promise<Choice> {
  const base = await newestBase(context);
  const found = base ? await goOn(base, key, rules, context) : FIRST;
  if (typeof found !== "string") return { base, ...found };
  context.log.info(`A full backup: ${found}`);
  return { increments: 0, lines: nothing() };
}

const FIRST = "there is no backup yet that is the newest in every store";

/** Or why not. */
async function goOn(
  { id, receipt }: Base,
  key: CopyKey,
  rules: FullRules,
  context: Context,
): Promise<Omit<Choice, "base"> | string> {
  const chains: (readonly BackupReceipt[])[] = [];
  for (const store of context.shelf!.stores) {
    try {
      chains.push(await chainOf(store, context.shelf!, id));
    } catch (error) {
      if (!findError(error, IntegrityError) && !findError(error, NotFoundError)) continue; // it cannot be reached, and gets no copy
      context.log.warn("base", `Nothing can build on "${id}" in ${store.url}: ${messageOf(error)}`);
      return "the one before cannot be built on";
    }
  }
  for (const chain of chains) {
    for (const receipt of chain) {
      if (!await readsToo(context, receipt)) return `a key that is to read it cannot read "${receipt.id}"`;
    }
    const why = ended(chain, rules);
    if (why !== undefined) return why;
  }
  if (!hasTree(receipt)) return `"${id}", the newest backup, was made without "since"`;
  const copy = readCopy(key, receipt.run);
  if (copy === "missing") {
    return `this host keeps no index of "${id}": it was made elsewhere or by another plan, or the copy in ${key.folder} is lost`;
  }
  if (copy === "damaged") return `the copy of the index of "${id}" in ${key.folder} is damaged`;
  return { increments: (chains[0]?.length ?? 1) - 1, lines: copy.lines };
}

/** Whether a backup was made by comparing, or to be compared with. */
function hasTree({ sources }: BackupReceipt): boolean {
  return sources.some(({ tool, facts }) => tool === "files" && facts.tree !== undefined);
}

/** Why a chain is not to grow any more. */
function ended(chain: readonly BackupReceipt[], { fullEvery, fullShare }: FullRules): string | undefined {
  if (chain.length >= fullEvery) return `one of ${fullEvery} is`;
  const sizes = chain.map(({ objects }) => objects.reduce((sum, { bytes }) => sum + bytes, 0));
  const full = sizes.pop()!;
  const grown = sizes.reduce((sum, bytes) => sum + bytes, 0);
  return grown > full * fullShare
    ? `the increments since the last full one take ${Math.round(100 * grown / full)} % of what that took`
    : undefined;
}
