/**
 * Who can read what a plan makes.
 *
 * @module
 */
import { bodyOf } from "./bytes.ts";
import type { Plan } from "./find.ts";
import type { Archive, Context, Sealed } from "./stage.ts";

/** Who could read a backup made now: nobody in particular where it is not encrypted. Throws what the encrypt stage throws when it is run. */
export async function recipientsOf(plan: Plan, context: Context): Promise<readonly string[]> {
  const stage = plan.stages.find(({ verb }) => verb === "encrypt");
  const empty: Archive = {
    kind: "archive",
    suffix: ".tar",
    body: bodyOf(new Uint8Array(0)),
    facts: () => ({ sources: [], stages: [] }),
  };
  const sealed = await stage?.run(empty, context) as Sealed | undefined;
  return sealed?.facts().recipients ?? [];
}
