/**
 * The roots of a walk: what they are called, and where they really are.
 *
 * @module
 */
import { realpathSync } from "node:fs";
import { basename, resolve } from "node:path";
import { messageOf, NotFoundError } from "../errors.ts";
import type { Root } from "./extract.ts";
import { compareNames } from "./folder.ts";
import { problemOf } from "./read.ts";

/**
 * Names roots: a list by base names, a record by its keys; sorted as they will be stored. Throws TypeError for what cannot be
 * stored, or not apart.
 */
export function nameRoots(
  roots: string | readonly string[] | Readonly<Record<string, string>>,
): readonly Root[] {
  const list = typeof roots === "string" ? [roots] : roots;
  const pairs = Array.isArray(list)
    ? list.map((source: string) => [undefined, source] as const)
    : Object.entries(list as Readonly<Record<string, string>>);
  if (pairs.length === 0) throw new TypeError("Cannot collect files: no path is given");
  const named = pairs.map(([name, source]) => nameRoot(name, source));
  named.sort((a, b) => compareNames(a.path, b.path));
  named.forEach(({ path, source }, i) => {
    const other = named[i + 1];
    if (other?.path !== path) return;
    throw new TypeError(
      `Cannot store "${source}" and "${other.source}" both as "${path}". Name them: { first: "${source}", second: "${other.source}" }`,
    );
  });
  return named;
}

function nameRoot(name: string | undefined, path: string): Root {
  if (typeof path !== "string" || path === "" || path.includes("\0")) {
    throw new TypeError(`Cannot collect files: ${JSON.stringify(path)} is not a path`);
  }
  const source = resolve(path);
  const stored = name ?? basename(source);
  if (stored === "") {
    throw new TypeError(`Cannot store "${source}": it has no base name. Name it: { system: "${source}" }`);
  }
  if (/[/\0]/.test(stored) || stored === "." || stored === ".." || !stored.isWellFormed()) {
    throw new TypeError(
      `Cannot store "${source}" as ${JSON.stringify(stored)}: use one name without slashes`,
    );
  }
  return { path: stored, source };
}

/** A root with its links followed. Throws {@linkcode NotFoundError} when there is none. */
export function realRoot({ path, source }: Root): Root {
  try {
    return { path, source: realpathSync(source) };
  } catch (error) {
    throw rootError(source, error);
  }
}

/** The error for a root that cannot be read. */
export function rootError(source: string, cause: unknown): Error {
  if (problemOf(cause) === "vanished") {
    return new NotFoundError(`Cannot back up "${source}": it does not exist. Check the path`, { cause });
  }
  return new Error(`Cannot back up "${source}": ${messageOf(cause)}`, { cause });
}
