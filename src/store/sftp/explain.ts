/**
 * From what a server or the network says to one sentence: what failed, why, what to do next. And whether it may pass.
 *
 * @module
 */
import { ExistsError, IntegrityError, KeyError, messageOf, NotFoundError, StoreError } from "../../errors.ts";

/** Answers of SFTP, version 3 (draft-ietf-secsh-filexfer-02, section 7). */
export const STATUS = {
  /** No more data or names. */
  end: 1,
  /** No such file: also said of a path through what is not a folder. */
  absent: 2,
  /** Permission denied. */
  denied: 3,
  /** Anything else, a full disk and a name that is taken included. */
  failure: 4,
  /** The request makes no sense: also said of names that are too long. */
  malformed: 5,
  /** The server does not know this request. */
  unsupported: 8,
} as const;

/** A request, as sentences name it. */
export interface Action {
  /** "Cannot write "app.tar"". */
  readonly text: string;
  /** What the user needs the right for: "write files". */
  readonly right: string;
}

/** Where the requests go. */
export interface Place {
  /** The store's URL. */
  readonly url: string;
  /** "host:port". */
  readonly address: string;
  /** Who logs in. */
  readonly user: string;
  /** The folder. */
  readonly path: string;
}

/** The connection broke, or there never was one: the same request may succeed on a new one. */
export class LostError extends Error {}

/** The server or this side refuses, and will again. */
export class RefusedError extends Error {}

/** The status a server answered with, 0 for anything else. */
export function statusOf(error: unknown): number {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "number" ? code : 0;
}

/** Whether the same request may succeed on a new connection. */
export function isPassing(error: unknown): boolean {
  return error instanceof LostError;
}

/** The error to throw. Ours pass as they are. */
export function explain(error: unknown, action: Action, place: Place): Error {
  if (isOurs(error)) return error;
  return new StoreError(`${action.text} in ${place.url}: ${reason(error, action, place)}`, {
    cause: error,
    retryable: isPassing(error),
  });
}

function isOurs(error: unknown): error is Error {
  return [StoreError, ExistsError, NotFoundError, IntegrityError, KeyError, RangeError, TypeError].some((
    kind,
  ) => error instanceof kind);
}

function reason(error: unknown, { right }: Action, { user, path }: Place): string {
  const said = messageOf(error);
  switch (statusOf(error)) {
    case STATUS.absent:
      return `the server finds no such file or folder. Look whether "${path}" is still whole`;
    case STATUS.denied:
      return `the server denies it. Give the user "${user}" the right to ${right} in "${path}"`;
    case STATUS.failure:
      return `the server says only "${said}". Its log may say why: a full disk, a quota, a name in the way`;
    case STATUS.malformed:
      return `the server does not take the name ("${said}"): it may be too long for its file system`;
    case STATUS.unsupported:
      return `the server cannot do this ("${said}"). Choose another server`;
    default:
      return said;
  }
}
