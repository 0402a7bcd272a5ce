/**
 * What the service says when something is wrong: a status, and a body in the form of Prose's own.
 *
 * @module
 */
import {
  BusyError,
  ConfigError,
  ExistsError,
  findError,
  IntegrityError,
  KeyError,
  messageOf,
  NotFoundError,
  StageError,
} from "../../../errors.ts";

/** A refusal whose status is known where it is made. */
export class Trouble extends Error {
  /** The HTTP status. */
  readonly status: number;
  /** For programs: "BAD_REQUEST". */
  readonly code: string;
  /** More headers. */
  readonly headers: Readonly<Record<string, string>>;
  /** A sentence that says what is wrong, and what to do. */
  constructor(status: number, code: string, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message);
    this.name = "Trouble";
    this.status = status;
    this.code = code;
    this.headers = headers;
  }
}

/** Any error as one; `what` is the code of a failure that is nobody's fault but ours. */
export function troubleOf(error: unknown, what: string): Trouble {
  const own = findError(error, Trouble);
  if (own) return own;
  const message = messageOf(findError(error, StageError) ?? error);
  if (findError(error, ExistsError)) return new Trouble(409, "BACKUP_EXISTS", message);
  if (findError(error, BusyError)) return busy(message);
  if (findError(error, NotFoundError)) return new Trouble(404, "BACKUP_NOT_FOUND", message);
  if (findError(error, KeyError)) return new Trouble(500, "KEY_MISSING", message);
  if (findError(error, IntegrityError)) return new Trouble(422, "INVALID_BACKUP", message);
  if (findError(error, ConfigError)) return new Trouble(500, "MISSING_CONFIG", message);
  return new Trouble(500, what, message);
}

/** Something else has the pod. */
export function busy(message: string): Trouble {
  return new Trouble(503, "BACKUP_IN_PROGRESS", message, { "retry-after": "10" });
}

/** The body of an error. */
export function bodyOf({ status, code, message }: Trouble): Readonly<Record<string, unknown>> {
  const kind = status === 401 ? "AUTH_ERROR" : status < 500 ? "CLIENT_ERROR" : "SERVER_ERROR";
  return { error: true, kind, code, message };
}
