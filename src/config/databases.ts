/**
 * The shape of `collect = { postgres = ... }`, `{ redis = ... }` and their kin, and what such a plan may run.
 *
 * @module
 */
import { join } from "node:path";
import * as v from "valibot";
import type {
  EtcdOptions,
  MariadbOptions,
  PostgresClusterOptions,
  PostgresOptions,
  RedisOptions,
} from "../recipes/databases.ts";
import { flag, mustBe, number, table, text } from "./shape.ts";

/** A password that lies in a file of its own. */
interface PasswordFile {
  readonly passwordFile?: string | undefined;
}

/** `collect = { postgres = { ... } }`, `{ redis = { ... } }`, `{ mariadb = { ... } }` or `{ etcd = { ... } }` */
export type DatabaseConfig =
  | { readonly tool: "postgres"; readonly options: Omit<PostgresOptions, "password"> }
  | { readonly tool: "postgresCluster"; readonly options: Omit<PostgresClusterOptions, "password"> }
  | {
    readonly tool: "redis";
    readonly options: Omit<RedisOptions, "password"> & PasswordFile;
  }
  | { readonly tool: "etcd"; readonly options: Omit<EtcdOptions, "password"> & PasswordFile }
  | { readonly tool: "mariadb"; readonly options: MariadbOptions };

/** The schema of `collect = { postgres = ... }` with paths read by `path`. */
export function postgresSchema(
  path: v.GenericSchema<string, string>,
): v.GenericSchema<unknown, DatabaseConfig> {
  const options = table({
    database: v.optional(text),
    host: v.optional(text),
    port: v.optional(number),
    user: v.optional(text),
    passfile: v.optional(path),
    bin: v.optional(path),
    rolePasswords: flag,
    anyVersion: flag,
    spoolDir: v.optional(path),
  });
  return v.pipe(
    table({ postgres: options }),
    v.transform(({ postgres }): DatabaseConfig => ({ tool: "postgres", options: postgres })),
  );
}

/** The schema of `collect = { postgresCluster = ... }` with paths read by `path`. */
export function clusterSchema(
  path: v.GenericSchema<string, string>,
): v.GenericSchema<unknown, DatabaseConfig> {
  const options = table({
    host: v.optional(text),
    port: v.optional(number),
    user: v.optional(text),
    passfile: v.optional(path),
    bin: v.optional(path),
    dataDir: v.optional(path),
  });
  return v.pipe(
    table({ postgresCluster: options }),
    v.transform(({ postgresCluster }): DatabaseConfig => ({
      tool: "postgresCluster",
      options: postgresCluster,
    })),
  );
}

/** The schema of `collect = { redis = ... }` with paths read by `path`. */
export function redisSchema(
  path: v.GenericSchema<string, string>,
): v.GenericSchema<unknown, DatabaseConfig> {
  const options = table({
    host: v.optional(text),
    port: v.optional(number),
    socket: v.optional(path),
    user: v.optional(text),
    passwordFile: v.optional(path),
    tls: flag,
    kind: v.optional(v.picklist(["redis", "valkey"], mustBe('"redis" or "valkey"'))),
    bin: v.optional(path),
    file: v.optional(path),
    anyVersion: flag,
    spoolDir: v.optional(path),
  });
  return v.pipe(
    table({ redis: options }),
    v.transform(({ redis }): DatabaseConfig => ({ tool: "redis", options: redis })),
  );
}

/** The schema of `collect = { mariadb = ... }` with paths read by `path`. */
export function mariadbSchema(
  path: v.GenericSchema<string, string>,
): v.GenericSchema<unknown, DatabaseConfig> {
  const options = table({
    database: v.optional(text),
    host: v.optional(text),
    port: v.optional(number),
    socket: v.optional(path),
    user: v.optional(text),
    defaultsFile: v.optional(path),
    kind: v.optional(v.picklist(["mariadb", "mysql"], mustBe('"mariadb" or "mysql"'))),
    bin: v.optional(path),
    anyVersion: flag,
    spoolDir: v.optional(path),
  });
  return v.pipe(
    table({ mariadb: options }),
    v.transform(({ mariadb }): DatabaseConfig => ({ tool: "mariadb", options: mariadb })),
  );
}

/** The schema of `collect = { etcd = ... }` with paths read by `path`. */
export function etcdSchema(
  path: v.GenericSchema<string, string>,
): v.GenericSchema<unknown, DatabaseConfig> {
  const options = table({
    endpoint: v.optional(text),
    cacert: v.optional(path),
    cert: v.optional(path),
    key: v.optional(path),
    user: v.optional(text),
    passwordFile: v.optional(path),
    bin: v.optional(path),
    dataDir: v.optional(path),
    name: v.optional(text),
    initialCluster: v.optional(text),
    initialAdvertisePeerUrls: v.optional(text),
    initialClusterToken: v.optional(text),
    anyVersion: flag,
    spoolDir: v.optional(path),
  });
  return v.pipe(
    table({ etcd: options }),
    v.transform(({ etcd }): DatabaseConfig => ({ tool: "etcd", options: etcd })),
  );
}

const TOOLS: readonly string[] = ["postgres", "postgresCluster", "redis", "mariadb", "etcd"];

/** Whether a source is a database's server. */
export function isDatabase(config: { readonly tool: string }): config is DatabaseConfig {
  return TOOLS.includes(config.tool);
}

/** What a backup runs and reads. Certificates and sockets are the programs' own to open. */
export interface DatabaseNeeds {
  readonly run: readonly string[];
  readonly read: readonly string[];
  readonly env: readonly string[];
  /** Where dumps wait; undefined: the system's temporary folder, false: nowhere. */
  readonly spoolDir: string | undefined | false;
}

/** What a database's backup needs. */
export function databaseNeeds(config: DatabaseConfig): DatabaseNeeds {
  const { options } = config;
  const run = programs(config).map((name) => options.bin === undefined ? name : join(options.bin, name));
  if (config.tool === "etcd") run.push("sh");
  const passwordFile = "passwordFile" in options ? options.passwordFile : undefined;
  return {
    run,
    read: passwordFile === undefined ? [] : [passwordFile],
    env: config.tool.startsWith("postgres") ? ["PGCONNECT_TIMEOUT"] : [],
    spoolDir: config.tool === "postgresCluster" ? false : config.options.spoolDir,
  };
}

function programs(config: DatabaseConfig): readonly string[] {
  switch (config.tool) {
    case "redis":
      return [`${config.options.kind ?? "redis"}-cli`];
    case "mariadb":
      return config.options.kind === "mysql" ? ["mysql", "mysqldump"] : ["mariadb", "mariadb-dump"];
    case "etcd":
      return ["etcdctl", "etcdutl"];
    case "postgresCluster":
      return ["psql", "pg_basebackup"];
    case "postgres":
      return [
        "psql",
        "pg_dump",
        "pg_restore",
        ...(config.options.database === undefined ? ["pg_dumpall"] : []),
      ];
  }
}
