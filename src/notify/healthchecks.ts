/**
 * healthchecks.io and servers of its kind: a dead man's switch.
 *
 * @module
 */
import { KINDS, type Notifier, notifier, type NotifierOptions, type RunEvent } from "./event.ts";
import { type Address, placeOf, request, urlOf } from "./http.ts";

/** Options of {@linkcode healthchecks}. */
export interface HealthchecksOptions extends NotifierOptions {
  /** The check's ping URL. Whoever has it can ping, so it may be a secret. */
  readonly url: Address;
  /** What a run with warnings counts as: "success", "fail", or "log", which leaves the check as it is. Default: "success". */
  readonly warnings?: "success" | "fail" | "log" | undefined;
}

/**
 * Pings a check at the start and the end of a run (healthchecks.io, "Pinging API": /start, the bare URL, /fail and /log, with `rid`
 * to tie the two together). That no run was started at all is seen there: the check's schedule says when one was due.
 */
export function healthchecks(options: HealthchecksOptions): Notifier {
  const { url, warnings = "success" } = options;
  if (!["success", "fail", "log"].includes(warnings)) {
    throw new TypeError(
      `Cannot notify by healthchecks: "warnings" is "${warnings}". Known: success, fail, log`,
    );
  }
  const name = `healthchecks (${placeOf(url, "healthchecks")})`;
  const paths = {
    start: "/start",
    success: "",
    failure: "/fail",
    warning: warnings === "success" ? "" : `/${warnings}`,
  };
  return notifier(name, options, { on: KINDS, of: ["backup"], repeat: true }, async (event, signal) => {
    const target = await urlOf(url, "healthchecks");
    target.pathname = target.pathname.replace(/\/$/, "") + paths[event.kind];
    target.searchParams.set("rid", uuidOf(event));
    await request(target, { method: "POST", body: `${event.title}\n${event.text}`.slice(0, 10_000) }, signal);
  });
}

/** The run's id as a UUID: both are 128 bits. */
function uuidOf({ run }: RunEvent): string {
  let value = 0n;
  for (const digit of run) value = value << 5n | BigInt("0123456789ABCDEFGHJKMNPQRSTVWXYZ".indexOf(digit));
  const hex = (value & (1n << 128n) - 1n).toString(16).padStart(32, "0");
  return [0, 8, 12, 16, 20].map((from, i, all) => hex.slice(from, all[i + 1] ?? 32)).join("-");
}
