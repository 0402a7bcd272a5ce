/**
 * Database servers, by their own programs: consistent dumps that are read to their end before they are stored, and back. See the
 * README.
 *
 * @module
 */
export { postgres, type PostgresOptions } from "./databases/postgres.ts";
export { postgresCluster, type PostgresClusterOptions } from "./databases/postgres_cluster.ts";
export type { PostgresServer } from "./databases/postgres_server.ts";
export { redis, type RedisOptions } from "./databases/redis.ts";
export { mariadb, type MariadbOptions } from "./databases/mariadb.ts";
export { etcd, type EtcdOptions } from "./databases/etcd.ts";
export type { EtcdServer } from "./databases/etcd_server.ts";
