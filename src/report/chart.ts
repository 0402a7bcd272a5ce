/**
 * A line or dot chart as inline SVG, in colours that the page's style gives.
 *
 * @module
 */

/** One point of a chart. */
export interface ChartPoint {
  /** When, in milliseconds since 1970. */
  readonly at: number;
  /** How much. */
  readonly value: number;
  /** How it is drawn: a dot, a hollow dot, a cross. Default: "dot". */
  readonly mark?: "dot" | "hollow" | "cross" | undefined;
}

/** What is drawn. */
export interface Chart {
  /** An id that is unique in the page. */
  readonly id: string;
  /** The title, for those who do not see it. */
  readonly title: string;
  /** What it shows, in a sentence, for the same. */
  readonly about: string;
  /** Points, oldest first; at least one. */
  readonly points: readonly ChartPoint[];
  /** A line between the points. */
  readonly line: boolean;
  /** A target. */
  readonly target?: number | undefined;
  /** A value for people. */
  readonly format: (value: number) => string;
  /** Steps that look round in the value's unit: 60 after seconds, 1024 after bytes. Default: tens. */
  readonly scale: "time" | "bytes";
}

const WIDTH = 360;
const HEIGHT = 200;
const LEFT = 58;
const RIGHT = 12;
const TOP = 16;
const BOTTOM = 28;

/** Draws it. Sizes are those of a phone's width; wider pages enlarge it. */
export function drawChart({ id, title, about, points, line, target, format, scale }: Chart): string {
  const most = points.reduce((most, { value }) => Math.max(most, value), 0);
  // A target far above all values would press them to the floor: then it is only said.
  const far = target !== undefined && most > 0 && target > 3 * most;
  const highest = far ? most : Math.max(most, target ?? 0);
  const ticks = ticksOf(highest, scale);
  const top = ticks.at(-1)!;
  const [from, to] = [points[0]!.at, points.at(-1)!.at];
  const x = (at: number): number =>
    to === from ? (LEFT + WIDTH - RIGHT) / 2 : LEFT + (at - from) / (to - from) * (WIDTH - LEFT - RIGHT);
  const y = (value: number): number => HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM);
  const parts = ticks.map((tick) =>
    `<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${n(y(tick))}" y2="${n(y(tick))}"/>` +
    `<text class="tick" x="${LEFT - 6}" y="${n(y(tick) + 4)}" text-anchor="end">${
      tick === 0 ? "0" : escapeHtml(format(tick).replace(/\.0(?= )/, ""))
    }</text>`
  );
  parts.push(
    ...dates(from, to).map(({ at, text, anchor }) =>
      `<text class="tick" x="${n(x(at))}" y="${HEIGHT - 9}" text-anchor="${anchor}">${text}</text>`
    ),
  );
  if (line && points.length > 1) {
    const path = points.map(({ at, value }) => `${n(x(at))},${n(y(value))}`).join(" ");
    parts.push(`<polyline class="line" points="${path}"/>`);
  }
  // Many dots on a line say no more than the line.
  if (!line || points.length <= 60) {
    for (const point of points) parts.push(mark(n(x(point.at)), n(y(point.value)), point.mark));
  }
  if (target !== undefined) {
    const at = far ? TOP : y(target);
    if (!far) {
      parts.push(`<line class="target" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${n(at)}" y2="${n(at)}"/>`);
    }
    const said = `target ${escapeHtml(format(target))}${far ? ", far above" : ""}`;
    parts.push(
      `<text class="target-text" x="${WIDTH - RIGHT}" y="${n(at - 5)}" text-anchor="end">${said}</text>`,
    );
  }
  return `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-labelledby="${id}-t ${id}-d">` +
    `<title id="${id}-t">${escapeHtml(title)}</title><desc id="${id}-d">${escapeHtml(about)}</desc>${
      parts.join("")
    }</svg>`;
}

/** A text as HTML shows it. */
export function escapeHtml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll(
    '"',
    "&quot;",
  )
    .replaceAll("'", "&#39;");
}

/** A day, or within two days the minute, in UTC. */
export function formatTime(at: number, minutes = true): string {
  const text = new Date(at).toISOString();
  return minutes ? `${text.slice(0, 10)} ${text.slice(11, 16)}` : text.slice(0, 10);
}

function mark(x: string, y: string, kind: ChartPoint["mark"] = "dot"): string {
  if (kind === "cross") {
    return `<path class="failed" d="M${x} ${y}m-4 -4l8 8m0 -8l-8 8"/>`;
  }
  return `<circle class="${kind}" cx="${x}" cy="${y}" r="${kind === "hollow" ? 3.5 : 2.5}"/>`;
}

function dates(from: number, to: number): { at: number; text: string; anchor: string }[] {
  const within = to - from < 2 * 86_400_000;
  const text = (at: number): string => within ? formatTime(at).slice(5) : formatTime(at, false);
  if (to === from) return [{ at: from, text: formatTime(from), anchor: "middle" }];
  return [
    { at: from, text: text(from), anchor: "start" },
    { at: to, text: text(to), anchor: "end" },
  ];
}

/** From zero to at least `highest`, in three to six round steps. */
function ticksOf(highest: number, scale: Chart["scale"]): number[] {
  const units = scale === "bytes"
    ? [1, 2 ** 10, 2 ** 20, 2 ** 30, 2 ** 40]
    : [1, 1000, 60_000, 3_600_000, 86_400_000];
  const unit = units.findLast((size) => size <= highest) ?? 1;
  const raw = Math.max(highest, 1) / unit / 4;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].find((factor) => factor * power >= raw)! * power * unit;
  return Array.from({ length: Math.ceil(Math.max(highest, 1) / step) + 1 }, (_, i) => i * step);
}

function n(value: number): string {
  return value.toFixed(1).replace(/\.0$/, "");
}
