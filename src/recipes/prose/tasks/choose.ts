/**
 * Which plan is Prose's, and arguments that its commands share.
 *
 * @module
 */
import type { Cli } from "../../../cli.ts";
import { type ChoiceArgs, choosePlans, keysFrom } from "../../../cli/choose.ts";
import { ConfigError } from "../../../errors.ts";
import type { Job } from "../../../job.ts";
import { monitor, monitoringOf } from "../../../monitor.ts";
import { optionsOf, prosePlan, type ProsePlanOptions } from "../plan.ts";

/** A plan of Prose's that can be made anew for one run. */
export interface ProseJob extends Job {
  /** What it was made of. */
  readonly options: ProsePlanOptions;
  /** The same plan, watched in the same way, with some options of this run. */
  readonly remade: (more: Partial<ProsePlanOptions>) => Job;
}

/** Prose's plan in the configuration that counts. Throws {@linkcode ConfigError} when there is none. */
export async function proseJob(args: ChoiceArgs, cli: Cli): Promise<ProseJob> {
  const choices = await choosePlans(args, cli, keysFrom({ identity: [] }, cli), {});
  if (!choices) {
    throw new ConfigError(
      `Cannot find a configuration: ${cli.folder} holds no backup.toml. Pass --config FILE; a plan of Prose's is ` +
        'collect = { prose = { unit = "prosody.service" } }',
    );
  }
  const job = await choices[0]!.open();
  const options = optionsOf(job.plan);
  if (!options) {
    throw new ConfigError(
      `Cannot use the plan "${job.name}": it is not one of Prose's. Name one that collects prose with --plan`,
    );
  }
  const remade = (more: Partial<ProsePlanOptions>): Job => ({
    ...job,
    plan: monitor(prosePlan({ ...options, ...more }), monitoringOf(job.plan)),
  });
  return { ...job, options, remade };
}
