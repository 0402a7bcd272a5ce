/**
 * One class for each thing a caller or the command line does differently. Messages say what failed, why, and what to do next.
 *
 * @module
 */

/** Extra facts for an error. */
export interface ErrorFacts {
  /** What it was caused by. */
  readonly cause?: unknown;
}

/** A failure in a stage: which one, and the cause. The innermost stage's name stands. */
export class StageError extends Error {
  /** The stage whose bytes or work failed. */
  readonly stage: string;
  /** Wraps `cause` with the name of the stage it came from. */
  constructor(stage: string, cause: unknown) {
    super(`${stage}: ${messageOf(cause)}`, { cause });
    this.name = "StageError";
    this.stage = stage;
  }
}

/** No key fits, or a key is missing or unreadable. Exit code 4. */
export class KeyError extends Error {
  /** A sentence that says which key is needed. */
  constructor(message: string, facts: ErrorFacts = {}) {
    super(message, facts);
    this.name = "KeyError";
  }
}

/** Bytes are not what was stored, or a policy or a limit is broken. Exit code 5. */
export class IntegrityError extends Error {
  /** A sentence that says what does not agree. */
  constructor(message: string, facts: ErrorFacts = {}) {
    super(message, facts);
    this.name = "IntegrityError";
  }
}

/** The index of an archive is not what it should be; the archive itself may be whole. Exit code 5. */
export class IndexError extends IntegrityError {
  /** A sentence that says what does not agree. */
  constructor(message: string, facts: ErrorFacts = {}) {
    super(message, facts);
    this.name = "IndexError";
  }
}

/** Proven absent: a backup, an object, a source. Exit code 1. */
export class NotFoundError extends Error {
  /** A sentence that says what was looked for, and where. */
  constructor(message: string, facts: ErrorFacts = {}) {
    super(message, facts);
    this.name = "NotFoundError";
  }
}

/** Something stands where something new should go. Exit code 1. */
export class ExistsError extends Error {
  /** A sentence that names what exists. */
  constructor(message: string, facts: ErrorFacts = {}) {
    super(message, facts);
    this.name = "ExistsError";
  }
}

/** A store failed. Exit code 1. */
export class StoreError extends Error {
  /** Whether trying again can help. */
  readonly retryable: boolean;
  /** A sentence that names the store and the step. */
  constructor(message: string, facts: ErrorFacts & { readonly retryable?: boolean } = {}) {
    super(message, facts);
    this.name = "StoreError";
    this.retryable = facts.retryable ?? false;
  }
}

/** The configuration or the command line is wrong. Exit code 2. */
export class ConfigError extends Error {
  /** A sentence that names file, line and key. */
  constructor(message: string, facts: ErrorFacts = {}) {
    super(message, facts);
    this.name = "ConfigError";
  }
}

/** Another run holds the lease. Exit code 6. */
export class BusyError extends Error {
  /** A sentence that names the holder. */
  constructor(message: string, facts: ErrorFacts = {}) {
    super(message, facts);
    this.name = "BusyError";
  }
}

/** The first error of class `kind` in the chain of causes (and the members of an AggregateError), or undefined. */
export function findError<T extends Error>(
  error: unknown,
  kind: new (...args: never[]) => T,
): T | undefined {
  for (let at = error, depth = 0; at instanceof Error && depth < 32; at = at.cause, depth++) {
    if (at instanceof kind) return at;
    if (at instanceof AggregateError) {
      for (const inner of at.errors) {
        const found = findError(inner, kind);
        if (found) return found;
      }
    }
  }
  return undefined;
}

/** The text of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
