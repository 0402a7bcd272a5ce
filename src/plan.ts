/**
 * Makes pipelines from words: a configuration's plan, or a command line without one. The only file that knows every verb.
 *
 * @module
 */
import { dirname } from "node:path";
import * as archive from "./archive/mod.ts";
import * as collect from "./collect/mod.ts";
import * as compress from "./compress/mod.ts";
import type { CollectConfig, Config, KeyPath, PlanConfig, SourceConfig } from "./config.ts";
import { passphraseFrom, readIdentities, readPassphrase, readRecipients } from "./config/keys.ts";
import { natsAuth } from "./config/nats.ts";
import { notifierOf } from "./config/notify.ts";
import { openpgpStage, signStage } from "./config/seal.ts";
import { storeOf } from "./config/stores.ts";
import { suggest } from "./config/words.ts";
import { monitor } from "./monitor.ts";
import * as encrypt from "./encrypt/mod.ts";
import { ConfigError, messageOf } from "./errors.ts";
import { pipeline } from "./pipeline.ts";
import { type Policy, prune } from "./prune/mod.ts";
import { decodeReceipt } from "./receipt.ts";
import { chattoCollector } from "./recipes/chatto/collector.ts";
import { chioCollector } from "./recipes/chio/plans.ts";
import * as sign from "./sign/mod.ts";
import type { Archive, Files, Pipeline, Sealed, Stage, Stored } from "./stage.ts";
import * as store from "./store/mod.ts";
import { upload } from "./upload/mod.ts";

/** Programs around a plan's backup, as argument lists; no shell is involved. */
export interface Hooks {
  /** Before anything is read. Its failure is the run's. */
  readonly before?: readonly string[] | undefined;
  /** After a success. */
  readonly after?: readonly string[] | undefined;
  /** After a failure. */
  readonly failed?: readonly string[] | undefined;
  /** At the end, whatever happened. */
  readonly finally?: readonly string[] | undefined;
}

/** A pipeline with what a configuration says around it. */
export interface Job {
  /** What `--plan` calls it. */
  readonly name: string;
  /** The chain. */
  readonly plan: Pipeline<void, Stored>;
  /** Programs around a backup. */
  readonly hooks: Hooks;
  /** The drill's own words. */
  readonly drill: { readonly assert?: readonly string[] | undefined; readonly scratch?: string | undefined };
  /** The configuration's file, absolute; programs run in its folder. */
  readonly file?: string | undefined;
  /** What the configuration says; absent for a TypeScript plan. */
  readonly config?: PlanConfig | undefined;
}

/** Keys from the command line. */
export interface Keys {
  /** The text of identities, asked for only when something is decrypted. Wins over the plan's. */
  readonly identities?: (() => Promise<readonly string[]>) | undefined;
  /** The same, for a plan that names none. */
  readonly fallback?: (() => Promise<readonly string[]>) | undefined;
  /** The passphrase, asked for when it is needed. Wins over the plan's. */
  readonly passphrase?: (() => Promise<string>) | undefined;
}

/**
 * The plan called `name` of a configuration. Throws {@linkcode ConfigError} naming file, line and key for whatever a stage
 * refuses.
 */
export function jobFromConfig(config: Config, name: string, keys: Keys = {}): Job {
  const plan = config.plans.get(name);
  if (!plan) {
    const known = [...config.plans.keys()];
    throw new ConfigError(`Cannot find the plan "${name}" in "${config.file}". ${suggest(name, known)}`);
  }
  const at = <T>(path: KeyPath, make: () => T): T => {
    try {
      return make();
    } catch (cause) {
      if (cause instanceof ConfigError && cause.message.includes(config.file)) throw cause;
      throw config.fail(["plan", name, ...path], messageOf(cause), cause);
    }
  };
  // Programs run in the configuration's folder, wherever the caller stands.
  const folder = dirname(config.file);
  if (plan.encrypt.tool === "plaintext" && holdsSecrets(plan.collect)) {
    throw config.fail(
      ["plan", name, "collect"],
      "includeConfig needs encryption: chatto.toml holds every secret",
    );
  }
  let files = pipeline(collector(plan.collect, ["collect"], at, folder)).pipe(
    at(["archive"], () => archive.tar(plan.archive.options)),
  );
  const { tool, options } = plan.compress;
  if (tool === "zstd") files = files.pipe(at(["compress"], () => compress.zstd(options)));
  if (tool === "gzip") files = files.pipe(at(["compress"], () => compress.gzip(options)));
  let sealed = at(["encrypt"], () => files.pipe(sealer(plan, keys, folder)));
  for (const [i, tool] of plan.sign.entries()) {
    sealed = sealed.pipe(at(["sign", i], () => signStage(tool, folder)));
  }
  const stores = plan.upload.to.map((url, i) =>
    at(["upload", "to", i], () => storeOf(url, plan.upload.commands, folder))
  );
  let stored = sealed.pipe(
    at(["upload"], () => upload({ name: plan.name ?? name, to: stores, require: plan.require })),
  );
  if (plan.prune) stored = stored.pipe(at(["prune"], () => prune(plan.prune as Policy)));
  const { health, targets } = plan;
  const notify = plan.notify?.map((tool, i) => at(["notify", i], () => notifierOf(tool)));
  return {
    name,
    plan: at(
      ["targets"],
      () => monitor(at(["health"], () => monitor(stored, { health })), { health, targets, notify }),
    ),
    hooks: plan.hooks ?? {},
    drill: plan.drill ?? {},
    file: config.file,
    config: plan,
  };
}

function holdsSecrets(config: CollectConfig): boolean {
  if (config.tool === "group") return Object.values(config.members).some(holdsSecrets);
  return config.tool === "chatto" && config.options.includeConfig === true;
}

type At = <T>(path: KeyPath, make: () => T) => T;

function collector(config: CollectConfig, path: KeyPath, at: At, folder: string): Stage<void, Files> {
  if (config.tool !== "group") return source(config, path, at, folder);
  const members: Record<string, Stage<void, Files>> = {};
  for (const [name, member] of Object.entries(config.members)) {
    members[name] = source(member, [...path, "group", name], at, folder);
  }
  return at([...path, "group"], () => collect.group(members));
}

function source(config: SourceConfig, path: KeyPath, at: At, folder: string): Stage<void, Files> {
  if (config.tool === "sqlite") {
    return at([...path, "sqlite"], () => collect.sqlite(config.databases, config.options));
  }
  if (config.tool === "jetstream") {
    const { servers, options, secrets } = config;
    return at(
      [...path, "jetstream"],
      () => collect.jetstream({ ...options, servers, auth: natsAuth(secrets) }),
    );
  }
  if (config.tool === "chatto") {
    return at([...path, "chatto"], () => chattoCollector({ cwd: folder, ...config.options }));
  }
  if (config.tool === "chio") return at([...path, "chio"], () => chioCollector(config));
  return config.tool === "files"
    ? at([...path, "files"], () => collect.files(config.roots, config.options))
    : at([...path, "command"], () => collect.command(config.argv, { cwd: folder, ...config.options }));
}

function sealer(plan: PlanConfig, keys: Keys, folder: string): Stage<Archive, Sealed> {
  if (plan.encrypt.tool === "plaintext") return encrypt.plaintext();
  if (plan.encrypt.tool === "openpgp") return openpgpStage(plan.encrypt, folder);
  const options = plan.encrypt.options as AgeConfig;
  const { passphraseFile, passphraseCommand, identityFile, recipientsFile } = options;
  if (passphraseFile !== undefined && passphraseCommand !== undefined) {
    throw new TypeError("holds both passphraseFile and passphraseCommand: choose one");
  }
  const recipients = options.recipients === undefined && recipientsFile === undefined ? undefined : [
    ...options.recipients ?? [],
    ...(recipientsFile === undefined ? [] : readRecipients(recipientsFile)),
  ];
  const identities = keys.identities ??
    (identityFile === undefined ? keys.fallback : () => readIdentities(identityFile));
  const stated = passphraseFile !== undefined
    ? () => readPassphrase(passphraseFile)
    : passphraseCommand !== undefined
    ? () => passphraseFrom(passphraseCommand, folder)
    : undefined;
  const passphrase = stated && (keys.passphrase ?? stated);
  return encrypt.age({ recipients, passphrase, identities });
}

/** The options of `encrypt = { age = ... }` as the configuration's schema leaves them. */
interface AgeConfig {
  readonly recipients?: readonly string[] | undefined;
  readonly recipientsFile?: string | undefined;
  readonly identityFile?: readonly string[] | undefined;
  readonly passphraseFile?: string | undefined;
  readonly passphraseCommand?: readonly string[] | undefined;
}

/** A backup without a configuration. */
export interface AdHoc {
  /** What to back up, absolute. */
  readonly paths: readonly string[];
  /** The backup's name. */
  readonly name: string;
  /** The stores. */
  readonly to: readonly string[];
  /** Globs to leave out. */
  readonly exclude: readonly string[];
  /** Whether an unreadable file fails the run. */
  readonly strict: boolean;
  /** Public recipients; empty with a passphrase. */
  readonly recipients: readonly string[];
  /** Keys. */
  readonly keys: Keys;
}

/** The plan of a backup without a configuration: files, tar, zstd, age, sha256. Throws {@linkcode ConfigError}. */
export function adHocJob(options: AdHoc): Job {
  const { paths, exclude, strict, recipients, name, keys } = options;
  const chain = made(() =>
    pipeline(collect.files(paths, { exclude, strict }))
      .pipe(archive.tar())
      .pipe(compress.zstd())
      .pipe(encrypt.age(
        recipients.length > 0
          ? { recipients, identities: keys.identities ?? keys.fallback }
          : { passphrase: keys.passphrase },
      ))
      .pipe(sign.sha256())
      .pipe(upload({ name, to: options.to.map((url) => store.open(url)) }))
  );
  return { name, plan: chain, hooks: {}, drill: {} };
}

/** What to read without a configuration. */
export interface Opener {
  /** The stores. */
  readonly from: readonly string[];
  /** The backup's name. */
  readonly name: string;
  /** Keys. */
  readonly keys: Keys;
  /** Retention, for `prune`. */
  readonly policy?: Policy | undefined;
}

/**
 * The plan that reads backups without a configuration: every format is told by its content, and a checksum is asked for when the
 * receipt says there is one. It cannot back up.
 */
export function openerJob(options: Opener): Job {
  const { name, keys, policy } = options;
  const chain = made(() => {
    const opened = pipeline(collect.files(".", {}))
      .pipe(archive.tar())
      .pipe(compress.zstd())
      .pipe(encrypt.detect({ identities: keys.identities ?? keys.fallback, passphrase: keys.passphrase }))
      .pipe(statedChecksum())
      .pipe(upload({ name, to: options.from.map((url) => store.open(url)) }));
    return policy === undefined ? opened : opened.pipe(prune(policy));
  });
  return { name, plan: chain, hooks: {}, drill: {} };
}

/** sha256() where the receipt states it: a plan without a checksum opens as well, and a removed checksum shows. */
function statedChecksum(): Stage<Sealed, Sealed> {
  const stage = sign.sha256();
  return {
    name: stage.name,
    verb: "sign",
    run: stage.run,
    undo: (sealed, context) => {
      const { proof } = sealed;
      const receipt = proof && decodeReceipt(proof.receipt, proof.id);
      const stated = receipt?.event === "backup" &&
        receipt.stages.some(({ verb, tool }) => verb === "sign" && tool === "sha256");
      return stated ? stage.undo(sealed, context) : Promise.resolve(sealed);
    },
  };
}

/** What a stage refuses on the command line is wrong use. */
function made<T>(make: () => T): T {
  try {
    return make();
  } catch (cause) {
    if (cause instanceof TypeError || cause instanceof RangeError) {
      throw new ConfigError(messageOf(cause), { cause });
    }
    throw cause;
  }
}
