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

type DatabaseTool = DatabaseConfig["tool"];
type OptionsOf<T extends DatabaseTool> = Extract<DatabaseConfig, { readonly tool: T }>["options"];

/** The schemas of `collect = { postgres = ... }` and its kin with paths read by `path`. */
export function databaseSchemas(
  path: v.GenericSchema<string, string>,
): Readonly<Record<DatabaseTool, v.GenericSchema<unknown, DatabaseConfig>>> {
  const login = { user: v.optional(text), bin: v.optional(path) };
  const server = { ...login, host: v.optional(text), port: v.optional(number) };
  const dump = { anyVersion: flag, spoolDir: v.optional(path) };
  const postgres = { ...server, passfile: v.optional(path) };
  return {
    postgres: named(
      "postgres",
      table({ ...postgres, ...dump, database: v.optional(text), rolePasswords: flag }),
    ),
    postgresCluster: named("postgresCluster", table({ ...postgres, dataDir: v.optional(path) })),
    redis: named(
      "redis",
      table({
        ...server,
        ...dump,
        socket: v.optional(path),
        passwordFile: v.optional(path),
        tls: flag,
        kind: v.optional(v.picklist(["redis", "valkey"], mustBe('"redis" or "valkey"'))),
        file: v.optional(path),
      }),
    ),
    mariadb: named(
      "mariadb",
      table({
        ...server,
        ...dump,
        database: v.optional(text),
        socket: v.optional(path),
        defaultsFile: v.optional(path),
        kind: v.optional(v.picklist(["mariadb", "mysql"], mustBe('"mariadb" or "mysql"'))),
      }),
    ),
    etcd: named(
      "etcd",
      table({
        ...login,
        ...dump,
        endpoint: v.optional(text),
        cacert: v.optional(path),
        cert: v.optional(path),
        key: v.optional(path),
        passwordFile: v.optional(path),
        dataDir: v.optional(path),
        name: v.optional(text),
        initialCluster: v.optional(text),
        initialAdvertisePeerUrls: v.optional(text),
        initialClusterToken: v.optional(text),
      }),
    ),
  };
}

/** `{ TOOL = { ... } }` */
function named<T extends DatabaseTool>(
  tool: T,
  options: v.GenericSchema<unknown, OptionsOf<T>>,
): v.GenericSchema<unknown, DatabaseConfig> {
  return v.pipe(
    table({ [tool]: options }),
    v.transform((said) => ({ tool, options: said[tool] }) as unknown as DatabaseConfig),
  );
}

/** What a source that is a database's server is called. */
export const DATABASES: readonly DatabaseTool[] = ["postgres", "postgresCluster", "redis", "mariadb", "etcd"];

/** Whether a source is a database's server. */
export function isDatabase(config: { readonly tool: string }): config is DatabaseConfig {
  return DATABASES.some((tool) => tool === config.tool);
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
