/**
 * Which stored paths a restore asks for: `--only`, compiled (picomatch).
 *
 * @module
 */
import picomatch from "picomatch";
import { ConfigError, messageOf } from "../errors.ts";
import { rawOf } from "../raw_name.ts";
import { type Asked, parentOf, quote } from "./select.ts";

/** What `--only` asks for. Throws {@linkcode ConfigError} for globs that are none. */
export function askedFor(only: readonly string[]): Asked {
  // What is shown of a name that is not UTF-8 finds it.
  const asked = only.map(rawOf);
  const tests = asked.map(compiled);
  const hit = only.map(() => false);
  let folder = "";
  let inside = false;
  function matches(path: string): boolean {
    let any = false;
    tests.forEach((test, i) => {
      // A plain name with glob characters in it still means itself.
      if (path === asked[i] || test(path)) any = hit[i] = true;
    });
    return any;
  }
  function insideMatch(path: string): boolean {
    if (path === "") return false;
    if (path !== folder) {
      inside = insideMatch(parentOf(path)) || matches(path);
      folder = path;
    }
    return inside;
  }
  return {
    wanted: (path) => insideMatch(parentOf(path)) || matches(path),
    unmatched: () => only.filter((_, i) => !hit[i]),
  };
}

function compiled(glob: string): (path: string) => boolean {
  const bare = glob.replace(/\/+$/, "");
  if (bare === "") {
    throw new ConfigError(
      `Cannot restore with --only ${quote(glob)}: it names nothing. Leave --only out to restore everything`,
    );
  }
  try {
    return picomatch(bare, { dot: true, nonegate: true });
  } catch (cause) {
    throw new ConfigError(`Cannot restore with --only ${quote(glob)}: ${messageOf(cause)}`, { cause });
  }
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
