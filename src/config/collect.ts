/**
 * The shape of `collect`.
 *
 * @module
 */
import * as v from "valibot";
import type { SqliteOptions } from "../collect/sqlite/options.ts";
import { type ChioConfig, chioSchema } from "./chio.ts";
import { type DatabaseConfig, DATABASES, databaseSchemas } from "./databases.ts";
import { type ChattoConfig, chattoSchema, type JetStreamConfig, jetstreamSchema } from "./nats.ts";
import { argv, flag, isTable, mustBe, number, oneOrMore, refuse, table, text, texts } from "./shape.ts";
import { type ProseConfig, proseSchema } from "./prose.ts";
import { kindOf, suggest } from "./words.ts";

/** Files, a program's output, databases, or a NATS server's streams. */
export type SourceConfig =
  | {
    readonly tool: "files";
    readonly roots: readonly string[] | Readonly<Record<string, string>>;
    readonly options: FilesConfig;
  }
  | { readonly tool: "command"; readonly argv: readonly string[]; readonly options: CommandConfig }
  | {
    readonly tool: "sqlite";
    readonly databases: readonly string[] | Readonly<Record<string, string>>;
    readonly options: SqliteOptions;
  }
  | JetStreamConfig
  | ChattoConfig
  | ChioConfig
  | DatabaseConfig;

/** What `collect` says. */
export type CollectConfig =
  | SourceConfig
  | ProseConfig
  | { readonly tool: "group"; readonly members: Readonly<Record<string, SourceConfig>> };

/** The options of `collect = { files = ... }`. */
export interface FilesConfig {
  /** Globs of what to take. */
  readonly include?: readonly string[] | undefined;
  /** Globs of what to leave out. */
  readonly exclude?: readonly string[] | undefined;
  /** Names of files that list what to leave out. */
  readonly ignoreFiles?: readonly string[] | undefined;
  /** Whether to stay on the root's file system. */
  readonly oneFileSystem?: boolean | undefined;
  /** Whether to leave out folders marked as caches. */
  readonly excludeCaches?: boolean | undefined;
  /** Whether an unreadable file fails the run. */
  readonly strict?: boolean | undefined;
  /** How much of the metadata is stored: all there is needs the C library. */
  readonly metadata?: "full" | "basic" | undefined;
  /** Store what has changed since the newest backup. */
  readonly since?: "latest" | undefined;
  /** Read what looks unchanged as well. */
  readonly rehash?: boolean | undefined;
  /** Most increments before a full backup. */
  readonly fullEvery?: number | undefined;
  /** The share of changes from which a backup is full. */
  readonly fullShare?: number | undefined;
  /** Where this host keeps its copy of the index. */
  readonly indexDir?: string | undefined;
}

/** The options of `collect = { command = ... }`. */
export interface CommandConfig {
  /** What the output is stored as. */
  readonly path: string;
  /** The program that takes it back. */
  readonly restore?: readonly string[] | undefined;
  /** Whether no output is fine. */
  readonly allowEmpty?: boolean | undefined;
  /** Where it runs. */
  readonly cwd?: string | undefined;
  /** Variables added to its environment. */
  readonly env?: Readonly<Record<string, string>> | undefined;
}

const SOURCES: readonly SourceConfig["tool"][] = [
  "files",
  "command",
  "sqlite",
  "jetstream",
  "chatto",
  "chio",
  ...DATABASES,
];

/** The schema of `collect` with paths read by `path`. */
export function collectSchema(
  path: v.GenericSchema<string, string>,
): v.GenericSchema<unknown, CollectConfig> {
  const source = sourceSchema(path);
  const group = v.pipe(
    table({
      group: v.pipe(
        v.custom<Record<string, unknown>>(
          isTable,
          mustBe("a table of sources: { site = { ... }, db = { ... } }"),
        ),
        v.record(v.string(), source),
      ),
    }),
    v.transform(({ group }): CollectConfig => ({ tool: "group", members: group })),
  );
  const prose = proseSchema(path);
  return v.lazy((input): v.GenericSchema<unknown, CollectConfig> => {
    if (!isTable(input) || SOURCES.some((key) => Object.hasOwn(input, key))) return source;
    if (Object.hasOwn(input, "prose")) return prose;
    return Object.hasOwn(input, "group") ? group : source;
  });
}

function sourceSchema(path: v.GenericSchema<string, string>): v.GenericSchema<unknown, SourceConfig> {
  const schemas: Readonly<Record<SourceConfig["tool"], v.GenericSchema<unknown, SourceConfig>>> = {
    files: filesSchema(path),
    command: commandSchema(path),
    sqlite: sqliteSchema(path),
    jetstream: jetstreamSchema(path),
    chatto: chattoSchema(path),
    chio: chioSchema(path),
    ...databaseSchemas(path),
  };
  return v.lazy((input): v.GenericSchema<unknown, SourceConfig> => {
    if (!isTable(input)) {
      return refuse(`must be a table such as { files = ["/srv/app"] }, not ${kindOf(input)}`);
    }
    const sources = ([...SOURCES, "group"] as const).filter((key) => Object.hasOwn(input, key));
    if (sources.length > 1) {
      return refuse(`holds both ${sources.join(" and ")}: choose one, or put each into a group = { ... }`);
    }
    const [source] = sources;
    if (source !== undefined && source !== "group") return schemas[source];
    const key = Object.keys(input)[0] ?? "";
    return refuse(
      source === "group"
        ? "a group cannot hold a group: put its members beside the others"
        : `names no source. ${suggest(key, [...SOURCES, "group", "prose"])}`,
    );
  });
}

function filesSchema(path: v.GenericSchema<string, string>): v.GenericSchema<unknown, SourceConfig> {
  const list = oneOrMore(path);
  const named = v.record(v.string(), path);
  const roots = v.lazy((input): v.GenericSchema<unknown, readonly string[] | Record<string, string>> =>
    isTable(input) ? named : list
  );
  return v.pipe(
    table({
      files: roots,
      include: v.optional(texts),
      exclude: v.optional(texts),
      ignoreFiles: v.optional(texts),
      oneFileSystem: flag,
      excludeCaches: flag,
      strict: flag,
      metadata: v.optional(v.picklist(["full", "basic"], mustBe('"full" or "basic"'))),
      since: v.optional(v.picklist(["latest"], mustBe('"latest"'))),
      rehash: flag,
      fullEvery: v.optional(number),
      fullShare: v.optional(number),
      indexDir: v.optional(path),
    }),
    v.transform(({ files, ...options }): SourceConfig => ({ tool: "files", roots: files, options })),
  );
}

function commandSchema(path: v.GenericSchema<string, string>): v.GenericSchema<unknown, SourceConfig> {
  return v.pipe(
    table({
      command: argv,
      path: text,
      restore: v.optional(argv),
      allowEmpty: flag,
      cwd: v.optional(path),
      env: v.optional(v.record(v.string(), v.string(mustBe("a string")), mustBe("a table of strings"))),
    }, { path: 'is missing: name the file the output is stored as, such as path = "app.sql"' }),
    v.transform(({ command, ...options }): SourceConfig => ({ tool: "command", argv: command, options })),
  );
}

function sqliteSchema(path: v.GenericSchema<string, string>): v.GenericSchema<unknown, SourceConfig> {
  const list = oneOrMore(path);
  const named = v.record(v.string(), path);
  const databases = v.lazy((
    input,
  ): v.GenericSchema<unknown, readonly string[] | Record<string, string>> => isTable(input) ? named : list);
  return v.pipe(
    table({
      sqlite: databases,
      check: v.optional(v.picklist(["full", "quick", "off"], mustBe('"full", "quick" or "off"'))),
      foreignKeys: v.optional(v.picklist(["warn", "error", "off"], mustBe('"warn", "error" or "off"'))),
      timeoutMs: v.optional(number),
      spoolDir: v.optional(path),
      since: v.optional(v.literal("latest", mustBe('"latest"'))),
      fullEvery: v.optional(number),
      fullShare: v.optional(number),
    }),
    v.transform(({ sqlite, ...options }): SourceConfig => ({ tool: "sqlite", databases: sqlite, options })),
  );
}
