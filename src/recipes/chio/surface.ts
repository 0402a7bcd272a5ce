/**
 * What of Chio is kept apart: six surfaces, each a source with its own key and retention, in the order that is safe to take them in.
 *
 * @module
 */
import type { KnownHead } from "./heads.ts";
import type { Files, Part, Pipeline, SourceFact, Stage, Stored } from "../../stage.ts";
import { pipeline } from "../../pipeline.ts";

/**
 * The surfaces in their safe order. Receipts come first: what is recorded later only explains more of them. The authority comes with
 * its seed, so that no key is missing that something before it was signed with. Revocations come last: newer ones never hurt.
 */
export const SURFACES = [
  "receipts",
  "policies",
  "federation",
  "authority",
  "state",
  "revocations",
] as const;

/** One of them. */
export type Surface = typeof SURFACES[number];

/**
 * What is otherwise refused, and is to be taken as it is: "rollback" (numbers that went down, another chain than in the backup before,
 * revocations or rotations that are gone), "identity" (another signing key than recorded), "fork" (a chain that contradicts a known head).
 */
export type Accept = "rollback" | "identity" | "fork";

/** A key that cannot be copied, in a key service or a module: recorded, never stored. */
export interface ExternalKey {
  /** What its keeper calls it: "arn:aws:kms:eu-central-1:1:key/5", "pkcs11:object=chio". */
  readonly id: string;
  /** Its public key as Chio writes it. */
  readonly publicKey: string;
}

/** What one run adds to a source that a plan made. */
export interface Extra {
  /** What is not refused. */
  readonly accept?: readonly Accept[] | undefined;
  /** A newer revocation database, whose rows a restored one gets. */
  readonly merge?: string | undefined;
  /** Heads of the chain that are known from elsewhere. */
  readonly heads?: readonly KnownHead[] | undefined;
  /** Told what was restored, before it takes its place. */
  readonly tell?: ((part: Readonly<Record<string, unknown>>) => void) | undefined;
}

/** Key of what a source of Chio's says of itself. */
export const chio: unique symbol = Symbol("chio");

/** A source of Chio's. */
export interface ChioStage extends Stage<void, Files> {
  /** What it is. */
  readonly [chio]: {
    /** Which surface. */
    readonly surface: Surface;
    /** Its databases, absolute: nobody may have them open when they are restored. */
    readonly databases: readonly string[];
    /** The same source with what one run adds. */
    readonly again: (extra: Extra) => ChioStage;
  };
}

/** Whether a stage is a source of Chio's. */
export function isChio(stage: Part | undefined): stage is ChioStage {
  return stage !== undefined && chio in stage;
}

/** The source of a plan, if it is one of Chio's. */
export function surfaceOf(plan: Pipeline<void, Stored>): ChioStage[typeof chio] | undefined {
  const [first] = plan.stages;
  return isChio(first) ? first[chio] : undefined;
}

/** The same plan with what one run adds to its source. Throws TypeError for another plan. */
export function planWith(plan: Pipeline<void, Stored>, extra: Extra): Pipeline<void, Stored> {
  const said = surfaceOf(plan);
  if (!said) {
    throw new TypeError("Cannot use the plan: its source is none of Chio's (chio.receipts and its kin)");
  }
  // The types between stages are gone once they are in one list.
  let chain = pipeline(said.again(extra)) as unknown as Pipeline<void, never>;
  for (const stage of plan.stages.slice(1)) chain = chain.pipe(stage as unknown as Stage<never, never>);
  return chain as unknown as Pipeline<void, Stored>;
}

/** Plans in the safe order of their surfaces. */
export function inOrder<T>(items: readonly T[], surface: (item: T) => Surface): readonly T[] {
  return items.toSorted((a, b) => SURFACES.indexOf(surface(a)) - SURFACES.indexOf(surface(b)));
}

/** A source's facts. */
export function chioFact(
  surface: Surface,
  cutMs: number,
  facts: Readonly<Record<string, unknown>>,
): SourceFact {
  return { tool: "chio", cutAt: new Date(cutMs).toISOString(), facts: { surface, ...facts } };
}

/** The facts that a backup's sources recorded of a surface. */
export function factsOf(
  sources: readonly SourceFact[],
  surface: Surface,
): { readonly cutAt: string; readonly facts: Readonly<Record<string, unknown>> } | undefined {
  return sources.find(({ tool, facts }) => tool === "chio" && facts.surface === surface);
}

/** Checks keys that are recorded. Throws TypeError. */
export function checkKeys(keys: readonly ExternalKey[]): readonly ExternalKey[] {
  for (const { id, publicKey } of keys) {
    if (typeof id === "string" && id !== "" && /^(?:p(?:256|384):)?[0-9a-f]{64,}$/.test(publicKey)) continue;
    throw new TypeError(
      `Cannot record the key ${
        JSON.stringify(id)
      }: give { id, publicKey }, the public key in hexadecimal as Chio writes it`,
    );
  }
  return keys;
}
