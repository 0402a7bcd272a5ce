/**
 * Where a user's files lie, by the XDG base directory specification.
 *
 * @module
 */
import { isAbsolute, join } from "node:path";

/** The user's folder for notes between runs: `$XDG_STATE_HOME/holdfast`, else `~/.local/state/holdfast`; undefined without a home. */
export function stateFolder(env: (name: string) => string | undefined): string | undefined {
  return userFolder("XDG_STATE_HOME", join(".local", "state"), env);
}

/** `$VARIABLE/holdfast`, else `~/below/holdfast`. A relative value of an XDG variable is to be ignored. */
export function userFolder(
  variable: string,
  below: string,
  env: (name: string) => string | undefined,
): string | undefined {
  const base = env(variable);
  if (base !== undefined && isAbsolute(base)) return join(base, "holdfast");
  const home = env("HOME") ?? env("USERPROFILE");
  return home !== undefined && isAbsolute(home) ? join(home, below, "holdfast") : undefined;
}
