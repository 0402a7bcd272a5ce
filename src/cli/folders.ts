/**
 * Where the caller stands, and where a user's keys and notes lie.
 *
 * @module
 */
import { isAbsolute, join, resolve } from "node:path";
import { isMemory, isUrl, NO_MEMORY } from "../config/shape.ts";
import { ConfigError } from "../errors.ts";
import { stateFolder as stateFolderOf, userFolder } from "../home.ts";

/** What is read of the process, so that a test can stand elsewhere. */
export interface Surroundings {
  /** An environment variable. */
  readonly env: (name: string) => string | undefined;
  /** The current folder. */
  readonly cwd: () => string;
}

const system: Surroundings = { env: (name) => Deno.env.get(name), cwd: () => Deno.cwd() };

/**
 * The folder relative paths on the command line mean. `deno task` moves to the folder of the configuration it found and leaves
 * the caller's in INIT_CWD. The variable is inherited by whatever a task starts, so it counts only where the current folder is
 * one that `deno task` would have moved to, and when it names an existing folder.
 */
export function callerFolder({ env, cwd }: Surroundings = system): string {
  const here = cwd();
  const caller = env("INIT_CWD");
  if (caller === undefined || !isAbsolute(caller) || !isFolder(caller)) return here;
  const marks = ["deno.json", "deno.jsonc", "package.json"];
  return marks.some((mark) => exists(join(here, mark))) ? resolve(caller) : here;
}

/** A path on the command line, absolute. */
export function fromCaller(path: string, folder: string): string {
  return resolve(folder, path);
}

/** A store on the command line: a URL as it is, a path absolute. Throws {@linkcode ConfigError} for the one in memory. */
export function storeFromCaller(store: string, folder: string): string {
  if (isMemory(store)) throw new ConfigError(NO_MEMORY);
  return isUrl(store) ? store : resolve(folder, store);
}

/** The user's folder for keys: `$XDG_CONFIG_HOME/holdfast`, else `~/.config/holdfast`. Throws {@linkcode ConfigError} without a home. */
export function configFolder(surroundings: Surroundings = system): string {
  const folder = userFolder("XDG_CONFIG_HOME", ".config", surroundings.env);
  if (folder !== undefined) return folder;
  throw new ConfigError(
    "Cannot find your configuration folder: HOME is not set. Set HOME, or pass --recipient",
  );
}

/** The user's folder for notes between runs: `$XDG_STATE_HOME/holdfast`, else `~/.local/state/holdfast`; undefined without a home. */
export function stateFolder(surroundings: Surroundings = system): string | undefined {
  return stateFolderOf(surroundings.env);
}

function isFolder(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}
