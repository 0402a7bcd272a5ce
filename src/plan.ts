/**
 * Makes a pipeline from a configuration's plan. Knows every collector and every recipe, and so is loaded only where there is a
 * configuration.
 *
 * @module
 */
import { dirname } from "node:path";
import * as archive from "./archive/mod.ts";
import * as collect from "./collect/mod.ts";
import * as compress from "./compress/mod.ts";
import type { CollectConfig, Config, KeyPath, PlanConfig, SourceConfig } from "./config.ts";
import {
  passphraseFrom,
  readIdentities,
  readPassphrase,
  readPassword,
  readRecipients,
} from "./config/keys.ts";
import { natsAuth } from "./config/nats.ts";
import type { ProseConfig } from "./config/prose.ts";
import { notifierOf } from "./config/notify.ts";
import { openpgpStage, signStage } from "./config/seal.ts";
import { stoppedStage } from "./config/stopped.ts";
import { storeOf } from "./config/stores.ts";
import { suggest } from "./config/words.ts";
import { monitor } from "./monitor.ts";
import * as encrypt from "./encrypt/mod.ts";
import { ConfigError, messageOf } from "./errors.ts";
import type { Plan } from "./find.ts";
import type { Job, Keys } from "./job.ts";
import { pipeline } from "./pipeline.ts";
import { type Policy, prune } from "./prune/mod.ts";
import { chattoCollector } from "./recipes/chatto/collector.ts";
import { chioCollector } from "./recipes/chio/plans.ts";
import { etcd, mariadb, postgres, postgresCluster, redis } from "./recipes/databases.ts";
import { proseFromConfig } from "./recipes/prose/from_config.ts";
import type { Archive, Files, Sealed, Stage, Store } from "./stage.ts";
import { upload } from "./upload/mod.ts";

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
  const stores = plan.upload.to.map((url, i) =>
    at(["upload", "to", i], () => storeOf(url, plan.upload.commands, folder))
  );
  const { collect } = plan;
  if (plan.stopped && collect.tool === "prose") {
    throw config.fail(
      ["plan", name, "stopped"],
      "Prose's own collector stops Prosody: say how in collect.prose",
    );
  }
  const stored = collect.tool === "prose"
    ? at(["collect", "prose"], () => proseFromConfig(plan, collect, stores, folder, keys))
    : chainOf({ plan, collect, stores, keys, folder, at }, name);
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

/** What a chain is made of. */
interface Parts {
  readonly plan: PlanConfig;
  readonly collect: Exclude<CollectConfig, ProseConfig>;
  readonly stores: readonly Store[];
  readonly keys: Keys;
  readonly folder: string;
  readonly at: At;
}

function chainOf({ plan, collect, stores, keys, folder, at }: Parts, name: string): Plan {
  const source = collector(collect, ["collect"], at, folder);
  let files = pipeline(
    plan.stopped ? at(["stopped"], () => stoppedStage(plan.stopped!, source, folder)) : source,
  ).pipe(
    at(["archive"], () => archive.tar(plan.archive.options)),
  );
  const { tool, options } = plan.compress;
  if (tool === "zstd") files = files.pipe(at(["compress"], () => compress.zstd(options)));
  if (tool === "gzip") files = files.pipe(at(["compress"], () => compress.gzip(options)));
  let sealed = at(["encrypt"], () => files.pipe(sealer(plan, keys, folder)));
  for (const [i, tool] of plan.sign.entries()) {
    sealed = sealed.pipe(at(["sign", i], () => signStage(tool, folder, keys)));
  }
  const stored = sealed.pipe(
    at(["upload"], () => upload({ name: plan.name ?? name, to: stores, require: plan.require })),
  );
  return plan.prune ? stored.pipe(at(["prune"], () => prune(plan.prune as Policy))) : stored;
}

function holdsSecrets(config: CollectConfig): boolean {
  if (config.tool === "group") return Object.values(config.members).some(holdsSecrets);
  return config.tool === "chatto" && config.options.includeConfig === true;
}

type At = <T>(path: KeyPath, make: () => T) => T;

function collector(config: Parts["collect"], path: KeyPath, at: At, folder: string): Stage<void, Files> {
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
  if (config.tool === "postgres") return at([...path, "postgres"], () => postgres(config.options));
  if (config.tool === "postgresCluster") {
    return at([...path, "postgresCluster"], () => postgresCluster(config.options));
  }
  if (config.tool === "mariadb") return at([...path, "mariadb"], () => mariadb(config.options));
  if (config.tool === "redis") {
    const { passwordFile, ...options } = config.options;
    const password = passwordFile === undefined ? undefined : () => readPassword(passwordFile);
    return at([...path, "redis"], () => redis({ ...options, password }));
  }
  if (config.tool === "etcd") {
    const { passwordFile, ...options } = config.options;
    const password = passwordFile === undefined ? undefined : () => readPassword(passwordFile);
    return at([...path, "etcd"], () => etcd({ ...options, password }));
  }
  return config.tool === "files"
    ? at([...path, "files"], () => collect.files(config.roots, config.options))
    : at([...path, "command"], () => collect.command(config.argv, { cwd: folder, ...config.options }));
}

function sealer(plan: PlanConfig, keys: Keys, folder: string): Stage<Archive, Sealed> {
  if (plan.encrypt.tool === "plaintext") return encrypt.plaintext();
  if (plan.encrypt.tool === "openpgp") return openpgpStage(plan.encrypt, folder, keys);
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
