/**
 * `deno task health`
 *
 * @module
 */
import { object } from "@optique/core/constructs";
import { type Command, command } from "../cli.ts";
import { formatSpan } from "../duration.ts";
import { ConfigError, messageOf } from "../errors.ts";
import { shelfOf } from "../find.ts";
import { health, type HealthResult } from "../health.ts";
import { boundsOf, type HealthLimits } from "../health/limits.ts";
import type { Outcome } from "../notify/mod.ts";
import { telling } from "./announce.ts";
import { keyArgs, outputArgs, planArgs, shelfArgs, textOption } from "./args.ts";
import { eachPlan, failedAsJson, whereOf } from "./choose.ts";
import { EXIT, gravest } from "./exit.ts";
import { chooseShelves } from "./shelves.ts";
import { safe } from "./terminal.ts";
import { toldOf } from "./told.ts";

/** The command. */
export const healthCommand: Command = command({
  name: "health",
  usage: "[OPTION...]",
  brief: "Says whether backups are made, whole, everywhere, of a plausible size and drilled; for monitoring.",
  about: [
    "Standard output: a line a finding, with what to do; one line for a plan without any. --json: an object a plan with plan, exitCode, " +
    "name, status (healthy, warnings, problems), findings (code, level, message, next, store), newest, drilledAt, stores.",
    "Exit code: 0 healthy; 3 warnings (size, drill, unfinished, lock, key, clock); 5 problems (missing, old, behind, damaged, untrusted, " +
    "drill-failed); 1 when a store cannot be looked at. It asks for one listing of each store and a few small objects, needs no " +
    "identity, and proves nothing about bytes: that is for verify and drill.",
    "Limits: as the plan says in [plan.NAME.health], else the defaults. A span is 30min, 26h, 2d or 1w; off switches a limit off.",
  ],
  examples: [
    "deno task health",
    "deno task health --config /etc/holdfast/backup.toml --json",
    "deno task health --from /mnt/disk/backups --max-age 8d",
  ],
  parser: object({
    maxAge: textOption("--max-age", "DURATION", "The newest backup may be so old. Default: 26h"),
    maxDrillAge: textOption("--max-drill-age", "DURATION", "The last drill may be so old. Default: 95d"),
    sizeShare: textOption(
      "--size-share",
      "SHARE",
      "The size may differ from the usual by this share. Default: 0.5",
    ),
    maxRunTime: textOption("--max-run-time", "DURATION", "A run may take so long. Default: 24h"),
    maxKeyAge: textOption("--max-key-age", "DURATION", "A key may be in use for so long. Default: off"),
    ...planArgs,
    ...shelfArgs,
    ...outputArgs,
    identity: keyArgs.identity,
  }),
  run: async (args, cli) => {
    const limits = limitsOf(args);
    const choices = await chooseShelves(args, cli, { many: true });
    const options = cli.runOptions(args.quiet);
    if (choices.length === 0) throw new ConfigError("Cannot tell: there is no backup at all. Check --from");
    const failed = failedAsJson(args, cli);
    return await eachPlan(choices, cli, async (job) => {
      options.note(`Looking at "${job.plan.shelf?.name}" in ${whereOf(job)}`);
      const work = (): Promise<HealthResult> => health(job.plan, { ...options, limits });
      const told = await toldOf(options.state, shelfOf(job.plan));
      const outcome = (found: HealthResult): Outcome => outcomeOf(job.name, found);
      const result = await telling(job, "health", options, work, outcome, told);
      const code = codeOf(result);
      if (args.json) cli.terminal.out(JSON.stringify({ plan: job.name, exitCode: code, ...result }));
      else for (const line of linesOf(job.name, result)) cli.terminal.out(safe(line));
      return code;
    }, failed);
  },
});

type LimitArgs = Readonly<
  Record<"maxAge" | "maxDrillAge" | "sizeShare" | "maxRunTime" | "maxKeyAge", string | undefined>
>;

function limitsOf({ maxAge, maxDrillAge, sizeShare, maxRunTime, maxKeyAge }: LimitArgs): HealthLimits {
  const limits = Object.fromEntries(
    Object.entries({
      maxAge,
      maxDrillAge,
      sizeShare: sizeShare === undefined ? undefined : Number(sizeShare),
      maxRunTime,
      maxKeyAge,
    }).filter(([, value]) => value !== undefined),
  );
  try {
    boundsOf(limits);
  } catch (cause) {
    throw new ConfigError(messageOf(cause), { cause });
  }
  return limits;
}

function outcomeOf(plan: string, found: HealthResult): Outcome {
  const { status, newest, findings } = found;
  return {
    kind: status === "healthy" ? "success" : status === "problems" ? "failure" : "warning",
    text: linesOf(plan, found).join("\n"),
    id: newest?.id,
    bytes: newest?.bytes,
    ...(status === "problems" && { error: findings[0]!.message }),
  };
}

/** The exit code of what was found. */
export function codeOf({ findings }: HealthResult): number {
  return gravest(
    findings.map(({ code, level }) =>
      code === "unreachable" ? EXIT.failed : level === "problem" ? EXIT.integrity : EXIT.warnings
    ),
  );
}

/** What was found, for people: one line each. */
export function linesOf(plan: string, { findings, newest, drilledAt }: HealthResult): string[] {
  if (findings.length > 0) {
    return findings.map(({ code, level, message, next }) => `${plan}  ${level} ${code}: ${message}. ${next}`);
  }
  const age = formatSpan(Date.now() - Date.parse(newest?.time ?? ""));
  return [
    `${plan}  healthy: "${newest?.id}" is ${age} old, ${
      drilledAt ? `last drill ${drilledAt.slice(0, 10)}` : "no drill yet"
    }`,
  ];
}
