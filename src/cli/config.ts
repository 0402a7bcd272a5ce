/**
 * `deno task config`
 *
 * @module
 */
import { object } from "@optique/core/constructs";
import { type Command, command } from "../cli.ts";
import { ConfigError, messageOf } from "../errors.ts";
import { isS3 } from "../store/check.ts";
import { outputArgs, planArgs, toggle } from "./args.ts";
import { choosePlans, eachPlan, keysFrom, whereOf } from "./choose.ts";
import { describeJob, publicConfig } from "./describe.ts";
import { EXIT } from "./exit.ts";
import { permissionsOf } from "./permissions.ts";

/** The command. */
export const configCommand: Command = command({
  name: "config",
  usage: "[--config FILE] [--plan NAME] [OPTION...]",
  brief: "Checks a configuration and prints what its plans come to.",
  about: [
    "Standard output: every plan with its defaults filled in and its paths absolute. --json: an object a plan with plan, file, stages, " +
    "stores, config, error. --permissions: the command line that runs the plan's backup with no more than it needs.",
    "For a TypeScript plan --permissions makes a dry run and writes down what it used; a program the plan starts is to be added " +
    "to --allow-run by hand. --iam: for each bucket of the plan an object with store, policy and lifecycle: the smallest rights its " +
    "keys need, and the rule that ends noncurrent versions and unfinished uploads.",
  ],
  examples: [
    "deno task config",
    "deno task config --config /etc/holdfast/backup.toml --plan app --permissions",
    "deno task config --json | jq .config",
  ],
  parser: object({
    permissions: toggle("--permissions", "Print the narrow command line instead"),
    iam: toggle("--iam", "Print the IAM policy and the lifecycle rule of each bucket instead"),
    ...planArgs,
    ...outputArgs,
  }),
  run: async (args, cli) => {
    const choices = await choosePlans(args, cli, keysFrom({ identity: [] }, cli), { many: true });
    if (!choices) {
      throw new ConfigError(
        `Cannot find a configuration: ${cli.folder} holds no backup.toml. Pass --config FILE`,
      );
    }
    const failed = (plan: string, error: unknown): void => {
      if (args.json) cli.terminal.out(JSON.stringify({ plan, error: messageOf(error) }));
    };
    return await eachPlan(choices, cli, async (job) => {
      if (args.iam) {
        const buckets = job.plan.shelf?.stores.filter(isS3) ?? [];
        if (buckets.length === 0) cli.terminal.err(`"${job.name}" has no bucket (s3:) among its targets`);
        for (const store of buckets) {
          const documents = { store: store.url, policy: store.policy(), lifecycle: store.lifecycle() };
          cli.terminal.out(JSON.stringify(documents, undefined, 2));
        }
      } else if (args.permissions) cli.terminal.out(await permissionsOf(job, cli.signal));
      else if (args.json) {
        const stages = job.plan.stages.map(({ name }) => name);
        cli.terminal.out(
          JSON.stringify({
            plan: job.name,
            file: job.file,
            stages,
            stores: whereOf(job),
            config: publicConfig(job),
          }),
        );
      } else for (const line of describeJob(job)) cli.terminal.out(line);
      return EXIT.complete;
    }, failed);
  },
});
