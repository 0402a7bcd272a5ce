/**
 * Which events are wanted.
 *
 * @module
 */
import { readMoment } from "../../collect/events/moment.ts";
import { momentToBigInt } from "../../collect/events/moment.ts";
import { utf8 } from "../../bytes.ts";
import { ConfigError } from "../../errors.ts";
import { type NaraEvent, SERVICES } from "./event.ts";

/** Conditions; all that are given must hold. */
export interface Selection {
  /** One of these services. */
  readonly services?: readonly string[] | undefined;
  /** First sent by one of these. */
  readonly emitters?: readonly string[] | undefined;
  /** Not before: nanoseconds since 1970, or RFC 3339. */
  readonly since?: string | undefined;
  /** Before: nanoseconds since 1970, or RFC 3339. */
  readonly until?: string | undefined;
}

/** Makes the test. Throws {@linkcode ConfigError} for conditions that cannot be. */
export function selects(selection: Selection): (event: NaraEvent) => boolean {
  const { services = [], emitters = [] } = selection;
  for (const service of services) {
    if (!SERVICES.includes(service)) {
      throw new ConfigError(`Cannot choose the service "${service}": naras have ${SERVICES.join(", ")}`);
    }
  }
  const since = selection.since === undefined ? undefined : nanos(selection.since, "since");
  const until = selection.until === undefined ? undefined : nanos(selection.until, "until");
  return ({ svc, emitter, ts }) => {
    if (services.length > 0 && !services.includes(svc)) return false;
    if (emitters.length > 0 && !emitters.includes(emitter)) return false;
    if (since === undefined && until === undefined) return true;
    const time = BigInt(ts);
    return (since === undefined || time >= since) && (until === undefined || time < until);
  };
}

/** A time on the command line as nanoseconds. */
export function nanos(text: string, what: string): bigint {
  const token = utf8(JSON.stringify(/^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00:00Z` : text));
  const moment = { high: 0, low: 0 };
  if (readMoment(token, 0, token.length, moment)) return momentToBigInt(moment);
  throw new ConfigError(
    `Cannot use "${text}" as ${what}: write 2026-01-31, 2026-01-31T03:00:00Z or nanoseconds since 1970`,
  );
}
