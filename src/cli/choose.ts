/**
 * Which plans a command line means.
 *
 * @module
 */
import { extname, join } from "node:path";
import { type KeyFiles, readKeyFiles } from "../config/keys.ts";
import { suggest } from "../config/words.ts";
import { ConfigError, KeyError, messageOf } from "../errors.ts";
import type { Job, Keys } from "../job.ts";
import type { Cli } from "../cli.ts";
import { EXIT, gravest } from "./exit.ts";
import { fromCaller } from "./folders.ts";
import { ownIdentities } from "./identity.ts";
import { jobsFromModule } from "./modules.ts";
import { askPassphrase, passphraseFromFile } from "./passphrase.ts";

/** A plan that is made when its turn comes, so that one that cannot be made does not stop the others. */
export interface Choice {
  /** Its name. */
  readonly name: string;
  /** Makes it. */
  readonly open: () => Promise<Job>;
}

/** The arguments that choose. */
export interface ChoiceArgs {
  /** `--config`. */
  readonly config?: string | undefined;
  /** `--plan`. */
  readonly plan?: string | undefined;
  /** `--all`. */
  readonly all?: boolean | undefined;
}

/** The arguments that give keys. */
export interface KeyArgs {
  /** `--identity`. */
  readonly identity: readonly string[];
  /** `--passphrase-file`. */
  readonly passphraseFile?: string | undefined;
}

/** Keys for reading, none of which is read before something asks. */
export function keysFrom(args: KeyArgs, cli: Cli): Keys {
  const files = args.identity.map((file) => fromCaller(file, cli.folder));
  const { passphraseFile } = args;
  let read: Promise<KeyFiles> | undefined;
  const given = files.length > 0 ? () => read ??= readKeyFiles(files) : undefined;
  return {
    identities: given && (async () => (await given()).identities),
    secretKeys: given && (async () => (await given()).secretKeys),
    unlock: unlocking(cli),
    fallback: ownIdentities,
    passphrase: passphraseFile === undefined
      ? undefined
      : () => passphraseFromFile(passphraseFile, (path) => fromCaller(path, cli.folder)),
    prompt: async () => {
      cli.clear();
      if (Deno.stdin.isTerminal()) return await askPassphrase(false);
      throw new KeyError(
        "Cannot decrypt: it is encrypted with a passphrase. Pass --passphrase-file FILE, or - for standard input",
      );
    },
  };
}

/** Asks for the passphrases of secret keys, one after the other, and for each once. */
function unlocking(cli: Cli): (what: string) => Promise<string> {
  const known = new Map<string, Promise<string>>();
  let turn: Promise<unknown> = Promise.resolve();
  async function ask(what: string): Promise<string> {
    cli.clear();
    const seen = Deno.stdin.isTerminal() && Deno.stderr.isTerminal();
    if (seen) return await askPassphrase(false, `Passphrase of ${what}`);
    throw new KeyError(
      `Cannot unlock ${what}: it has a passphrase, and there is no terminal to ask on. Name passphraseFile = "FILE" or ` +
        "passphraseCommand beside it in the configuration, or to read pass --passphrase-file FILE",
    );
  }
  return (what) => {
    let answer = known.get(what);
    if (!answer) {
      turn = answer = turn.then(() => ask(what), () => ask(what));
      known.set(what, answer);
    }
    return answer;
  };
}

/**
 * The plans of the configuration that counts: `--config`, else backup.toml in the caller's folder. Undefined without one, and
 * when `direct` says that the command line names things of its own: then a configuration named as well is an error.
 */
export async function choosePlans(
  args: ChoiceArgs,
  cli: Cli,
  keys: Keys,
  options: { readonly direct?: string | undefined; readonly many?: boolean | undefined } = {},
): Promise<readonly Choice[] | undefined> {
  const { direct, many } = options;
  const given = args.config ?? args.plan ?? (args.all ? "--all" : undefined);
  if (direct !== undefined) {
    if (given === undefined) return undefined;
    throw new ConfigError(
      `Cannot use ${direct} together with --config, --plan or --all: a configuration's plan says it itself`,
    );
  }
  const file = args.config === undefined ? await defaultConfig(cli) : fromCaller(args.config, cli.folder);
  if (file === undefined) {
    if (given === undefined) return undefined;
    throw new ConfigError(
      `Cannot find a configuration: ${cli.folder} holds no backup.toml. Pass --config FILE`,
    );
  }
  const choices = await openFile(file, keys);
  if (args.plan !== undefined) {
    if (args.all) throw new ConfigError("Cannot use both --plan and --all: choose one");
    const choice = choices.find(({ name }) => name === args.plan);
    if (choice) return [choice];
    throw new ConfigError(
      `Cannot find the plan "${args.plan}" in "${file}". ${
        suggest(args.plan, choices.map(({ name }) => name))
      }`,
    );
  }
  if (choices.length === 1 || args.all || many) return choices;
  throw new ConfigError(
    `Cannot choose a plan: "${file}" holds ${choices.length}. Pass --plan NAME: ${
      choices.map(({ name }) => name).join(", ")
    }`,
  );
}

async function openFile(file: string, keys: Keys): Promise<Choice[]> {
  if (extname(file) === ".toml") {
    // Loaded only here: every collector, recipe and notifier comes along.
    const [{ readConfig }, { jobFromConfig }] = await Promise.all([
      import("../config.ts"),
      import("../plan.ts"),
    ]);
    const config = await readConfig(file);
    return [...config.plans.keys()].map((name) => ({
      name,
      open: () => Promise.resolve().then(() => jobFromConfig(config, name, keys)),
    }));
  }
  if (/^\.[cm]?[jt]s$/.test(extname(file))) {
    return [...await jobsFromModule(file)].map(([name, job]) => ({ name, open: () => Promise.resolve(job) }));
  }
  throw new ConfigError(`Cannot use the configuration "${file}": it is neither a .toml nor a .ts file`);
}

async function defaultConfig(cli: Cli): Promise<string | undefined> {
  const file = join(cli.folder, "backup.toml");
  try {
    return (await Deno.stat(file)).isFile ? file : undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw new ConfigError(`Cannot look for "${file}": ${(error as Error).message}`, { cause: error });
  }
}

/** Runs a command for each plan; one that fails does not stop the next. Gives the gravest exit code. */
export async function eachPlan(
  choices: readonly Choice[],
  cli: Cli,
  run: (job: Job) => Promise<number>,
  failed: (name: string, error: unknown, code: number) => void = () => {},
): Promise<number> {
  const codes: number[] = [];
  for (const { name, open } of choices) {
    if (codes.includes(EXIT.cancelled)) break;
    try {
      codes.push(await run(await open()));
    } catch (error) {
      const code = cli.fail(error, choices.length > 1 ? name : undefined);
      failed(name, error, code);
      codes.push(code);
    }
  }
  return gravest(codes);
}

/** With `--json`, a plan that failed is a line as well. */
export function failedAsJson(
  { json }: { readonly json?: boolean | undefined },
  { terminal }: Cli,
): (plan: string, error: unknown, exitCode: number) => void {
  return (plan, error, exitCode) => {
    if (json) terminal.out(JSON.stringify({ plan, exitCode, error: messageOf(error) }));
  };
}

/** Where a plan's backups lie, for people: every run says it. */
export function whereOf(job: Job): string {
  return job.plan.shelf?.stores.map(({ url }) => url).join(", ") ?? "nowhere";
}
