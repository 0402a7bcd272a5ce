/**
 * `deno task report`
 *
 * @module
 */
import { object } from "@optique/core/constructs";
import { type Cli, type Command, command } from "../cli.ts";
import { ConfigError, messageOf } from "../errors.ts";
import { type Report, report } from "../report.ts";
import { reportPage } from "../report/html.ts";
import {
  counted,
  formatLast,
  formatMet,
  formatMs,
  formatTrend,
  formatValue,
  TITLES,
} from "../report/words.ts";
import { keyArgs, numberOption, outputArgs, planArgs, shelfArgs, textOption } from "./args.ts";
import { eachPlan, failedAsJson, whereOf } from "./choose.ts";
import { EXIT } from "./exit.ts";
import { fromCaller } from "./folders.ts";
import { chooseShelves } from "./shelves.ts";
import { safe, table } from "./terminal.ts";

/** The command. */
export const reportCommand: Command = command({
  name: "report",
  usage: "[--html FILE] [OPTION...]",
  brief:
    "Reports recovery time, recovery point, durations and sizes of the past, against the plan's targets.",
  about: [
    "Standard output: a table of measures and one of drills for each plan. --json: an object a plan with plan, name, at, measures (name, " +
    "count, last, median, worst, trend, target, missed, met), backups, drills, skipped; times in milliseconds. --html: also one page with " +
    "charts and tables that needs nothing else.",
    "Everything comes from the receipts in the stores; no identity is needed. Exit code 3 when a target is missed now.",
    "Targets stand in the plan: [plan.NAME.targets] with rto, rpo, duration (30min, 4h, 2d) and bytes.",
  ],
  examples: [
    "deno task report",
    "deno task report --config /etc/holdfast/backup.toml --html /var/www/backups.html --quiet",
    "deno task report --from /mnt/disk/backups --json",
  ],
  parser: object({
    html: textOption("--html", "FILE", "Write the page to this file as well, replacing it"),
    last: numberOption("--last", "The newest so many backups and drills. Default: 1000"),
    ...planArgs,
    ...shelfArgs,
    ...outputArgs,
    identity: keyArgs.identity,
  }),
  run: async (args, cli) => {
    const choices = await chooseShelves(args, cli, { many: true });
    const options = cli.runOptions(args.quiet);
    const reports: Report[] = [];
    const failed = failedAsJson(args, cli);
    const code = await eachPlan(choices, cli, async (job) => {
      options.note(`Reporting on "${job.plan.shelf?.name}" in ${whereOf(job)}`);
      const made = await report(job.plan, { ...options, last: args.last });
      reports.push(made);
      if (args.json) cli.terminal.out(JSON.stringify({ plan: job.name, ...made }));
      else for (const line of linesOf(made)) cli.terminal.out(line);
      for (const why of made.skipped) options.log.warn("receipt", `Left out: ${why}`);
      const missed = made.measures.some(({ met }) => met === false);
      return missed || options.warned() > 0 ? EXIT.warnings : EXIT.complete;
    }, failed);
    if (args.html !== undefined) await writePage(fromCaller(args.html, cli.folder), reports, cli);
    return code;
  },
});

/** Whoever looks at the page sees the old one or the new one. */
async function writePage(file: string, reports: readonly Report[], cli: Cli): Promise<void> {
  const temporary = `${file}.${crypto.randomUUID().slice(0, 8)}.tmp`;
  try {
    await Deno.writeTextFile(temporary, reportPage(reports, new Date()), { createNew: true });
    await Deno.rename(temporary, file);
  } catch (cause) {
    await Deno.remove(temporary).catch(() => {});
    throw new ConfigError(`Cannot write the page "${file}": ${messageOf(cause)}. Check --html`, { cause });
  }
  cli.say(`Wrote ${file}`);
}

function linesOf({ name, measures, drills, backups }: Report): string[] {
  const rows = measures.map((measure) => [
    TITLES[measure.name].title,
    formatValue(measure.name, measure.target),
    formatMet(measure),
    formatLast(measure),
    formatValue(measure.name, measure.median),
    formatValue(measure.name, measure.worst),
    formatTrend(measure.trend),
  ]);
  const recent = drills.slice(-5).toReversed().map(({ time, id, verdict, which, rtoMs, rpoMs, note }) => [
    time.slice(0, 16).replace("T", " "),
    verdict,
    formatMs(rtoMs),
    rpoMs === undefined ? "-" : formatMs(rpoMs),
    which ?? "-",
    id,
    note ?? "",
  ]);
  return [
    safe(`${name}: ${counted(backups.length, "backup")}, ${counted(drills.length, "drill")}`),
    ...table([["MEASURE", "TARGET", "RESULT", "NOW", "MEDIAN", "WORST", "TREND"], ...rows]),
    ...(recent.length === 0
      ? []
      : table([["DRILLED", "VERDICT", "RTO", "DATA AGE", "WHICH", "BACKUP", "NOTE"], ...recent])),
    "",
  ];
}
