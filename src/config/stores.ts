/**
 * Stores that a configuration puts together itself: `upload = { to = "command:NAME", commands = { NAME = { put = [...] } } }`.
 *
 * @module
 */
import * as v from "valibot";
import * as store from "../store/mod.ts";
import { readSecretFile } from "../store/sftp/login.ts";
import type { Store } from "../stage.ts";
import { argv, mustBe, number, table } from "./shape.ts";

/** One store of programs, as the configuration says it. */
export interface CommandConfig extends Omit<store.CommandStoreOptions, "name" | "secrets" | "cwd"> {
  /** Variables whose values are in files. */
  readonly secretFiles?: Readonly<Record<string, string>> | undefined;
}

/** The schema of `upload.commands`. */
export function commandsSchema(
  path: v.GenericSchema<string, string>,
): v.GenericSchema<unknown, Readonly<Record<string, CommandConfig>>> {
  const missing = "is missing: the program and its arguments, a list";
  const secret =
    'a secret must not stand in a configuration. Put it in a file and write secretFiles = { NAME = "FILE" }';
  const one = table({
    put: argv,
    get: argv,
    list: argv,
    delete: argv,
    stat: v.optional(argv),
    getRange: v.optional(argv),
    move: v.optional(argv),
    env: v.optional(v.record(v.string(), v.string(mustBe("a string")), mustBe("a table of strings"))),
    secretFiles: v.optional(v.record(v.string(), path, mustBe("a table of files"))),
    timeoutMs: v.optional(number),
  }, { put: missing, get: missing, list: missing, delete: missing, secrets: secret });
  return v.record(v.string(), one, mustBe("a table of stores"));
}

/** The store of one entry of `upload.to`. Throws TypeError or RangeError, or ConfigError for what names no store. */
export function storeOf(
  url: string,
  commands: Readonly<Record<string, CommandConfig>> | undefined,
  cwd: string,
): Store {
  const name = /^command:(.+)$/.exec(url)?.[1];
  if (name === undefined) return store.open(url);
  const config = commands && Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (!config) {
    throw new TypeError(
      `no table says what "${url}" is: write upload.commands.${name} = { put = [...], ... }`,
    );
  }
  const { secretFiles = {}, ...options } = config;
  return store.command({
    ...options,
    name,
    cwd,
    secrets: async () => {
      const values: Record<string, string> = {};
      for (const [variable, file] of Object.entries(secretFiles)) {
        values[variable] = await readSecretFile(file);
      }
      return values;
    },
  });
}

/** The programs and files that such stores use. */
export function needsOf(
  config: CommandConfig,
): { readonly run: readonly string[]; readonly read: readonly string[] } {
  const { put, get, list, delete: remove, stat, getRange, move, secretFiles = {} } = config;
  const lists = [put, get, list, remove, stat, getRange, move];
  return {
    run: lists.map((words) => words?.[0]).filter((program) => program !== undefined),
    read: Object.values(secretFiles),
  };
}
