/**
 * What a walk leaves out: globs of the plan, and ignore files that lie in the tree.
 *
 * @module
 */
import ignore from "ignore";
import picomatch from "picomatch";

/** Tells whether a path below a root matches a list of globs. */
export type Matcher = (path: string, directory: boolean) => boolean;

/**
 * Compiles globs (picomatch; dot files match). A glob without a slash matches a name at any depth, as in a .gitignore; one with a
 * slash matches the whole path below the root, and a leading slash only anchors it. A trailing slash matches folders only; in
 * `exclude`, a trailing `/**` leaves the folder itself, empty, as in a .gitignore. Throws TypeError for an empty or a negated glob: "all but" is too easily more than was meant.
 */
export function globs(list: readonly string[], option: "include" | "exclude"): Matcher | undefined {
  const tests = list.map((glob) => compile(glob, option));
  if (tests.length === 0) return undefined;
  return (path, directory) => {
    const name = path.slice(path.lastIndexOf("/") + 1);
    return tests.some((test) => test(path, name, directory));
  };
}

function compile(
  glob: string,
  option: string,
): (path: string, name: string, directory: boolean) => boolean {
  if (typeof glob !== "string" || glob.replaceAll("/", "") === "") {
    throw new TypeError(`Cannot use ${JSON.stringify(glob)} in "${option}": it is not a glob`);
  }
  if (/^!(?!\()/.test(glob)) {
    throw new TypeError(
      `Cannot use "${glob}" in "${option}": negated globs are not supported. Use "include", or an ignore file`,
    );
  }
  const foldersOnly = glob.endsWith("/");
  const bare = glob.replace(/^\.?\//, "").replace(/\/+$/, "");
  const anchored = bare.includes("/") || /^\.?\//.test(glob);
  const inside = option === "exclude" ? bare.replace(/\/\*\*$/, "/**/*") : bare;
  // Flag "s": a name may hold a newline.
  const match = picomatch(inside, { dot: true, flags: "s" });
  return (path, name, directory) => (directory || !foldersOnly) && match(anchored ? path : name);
}

/** The rules that hold in one folder: those of its own ignore files and of every folder above it. */
export interface IgnoreRules {
  /** Whether the entry `name` of this folder is left out. */
  readonly ignores: (name: string, directory: boolean) => boolean;
  /** The rules inside the folder `name`, with the text of its ignore files, last one strongest. */
  readonly enter: (name: string, texts: readonly string[]) => IgnoreRules;
}

/** One folder's own rules, as they apply `below` that folder (a path with a trailing slash, or ""). */
interface Level {
  readonly below: string;
  readonly rules: ignore.Ignore;
}

/** The rules of a root whose ignore files hold `texts`. Semantics of gitignore(5): deeper files win, then later lines. */
export function ignoreRules(texts: readonly string[]): IgnoreRules {
  return rulesOf(withOwn([], texts));
}

/** Levels are deepest first. The matcher remembers every path it saw, so each folder gets a copy, and memory stays flat. */
function rulesOf(levels: readonly Level[]): IgnoreRules {
  return {
    ignores: (name, directory) => verdict(levels, directory ? `${name}/` : name),
    enter: (name, texts) => rulesOf(withOwn(levels.map((level) => enterLevel(level, name)), texts)),
  };
}

function verdict(levels: readonly Level[], name: string): boolean {
  for (const { below, rules } of levels) {
    const { ignored, unignored } = rules.test(below + name);
    if (ignored || unignored) return ignored;
  }
  return false;
}

function enterLevel(level: Level, name: string): Level {
  const below = `${level.below}${name}/`;
  const rules = ignore({ ignoreCase: false }).add(level.rules);
  // We are inside, so a deeper file took this folder back in; the matcher would still leave out all that is in it.
  if (level.rules.test(below).ignored) rules.add({ pattern: `!/${escape(below)}` });
  return { below, rules };
}

function withOwn(levels: readonly Level[], texts: readonly string[]): readonly Level[] {
  if (texts.length === 0) return levels;
  const rules = ignore({ ignoreCase: false });
  for (const text of texts) rules.add(text);
  return [{ below: "", rules }, ...levels];
}

function escape(path: string): string {
  return path.replaceAll(/[\\*?[\] ]/g, "\\$&");
}

/** Whether a stored path, or a folder above it, matches one of the globs of a restore request; with none, all are wanted. */
export function wantedBy(only: readonly string[]): (path: string) => boolean {
  const tests = only.map((glob) =>
    picomatch(glob.replace(/\/+$/, ""), { dot: true, flags: "s", nonegate: true })
  );
  return (path) => {
    if (tests.length === 0) return true;
    for (let end = path.length; end > 0; end = path.lastIndexOf("/", end - 1)) {
      const part = path.slice(0, end);
      if (only.includes(part) || tests.some((test) => test(part))) return true;
    }
    return false;
  };
}
