/**
 * The same plan on another store.
 *
 * @module
 */
import { type Plan, shelfOf } from "../find.ts";
import { pipeline } from "../pipeline.ts";
import type { LeaseTimes, Part, Pipeline, Store } from "../stage.ts";
import { upload } from "../upload/mod.ts";

/** The plan with its upload to `store` alone; everything else is its own. The plan's stores are not touched. */
export function retarget(plan: Plan, store: Store, lease?: LeaseTimes): Plan {
  const { name, naming, require } = shelfOf(plan);
  const [first, ...rest] = flat(plan.stages).map((stage) =>
    stage.verb === "upload" ? upload({ name, naming, require, lease, to: store }) as Part : stage
  );
  let chain: Pipeline<unknown, unknown> = pipeline(first!);
  for (const stage of rest) chain = chain.pipe(stage);
  return chain as unknown as Plan;
}

/** A chain may stand as a stage in another. */
function flat(stages: readonly Part[]): readonly Part[] {
  return stages.flatMap((stage) =>
    "stages" in stage ? flat((stage as Pipeline<unknown, unknown>).stages) : [stage]
  );
}
