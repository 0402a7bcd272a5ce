/**
 * Metrics for Prometheus: a text file for node_exporter, or a push gateway. Alert on
 * `time() - holdfast_last_success_timestamp_seconds > 93600`, which also sees that no run was started.
 *
 * @module
 */
import { mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { isAbsolute, join } from "node:path";
import { type Notifier, notifier, type NotifierOptions, type RunEvent, type Secret } from "./event.ts";
import { type Address, placeOf, request, urlOf } from "./http.ts";

/** Options of {@linkcode prometheusFile}. */
export interface PrometheusFileOptions extends NotifierOptions {
  /** node_exporter's folder (`--collector.textfile.directory`), absolute; made when it is missing. */
  readonly folder: string;
}

/** Options of {@linkcode prometheusPush}. */
export interface PrometheusPushOptions extends NotifierOptions {
  /** The push gateway: "http://127.0.0.1:9091". */
  readonly url: Address;
  /** Sent as "Authorization: Bearer ...". */
  readonly token?: Secret | undefined;
}

const FINAL = ["success", "warning", "failure"] as const;

/**
 * Writes `holdfast_PLAN_TASK.prom`, replaced atomically at the end of each run (Prometheus text format 0.0.4). The time of the last
 * success outlives failures.
 */
export function prometheusFile(options: PrometheusFileOptions): Notifier {
  const { folder } = options;
  if (!isAbsolute(folder)) {
    throw new TypeError(`Cannot notify by prometheusFile: folder "${folder}" is not absolute`);
  }
  return notifier(
    `prometheusFile (${folder})`,
    options,
    { on: FINAL, repeat: true },
    async (event, signal) => {
      const file = join(folder, `holdfast_${fileWord(event.plan)}_${event.task}.prom`);
      await mkdir(folder, { recursive: true });
      const before = await readFile(file, "utf8").catch(() => "");
      const kept = new RegExp(`^${LAST}\\{[^}]*\\} ([0-9.]+)$`, "m").exec(before)?.[1];
      const text = format(event, `{plan=${label(event.plan)},task=${label(event.task)}}`, kept);
      const temporary = `${file}.${event.run}.tmp`; // node_exporter reads *.prom alone
      try {
        const handle = await open(temporary, "wx", 0o644);
        try {
          await handle.writeFile(text);
          await handle.sync();
        } finally {
          await handle.close();
        }
        signal.throwIfAborted();
        await rename(temporary, file);
      } catch (error) {
        await rm(temporary, { force: true });
        throw error;
      }
    },
  );
}

/** Pushes the same metrics under job "holdfast", grouped by host, plan and task; those of other groups stay as they are. */
export function prometheusPush(options: PrometheusPushOptions): Notifier {
  const { url, token } = options;
  const name = `prometheusPush (${placeOf(url, "prometheusPush")})`;
  return notifier(name, options, { on: FINAL, repeat: true }, async (event, signal) => {
    const target = await urlOf(url, "prometheusPush");
    const groups = [["job", "holdfast"], ["instance", event.host], ["plan", event.plan], [
      "task",
      event.task,
    ]];
    const path = groups.map(([key, value]) => `${key}@base64/${base64url(value!)}`).join("/");
    target.pathname = `${target.pathname.replace(/\/$/, "")}/metrics/${path}`;
    const secret = (await token?.())?.trim();
    // POST replaces the metrics it names: without a success, the last one's time stays.
    await request(target, {
      method: "POST",
      headers: {
        "Content-Type": "text/plain; version=0.0.4",
        ...(secret !== undefined && { Authorization: `Bearer ${secret}` }),
      },
      body: format(event, "", undefined),
    }, signal);
  });
}

const LAST = "holdfast_last_success_timestamp_seconds";

function format(event: RunEvent, labels: string, lastSuccess: string | undefined): string {
  const at = Date.parse(event.at) / 1000;
  const good = event.kind !== "failure";
  const warnings = Object.values(event.warnings ?? {}).reduce((sum, count) => sum + count, 0);
  const metrics: readonly (readonly [name: string, help: string, value: number | string | undefined])[] = [
    ["holdfast_last_run_timestamp_seconds", "When the last run ended.", at],
    [LAST, "When the last run that succeeded ended.", good ? at : lastSuccess],
    ["holdfast_last_run_success", "Whether the last run succeeded: 1, or 0.", good ? 1 : 0],
    ["holdfast_last_run_warnings", "Warnings of the last run.", warnings],
    ["holdfast_last_run_duration_seconds", "How long the last run took.", (event.durationMs ?? 0) / 1000],
    ["holdfast_archive_bytes", "Length of the last archive.", event.bytes],
    ["holdfast_content_bytes", "Length of its content.", event.contentBytes],
    ["holdfast_entries", "Number of its entries.", event.entries],
  ];
  return metrics.flatMap(([name, help, value]) =>
    value === undefined ? [] : [`# HELP ${name} ${help}\n# TYPE ${name} gauge\n${name}${labels} ${value}\n`]
  ).join("");
}

function label(value: string): string {
  return `"${value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")}"`;
}

function fileWord(name: string): string {
  return encodeURIComponent(name).replaceAll("*", "%2A");
}

function base64url(text: string): string {
  return new TextEncoder().encode(text).toBase64({ alphabet: "base64url" });
}
