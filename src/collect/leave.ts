/**
 * What a walk leaves out. What compiles globs and reads ignore files is loaded for who asks for them: most starts need neither.
 *
 * @module
 */
import type { IgnoreRules } from "./ignore.ts";

/** Tells whether a path below a root matches a list of globs. */
export type Matcher = (path: string, directory: boolean) => boolean;

/** As it is asked for. */
export interface LeaveOptions {
  /** Globs of what to store; none: everything. */
  readonly include: readonly string[];
  /** Globs of what to leave out. */
  readonly exclude: readonly string[];
  /** Names of ignore files, later ones stronger. */
  readonly ignoreFiles: readonly string[];
}

/** As a walk asks it. */
export interface Leave extends Pick<LeaveOptions, "ignoreFiles"> {
  /** What to store; undefined: everything. */
  readonly include: Matcher | undefined;
  /** What to leave out. */
  readonly exclude: Matcher | undefined;
  /** The rules of a root whose ignore files hold these texts; undefined where no such files are named. */
  readonly rulesOf: ((texts: readonly string[]) => IgnoreRules) | undefined;
}

/** Longest glob, in characters: a little less than what picomatch takes, which says so only when it compiles one. */
const MOST_CHARACTERS = 65_000;

/** A copy of the list: what is checked is what will be compiled. Throws TypeError for an empty or a negated glob: "all but" is too easily more than was meant. */
export function checkGlobs(list: readonly string[], option: "include" | "exclude"): readonly string[] {
  if (!Array.isArray(list)) throw new TypeError(`Cannot use "${option}": it must be a list of globs`);
  for (const glob of list) {
    if (typeof glob !== "string" || bare(glob) === "") {
      throw new TypeError(`Cannot use ${JSON.stringify(glob)} in "${option}": it is not a glob`);
    }
    if (glob.length > MOST_CHARACTERS) {
      throw new TypeError(
        `Cannot use "${
          glob.slice(0, 40)
        }..." in "${option}": it is longer than ${MOST_CHARACTERS} characters`,
      );
    }
    if (/^!(?!\()/.test(glob)) {
      throw new TypeError(
        `Cannot use "${glob}" in "${option}": negated globs are not supported. Use "include", or an ignore file`,
      );
    }
  }
  return [...list];
}

/** A glob without the slashes that say where it applies. */
export function bare(glob: string): string {
  return glob.replace(/^\.?\//, "").replace(/\/+$/, "");
}

/** Loads what is asked for. */
export async function leaving({ include, exclude, ignoreFiles }: LeaveOptions): Promise<Leave> {
  const named = include.length > 0 || exclude.length > 0;
  const compiled = named ? (await import("./globs.ts")).globs : () => undefined;
  const rulesOf = ignoreFiles.length > 0 ? (await import("./ignore.ts")).ignoreRules : undefined;
  return {
    include: compiled(include, "include"),
    exclude: compiled(exclude, "exclude"),
    ignoreFiles,
    rulesOf,
  };
}
