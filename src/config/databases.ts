/**
 * The shape of `collect = { postgres = ... }`, and what such a plan may run.
 *
 * @module
 */
import { join } from "node:path";
import * as v from "valibot";
import { flag, number, table, text } from "./shape.ts";

/** `collect = { postgres = { ... } }` */
export interface DatabaseConfig {
  /** Which one. */
  readonly tool: "postgres";
  /** Its options. */
  readonly options: {
    readonly database?: string | undefined;
    readonly host?: string | undefined;
    readonly port?: number | undefined;
    readonly user?: string | undefined;
    readonly passfile?: string | undefined;
    readonly bin?: string | undefined;
    readonly rolePasswords?: boolean | undefined;
    readonly spoolDir?: string | undefined;
  };
}

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
    spoolDir: v.optional(path),
  });
  return v.pipe(
    table({ postgres: options }),
    v.transform(({ postgres }): DatabaseConfig => ({ tool: "postgres", options: postgres })),
  );
}

/** The programs that a backup runs. Files and sockets are theirs to open. */
export function databasePrograms({ options: { bin, database } }: DatabaseConfig): readonly string[] {
  const names = ["psql", "pg_dump", "pg_restore", ...(database === undefined ? ["pg_dumpall"] : [])];
  return names.map((name) => bin === undefined ? name : join(bin, name));
}
