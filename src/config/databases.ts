/**
 * The shape of `collect = { postgres = ... }`, `{ redis = ... }` and their kin, and what such a plan may run.
 *
 * @module
 */
import { join } from "node:path";
import * as v from "valibot";
import type { EtcdOptions, MariadbOptions, PostgresOptions, RedisOptions } from "../recipes/databases.ts";
import { flag, mustBe, number, table, text } from "./shape.ts";

/** A password that lies in a file of its own. */
interface PasswordFile {
  readonly passwordFile?: string | undefined;
}

/** `collect = { postgres = { ... } }`, `{ redis = { ... } }`, `{ mariadb = { ... } }` or `{ etcd = { ... } }` */
export type DatabaseConfig =
  | { readonly tool: "postgres"; readonly options: Omit<PostgresOptions, "password"> }
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

/** The programs that a backup runs. Files and sockets are theirs to open, but for `passwordFile`. */
export function databasePrograms(config: DatabaseConfig): readonly string[] {
  if (config.tool === "redis") {
    const { bin, kind = "redis" } = config.options;
    return [bin === undefined ? `${kind}-cli` : join(bin, `${kind}-cli`)];
  }
  if (config.tool === "mariadb") {
    const { bin, kind = "mariadb" } = config.options;
    const names = kind === "mariadb" ? ["mariadb", "mariadb-dump"] : ["mysql", "mysqldump"];
    return names.map((name) => bin === undefined ? name : join(bin, name));
  }
  if (config.tool === "etcd") {
    const { bin } = config.options;
    return ["sh", ...["etcdctl", "etcdutl"].map((name) => bin === undefined ? name : join(bin, name))];
  }
  const { bin, database } = config.options;
  const names = ["psql", "pg_dump", "pg_restore", ...(database === undefined ? ["pg_dumpall"] : [])];
  return names.map((name) => bin === undefined ? name : join(bin, name));
}
