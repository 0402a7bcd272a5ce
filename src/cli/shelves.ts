/**
 * Where a command that reads backups looks for them.
 *
 * @module
 */
import { basename, dirname, join } from "node:path";
import { ConfigError, NotFoundError } from "../errors.ts";
import { parseName } from "../name.ts";
import { chattoNaming, eitherNaming, SHELF as CHATTO } from "../recipes/chatto/names.ts";
import { proseNaming } from "../recipes/prose/names.ts";
import { openerJob } from "../adhoc.ts";
import type { Naming } from "../stage.ts";
import type { Policy } from "../prune/mod.ts";
import * as store from "../store/mod.ts";
import type { Cli } from "../cli.ts";
import { type Choice, type ChoiceArgs, choosePlans, type KeyArgs, keysFrom } from "./choose.ts";
import { fromCaller, storeFromCaller } from "./folders.ts";

/** The arguments that say where to read without a configuration. */
export interface ShelfArgs extends ChoiceArgs, KeyArgs {
  /** `--from`. */
  readonly from: readonly string[];
  /** `--name`. */
  readonly name?: string | undefined;
}

/** What to read: the configuration's plans, or the stores named. */
export async function chooseShelves(
  args: ShelfArgs,
  cli: Cli,
  options: {
    readonly id?: string | undefined;
    readonly many?: boolean | undefined;
    readonly policy?: Policy | undefined;
  } = {},
): Promise<readonly Choice[]> {
  const keys = keysFrom(args, cli);
  const direct = args.from.length > 0 ? "--from" : args.name !== undefined ? "--name" : undefined;
  const chosen = await choosePlans(args, cli, keys, { direct, many: options.many });
  if (chosen) {
    refusePolicy(options.policy);
    return chosen;
  }
  const from = args.from.length > 0
    ? args.from.map((url) => storeFromCaller(url, cli.folder))
    : [await usualStore(cli.folder)];
  const names = await shelfNames(from, args.name, options.id);
  if (names.length === 0 && !options.many) {
    throw new NotFoundError(
      `Cannot find a backup in ${
        from.join(", ")
      }: there is none. Check --from, or make one with "backup PATH"`,
    );
  }
  if (names.length > 1 && !options.many) {
    throw new ConfigError(
      `Cannot choose a backup: ${from.join(", ")} holds several names. Pass --name: ${names.join(", ")}`,
    );
  }
  return names.map((name) => ({
    name,
    open: () =>
      Promise.resolve().then(() =>
        openerJob({ from, name, keys, naming: namingOf(name), policy: options.policy })
      ),
  }));
}

/** The store of `backup PATH` in this folder. Throws {@linkcode NotFoundError} where there is none: nobody has named one. */
async function usualStore(folder: string): Promise<string> {
  const path = join(folder, "backups");
  try {
    await Deno.stat(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new NotFoundError(
      `Cannot find backups: ${folder} holds neither a backup.toml nor a folder "backups". ` +
        "Pass --from STORE or --config FILE, or go to the folder where they were made",
    );
  }
  return path;
}

/** Chatto's backups have its own file names, and no plan that says so. */
function namingOf(name: string): Naming | undefined {
  return name === CHATTO ? eitherNaming : undefined;
}

/** What a plan keeps is the plan's to say; a rule that went unheard would cost backups. */
function refusePolicy(policy: Policy | undefined): void {
  const key = policy && Object.keys(policy)[0];
  if (key === undefined) return;
  const option = `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
  throw new ConfigError(
    `Cannot use ${option} together with a configuration: what is kept stands in its plan, as prune = { ... }. ` +
      "Change it there, or name the store with --from to go by the command line alone",
  );
}

/**
 * What an ID cannot be: the path of something that lies about, or does not. Says which, instead of looking for it in a store.
 * Throws {@linkcode NotFoundError} or {@linkcode ConfigError}; gives back when it is an ID.
 */
export async function refusePath(id: string, verb: string, args: PathArgs, cli: Cli): Promise<void> {
  if (
    id === "latest" || parseName(id) || chattoNaming.parse(id) || proseNaming.parse(id) ||
    args.from.length > 0
  ) return;
  const path = fromCaller(id, cli.folder);
  const info = await Deno.stat(path).catch(() => undefined);
  const advice = "Name a backup by its file name, as list shows it, or latest";
  if (info === undefined) {
    throw new NotFoundError(
      verb === "restore"
        ? `Cannot restore "${path}": there is no such file. Check the path; of a backup in a store give the file name alone, as list shows it, or latest`
        : `Cannot ${verb} "${path}": it does not exist. ${advice}`,
    );
  }
  if (info.isDirectory) {
    throw new ConfigError(
      `Cannot ${verb} "${path}": it is a folder. ${advice}; --from ${id} names its store`,
    );
  }
  throw new ConfigError(
    `Cannot ${verb} "${path}": it is a file, and ${verb} reads stores. ${
      parseName(basename(path))
        ? `Pass ${basename(path)} --from ${dirname(path)}`
        : `restore ${id} --into DIR --dry-run reads it to its end`
    }`,
  );
}

/** The arguments that say where an ID is looked for. */
interface PathArgs {
  /** `--from`. */
  readonly from: readonly string[];
}

/** The names backups in these stores have; just one where the command line settles it. */
async function shelfNames(
  from: readonly string[],
  name: string | undefined,
  id: string | undefined,
): Promise<readonly string[]> {
  if (name !== undefined) return [name];
  const parsed = id === undefined ? undefined : parseName(id) ?? chattoNaming.parse(id);
  if (parsed) return [parsed.name];
  const names = new Set<string>();
  const errors: unknown[] = [];
  for (const url of from) {
    try {
      for await (const { key } of store.open(url).list()) {
        const found = parseName(key) ?? chattoNaming.parse(key);
        if (found?.suffix.startsWith(".tar")) names.add(found.name);
      }
    } catch (error) {
      errors.push(error); // where one store is dead, the command says what that means
    }
  }
  if (errors.length === from.length) throw errors[0];
  return [...names].sort();
}
