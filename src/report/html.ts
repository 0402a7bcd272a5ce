/**
 * A report as one page that needs nothing else: no script, no font, no network.
 *
 * @module
 */
import type { Measure, Report } from "../report.ts";
import { type ChartPoint, drawChart, escapeHtml, formatTime } from "./chart.ts";
import { STYLE } from "./style.ts";
import { counted, formatLast, formatMet, formatMs, formatTrend, formatValue, TITLES } from "./words.ts";

/** The page for one or more plans. Everything in it that comes from a store is escaped. */
export function reportPage(reports: readonly Report[], at: Date): string {
  const plans = reports.map((report, i) => planPart(report, i)).join("\n");
  const none = reports.length === 0 ? "<p>There is no plan and no backup to report on.</p>" : "";
  return `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Backups: ${
    escapeHtml(reports.map(({ name }) => name).join(", ") || "none")
  }</title><style>${STYLE}</style></head>
<body><header><h1>Backups</h1><p class="soft">As of ${
    formatTime(at.getTime())
  } UTC. All times are UTC.</p></header>
<main>${none}${plans}</main></body></html>
`;
}

function planPart(report: Report, index: number): string {
  const { name, backups, drills, measures, skipped } = report;
  const id = `plan-${index}`;
  const newest = backups.at(-1);
  const facts = [
    newest
      ? `Newest: <b>${escapeHtml(newest.id)}</b>, ${formatTime(Date.parse(newest.time))}`
      : "There is no backup yet.",
    drills.length === 0
      ? "It has never been drilled: how long a restore takes, nobody knows. Run <code>deno task drill</code>."
      : `Drills: ${drills.length}, of which ${
        drills.filter(({ verdict }) => verdict === "failed").length
      } failed.`,
    ...(skipped.length > 0
      ? [
        `Receipts left out because they cannot be trusted or read: ${skipped.length}. Run <code>deno task verify</code>.`,
      ]
      : []),
  ];
  return `<section aria-labelledby="${id}"><h2 id="${id}">${escapeHtml(name)}</h2>
${facts.map((fact) => `<p>${fact}</p>`).join("")}
${
    table(
      "Against the targets",
      ["Measure", "Now", "Target", "Result", "Median", "Worst", "Trend"],
      measures.map(measureRow),
    )
  }
<div class="grid-of">${
    measures.map((measure) => card(report, measure, `${id}-${measure.name}`)).join("\n")
  }</div></section>`;
}

function measureRow(measure: Measure): Cell[] {
  const { name, median, worst, trend, target, met } = measure;
  const grade = met === undefined ? undefined : met ? "met" : "missed";
  return [
    { text: TITLES[name].title, head: true },
    formatLast(measure),
    formatValue(name, target),
    { text: formatMet(measure), style: grade },
    formatValue(name, median),
    formatValue(name, worst),
    formatTrend(trend),
  ];
}

function card(report: Report, measure: Measure, id: string): string {
  const { name, target } = measure;
  const { title, about } = TITLES[name];
  const points = pointsOf(report, name);
  const legend = name === "rto" && points.length > 0
    ? `<p class="soft">● newest backup, ○ an older one, × failed</p>`
    : "";
  const said =
    `${formatMet(measure)}; now ${formatLast(measure)}, median ${formatValue(name, measure.median)}, ` +
    `worst ${formatValue(name, measure.worst)}, trend ${formatTrend(measure.trend)}`;
  const drawing = points.length === 0 ? `<p>Nothing has been measured yet.</p>` : drawChart({
    id,
    title: `${title} of ${report.name}`,
    about: `${about} ${counted(points.length, "point")}; ${said}. The table below has every value.`,
    points,
    line: name !== "rto",
    target,
    format: (value) => formatValue(name, value),
    scale: name === "bytes" ? "bytes" : "time",
  });
  return `<article class="card" aria-labelledby="${id}-h"><h3 id="${id}-h">${title}</h3><p class="soft">${about}</p>
${drawing}${legend}${points.length === 0 ? "" : details(report, name)}</article>`;
}

function pointsOf({ backups, drills }: Report, name: Measure["name"]): ChartPoint[] {
  if (name === "rto") {
    return drills.map(({ time, rtoMs, verdict, which }) => ({
      at: Date.parse(time),
      value: rtoMs,
      mark: verdict === "failed" ? "cross" : which === "older" ? "hollow" : "dot",
    }));
  }
  return backups.flatMap((backup) => {
    const value = name === "rpo" ? backup.gapMs : name === "bytes" ? backup.bytes : backup.durationMs;
    return value === undefined ? [] : [{ at: Date.parse(backup.time), value }];
  });
}

/** The table beside a chart, newest first. */
function details({ backups, drills }: Report, name: Measure["name"]): string {
  const title = TITLES[name].title;
  if (name === "rto") {
    const head = ["When", "RTO", "Verdict", "Backup", "Phases", "Age of the data", "Content", "Note"];
    const rows = drills.toReversed().map((drill) => [
      { text: formatTime(Date.parse(drill.time)), head: true },
      formatMs(drill.rtoMs),
      { text: drill.verdict, style: drill.verdict === "failed" ? "missed" : undefined },
      { text: `${drill.id}${drill.which === undefined ? "" : ` (${drill.which})`}`, style: "name" },
      Object.entries(drill.phases ?? {}).filter(([, ms]) => ms > 0).map(([phase, ms]) =>
        `${phase} ${formatMs(ms)}`
      ).join(", ") || "-",
      drill.rpoMs === undefined ? "-" : formatMs(drill.rpoMs),
      formatValue("bytes", drill.bytes),
      { text: drill.note ?? "", style: "name" },
    ]);
    return folded(
      `Table: ${counted(drills.length, "drill")}`,
      table(`${title}: every drill, newest first`, head, rows),
    );
  }
  const value = { rpo: "Age of the one before", duration: "Duration", bytes: "Archive" }[name];
  const head = ["When", value, ...(name === "bytes" ? ["Content", "Entries"] : []), "Warnings"];
  const rows = backups.toReversed().map((backup) => [
    { text: formatTime(Date.parse(backup.time)), head: true },
    formatValue(name, name === "rpo" ? backup.gapMs : name === "bytes" ? backup.bytes : backup.durationMs),
    ...(name === "bytes" ? [formatValue("bytes", backup.contentBytes), String(backup.entries)] : []),
    String(backup.warnings),
  ]);
  return folded(
    `Table: ${counted(backups.length, "backup")}`,
    table(`${title}: every backup, newest first`, head, rows),
  );
}

function folded(title: string, content: string): string {
  return `<details><summary>${escapeHtml(title)}</summary>${content}</details>`;
}

type Cell = string | {
  readonly text: string;
  readonly head?: boolean | undefined;
  readonly style?: string | undefined;
};

function table(caption: string, head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const cell = (value: Cell): string => {
    const { text, head = false, style = undefined } = typeof value === "string" ? { text: value } : value;
    const attribute = style === undefined ? "" : ` class="${style}"`;
    return head
      ? `<th scope="row"${attribute}>${escapeHtml(text)}</th>`
      : `<td${attribute}>${escapeHtml(text)}</td>`;
  };
  // Scrolled with the keyboard as well.
  return `<div class="scroll" tabindex="0" role="region" aria-label="${
    escapeHtml(caption)
  }"><table><caption>${escapeHtml(caption)}</caption><thead><tr>${
    head.map((word) => `<th scope="col">${escapeHtml(word)}</th>`).join("")
  }</tr></thead><tbody>${
    rows.map((row) => `<tr>${row.map(cell).join("")}</tr>`).join("")
  }</tbody></table></div>`;
}
