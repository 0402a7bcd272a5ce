/**
 * A nara's events: what makes their id, and what a nara would do with them.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { type Exact, isNumber, parseExact } from "../../collect/events/exact.ts";
import { digest, verified } from "./soul.ts";

/** A number is itself only where it is exact as one. */
type Value = Exact | number;
type Fields = Readonly<Record<string, Value>>;

/** An event that has been read. */
export interface NaraEvent {
  /** Its id as it stands. */
  readonly id: string;
  /** Its time in nanoseconds, as digits. */
  readonly ts: string;
  /** Its service. */
  readonly svc: string;
  /** Who sent it first, or "". */
  readonly emitter: string;
  /** Its signature, or "". */
  readonly sig: string;
  /** What it says, for its service; undefined: it is not there. */
  readonly payload: Fields | undefined;
}

/** Member that holds what an event of each service says. */
const PAYLOADS: Readonly<Record<string, string>> = {
  "social": "social",
  "ping": "ping",
  "observation": "observation",
  "hey-there": "hey_there",
  "chau": "chau",
  "seen": "seen",
  "checkpoint": "checkpoint",
};

/** Services that a nara knows. */
export const SERVICES: readonly string[] = Object.keys(PAYLOADS);

/** Reads a line. Throws SyntaxError unless it is a JSON object. */
export function readEvent(line: string): NaraEvent {
  const value = parse(line);
  if (typeof value !== "object" || value === null || Array.isArray(value) || isNumber(value)) {
    throw new SyntaxError("not a JSON object");
  }
  const fields = value as Fields;
  const svc = text(fields.svc);
  const payload = fields[PAYLOADS[svc] ?? ""];
  return {
    id: text(fields.id),
    ts: digits(fields.ts),
    svc,
    emitter: text(fields.emitter),
    sig: text(fields.sig),
    payload: typeof payload === "object" && payload !== null && !Array.isArray(payload) && !isNumber(payload)
      ? payload as Fields
      : undefined,
  };
}

/** Parses a line; numbers that JavaScript cannot hold, and times, keep their digits. */
function parse(line: string): Value {
  const times = line.match(/"ts"\s*:\s*-?\d+(?=\s*[,}])/g);
  const value = JSON.parse(line);
  if (times?.length !== 1 || typeof value?.ts !== "number" || !holds(value, 0)) return parseExact(line);
  return { ...value, ts: { digits: /-?\d+$/.exec(times[0]!)![0] } };
}

/** Whether all numbers but the time are exact. */
function holds(value: object, depth: number): boolean {
  for (const [key, inner] of Object.entries(value)) {
    if (
      typeof inner === "number" && Math.abs(inner) > Number.MAX_SAFE_INTEGER && (key !== "ts" || depth > 0)
    ) return false;
    if (typeof inner === "object" && inner !== null && !holds(inner, depth + 1)) return false;
  }
  return true;
}

function text(value: Value | undefined): string {
  return typeof value === "string" ? value : "";
}

function digits(value: Value | undefined): string {
  if (typeof value === "number") return String(value);
  return isNumber(value) ? value.digits : "0";
}

/** A text member of what an event says. */
export function word(event: NaraEvent, key: string): string {
  return text(event.payload?.[key]);
}

/** What an event's id and signature cover of what it says. */
function contentOf({ svc, payload }: NaraEvent): string {
  const get = payload ?? {};
  const t = (key: string): string => text(get[key]);
  const n = (key: string): string => digits(get[key]);
  switch (svc) {
    case "social":
      return [t("type"), t("actor"), t("target"), t("reason"), t("witness")].join(":");
    case "ping":
      return `${t("observer")}:${t("target")}:${oneDecimal(Number(n("rtt")))}`;
    case "observation":
      return t("type") === "restart"
        ? [t("subject"), "restart", n("restart_num"), n("start_time")].join(":")
        : [t("observer"), t("subject"), t("type"), t("online_state"), n("start_time"), n("restart_num")].join(
          ":",
        );
    case "hey-there":
      return ["hey_there", t("From"), t("PublicKey"), t("MeshIP")].join(":");
    case "chau":
      return ["chau", t("From"), t("PublicKey")].join(":");
    case "seen":
      return ["seen", t("observer"), t("subject"), t("via")].join(":");
    case "checkpoint":
      return checkpointContent(get);
    default:
      return "";
  }
}

function checkpointContent(fields: Fields): string {
  const observation = (fields.observation ?? {}) as Fields;
  const version = BigInt(digits(fields.version));
  const who = text(fields.subject_id) || text(fields.subject);
  const counts = [
    digits(fields.as_of_time),
    digits(observation.start_time),
    digits(observation.restarts),
    digits(observation.total_uptime),
  ];
  return version >= 2n
    ? ["checkpoint", "v2", who, ...counts, text(fields.previous_checkpoint_id)].join(":")
    : ["checkpoint", who, ...counts].join(":");
}

/** A float with one decimal, ties to even, as Go's `%.1f` writes it. */
export function oneDecimal(value: number): string {
  if (Math.abs(value) >= 1e21) return `${BigInt(value)}.0`;
  const quarters = value * 4;
  if (!Number.isInteger(quarters) || quarters % 2 === 0) return value.toFixed(1);
  // x.25 and x.75 are the only ties: the even tenth is the one nearer to an even digit.
  const lower = Math.floor(value * 10);
  return ((lower % 2 === 0 ? lower : lower + 1) / 10).toFixed(1);
}

/** Whether an event's id is what its content makes. Hey-there and chau may cover the nara's id too. */
export function idFits(event: NaraEvent): boolean {
  return contents(event).some((content) => {
    const hash = createHash("sha256").update(`${event.ts}:${event.svc}:${content}`).digest("hex");
    return hash.slice(0, 32) === event.id;
  });
}

/** Whether an event's signature is the key's (standard base64). */
export function signatureFits(event: NaraEvent, publicKey: string): boolean {
  return contents(event).some((content) =>
    verified(
      publicKey,
      digest(`${event.id}:${event.ts}:${event.svc}:${event.emitter}:${content}`),
      event.sig,
    )
  );
}

function contents(event: NaraEvent): readonly string[] {
  const plain = contentOf(event);
  const introduces = event.svc === "hey-there" || event.svc === "chau";
  return introduces ? [plain, `${plain}:${word(event, "ID")}`] : [plain];
}

/** Checkpoints of this subject up to this time are refused by every nara. */
const REFUSED = { subject: "r2d2", asOf: 1_768_774_453n } as const;

/** Why a nara would refuse an event, or break on it; undefined: it would not. */
export function problemOf(event: NaraEvent): string | undefined {
  const { id, ts, svc, payload } = event;
  if (id.length < 8) return `its id has ${id.length} characters, and a nara breaks on fewer than 8`;
  if (!/^-?\d+$/.test(ts) || ts === "0") return "its time is not a whole number of nanoseconds";
  const nanos = BigInt(ts);
  if (nanos >= 2n ** 63n || nanos < -(2n ** 63n)) return "its time does not fit in 64 bits";
  if (!SERVICES.includes(svc)) return `its service ${JSON.stringify(svc)} is not known`;
  if (!payload) return `it says nothing: "${PAYLOADS[svc]}" is missing, and a nara breaks on that`;
  if (svc === "checkpoint") {
    const asOf = digits(payload.as_of_time);
    if (word(event, "subject") === REFUSED.subject && /^\d+$/.test(asOf) && BigInt(asOf) <= REFUSED.asOf) {
      return `naras refuse old checkpoints of ${REFUSED.subject}`;
    }
  }
  return undefined;
}
