/**
 * What ignore files that lie in a tree leave out.
 *
 * @module
 */
import ignore from "ignore";

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
