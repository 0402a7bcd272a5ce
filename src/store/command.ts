/**
 * Any program as a store: verbs in, exit codes out.
 *
 * @module
 */
import type { Store } from "../stage.ts";
import { list, look, read } from "./command/get.ts";
import { checkOptions, type CommandStoreOptions, fill } from "./command/options.ts";
import { programsOf } from "./command/program.ts";
import { write } from "./command/put.ts";
import { checkKey } from "./key.ts";

export type { CommandStoreOptions } from "./command/options.ts";

/**
 * Keeps objects wherever programs put them. Each verb is a list of a program and its arguments; a program that does not end with
 * exit code 0 has failed, and its last words are in the error. What was put is looked up, and its size compared, before it counts.
 *
 * Two promises rest on the programs. Whole or not at all: give `move`, unless `put` shows nothing before it is whole. A key that
 * must be new: this process looks first and lets one writer of a key work at a time, and no program can do more, so of two
 * machines that write one name in the same moment the later one stands; leases are then good manners and no lock. Let one machine
 * write a name. Ranges without `getRange` read the whole and drop the rest, so that reading one file of an archive costs the archive.
 *
 * Throws TypeError or RangeError for options that cannot work.
 *
 * @example
 * ```ts ignore
 * store.command({ name: "tape", put: ["tape", "put", "{key}"], get: ["tape", "get", "{key}"], list: ["tape", "ls"], delete: ["tape", "rm", "{key}"] });
 * ```
 */
export function command(options: CommandStoreOptions): Store {
  return storeOf(options, `command:${options.name}`);
}

/** Options of {@linkcode rclone}. */
export interface RcloneOptions {
  /** Arguments of every call: `["--config", "/etc/rclone.conf"]`. Default: none. */
  readonly flags?: readonly string[] | undefined;
  /** Variables with secrets, such as RCLONE_CONFIG_PASS. */
  readonly secrets?: CommandStoreOptions["secrets"];
  /** As of {@linkcode CommandStoreOptions}. */
  readonly timeoutMs?: number | undefined;
}

/**
 * Everything that rclone reaches, by a folder of a remote: "gdrive:backups". The folder must be there (`rclone mkdir`). What
 * {@linkcode command} says about promises holds here.
 */
export function rclone(remote: string, options: RcloneOptions = {}): Store {
  const { flags = [], ...rest } = options;
  // deno-lint-ignore no-control-regex -- control characters are what it looks for
  if (remote === "" || remote.startsWith("-") || /[{}\u0000-\u001f]/.test(remote)) {
    throw new TypeError(`Cannot use ${JSON.stringify(remote)} as a remote: give "NAME:FOLDER"`);
  }
  const at = (word: string): string => /[:/]$/.test(remote) ? `${remote}{${word}}` : `${remote}/{${word}}`;
  const call = (...words: string[]): string[] => ["rclone", ...flags, ...words];
  return storeOf({
    ...rest,
    name: "rclone",
    put: call("rcat", at("key")),
    get: call("cat", at("key")),
    getRange: call("cat", "--offset", "{start}", "--count", "{count}", at("key")),
    list: call("lsjson", "-R", "--files-only", "--no-mimetype", remote),
    stat: call("lsjson", "--stat", "--no-mimetype", at("key")),
    delete: call("deletefile", at("key")),
    move: call("moveto", at("from"), at("to")),
  }, `rclone:${remote}`);
}

function storeOf(options: CommandStoreOptions, url: string): Store {
  checkOptions(options);
  const programs = programsOf(options, url);
  const turns = new Map<string, Promise<void>>();

  /** One writer of a key at a time. */
  async function inTurn(key: string, work: () => Promise<void>): Promise<void> {
    const before = turns.get(key);
    const mine = (async () => {
      await before?.catch(() => {});
      await work();
    })();
    turns.set(key, mine);
    try {
      await mine;
    } finally {
      if (turns.get(key) === mine) turns.delete(key);
    }
  }

  return {
    url,
    put: async (key, body, putOptions = {}) => {
      checkKey(key);
      await inTurn(key, () => write(programs, key, body, putOptions));
    },
    get: async (key, range) => await read(programs, checkKey(key), range),
    head: async (key) => await look(programs, checkKey(key), `Cannot look up "${key}"`),
    list: (prefix = "") => list(programs, prefix),
    delete: async (key) => {
      const action = `Cannot delete "${checkKey(key)}"`;
      const argv = fill(options.delete, { key });
      try {
        await programs.output(action, argv);
      } catch (error) {
        if (await look(programs, key, action)) throw error; // else: of nothing, which is fine
      }
    },
  };
}
