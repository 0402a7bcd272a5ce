/**
 * The shape of one `[plan.NAME]` table. Only the shape: whether a recipient, a time zone or a level is a good one is for the
 * stage to say, when the plan is made.
 *
 * @module
 */
import { isAbsolute, join, normalize } from "node:path";
import * as v from "valibot";
import { checkName } from "../name.ts";
import { kindOf, suggest } from "./words.ts";

type Entries = Readonly<Record<string, v.GenericSchema<unknown, unknown>>>;
type Issue = v.BaseIssue<unknown>;

/** A table with exactly these keys; says which key is unknown, missing, or what stands where the table should be. */
// deno-lint-ignore explicit-function-return-type -- valibot's own types carry the shape
function table<const E extends Entries>(entries: E, hints: Readonly<Record<string, string>> = {}) {
  return v.strictObject(entries, (issue) => {
    const key = String(issue.path?.at(-1)?.key ?? "");
    if (issue.expected === "never") return hints[key] ?? `unknown key. ${suggest(key, Object.keys(entries))}`;
    if (issue.expected === "Object") return `must be a table, not ${kindOf(issue.input)}`;
    return hints[key] ?? "is missing";
  });
}

const mustBe = (what: string) => (issue: Issue): string => `must be ${what}, not ${kindOf(issue.input)}`;
const flag = v.optional(v.boolean(mustBe("true or false")));
const number = v.pipe(v.number(mustBe("a number")), v.finite("must be a finite number"));
const text = v.pipe(v.string(mustBe("a string")), v.nonEmpty("must not be empty"));
const texts = v.array(text, mustBe("a list of strings"));
const argv = v.pipe(
  v.array(text, mustBe('a list: the program and its arguments, such as ["pg_dump", "app"]')),
  v.nonEmpty("must name a program"),
);

/** What must be said where no value can be right. */
function refuse(message: string): v.GenericSchema<never> {
  return v.custom<never>(() => false, message);
}

/** A tool by its name alone, or a table of one tool and its options. */
// deno-lint-ignore explicit-function-return-type -- valibot's own types carry the shape
function toolOf<const T extends Entries>(verb: string, tools: T, plain: readonly string[]) {
  const names = [...new Set([...plain, ...Object.keys(tools)])];
  return v.lazy((input): v.GenericSchema<unknown, Tool> => {
    if (typeof input === "string") {
      if (plain.includes(input)) return v.pipe(v.string(), v.transform((tool) => ({ tool, options: {} })));
      if (names.includes(input)) return refuse(`"${input}" needs options: write { ${input} = { ... } }`);
      return refuse(`"${escaped(input)}" is no ${verb} tool. ${suggest(input, names)}`);
    }
    if (!isTable(input)) return refuse(`must be a tool such as "${names[0]}", not ${kindOf(input)}`);
    const keys = Object.keys(input);
    const known = keys.filter((key) => Object.hasOwn(tools, key));
    if (known.length > 1) return refuse(`names ${known.length} tools (${known.join(", ")}): choose one`);
    if (keys.length === 0) return refuse(`names no tool. ${suggest("", names)}`);
    const tool = known[0];
    if (tool === undefined) return v.pipe(table(tools), v.transform(() => ({ tool: "", options: {} })));
    return v.pipe(
      table({ [tool]: tools[tool]! }),
      v.transform((value) => ({ tool, options: value[tool] as Record<string, unknown> })),
    );
  });
}

/** A chosen tool; `options` has the shape its schema gave it. */
export interface Tool {
  /** The tool's name. */
  readonly tool: string;
  /** Its options. */
  readonly options: Readonly<Record<string, unknown>>;
}

function isTable(input: unknown): input is Record<string, unknown> {
  return typeof input === "object" && input !== null && !Array.isArray(input) && !(input instanceof Date);
}

function escaped(text: string): string {
  return JSON.stringify(text).slice(1, -1);
}

const compress = toolOf("compress", {
  zstd: table({ level: v.optional(number) }),
  gzip: table({ level: v.optional(number) }),
}, [
  "zstd",
  "gzip",
  "none",
]);
const archive = toolOf("archive", { tar: table({ deterministic: flag }) }, ["tar"]);
const hooks = table({
  before: v.optional(argv),
  after: v.optional(argv),
  failed: v.optional(argv),
  finally: v.optional(argv),
});
const count = v.optional(number);
const within = v.optional(text);
const prune = table({
  keepLast: count,
  keepHourly: count,
  keepDaily: count,
  keepWeekly: count,
  keepMonthly: count,
  keepYearly: count,
  keepWithin: within,
  keepWithinHourly: within,
  keepWithinDaily: within,
  keepWithinWeekly: within,
  keepWithinMonthly: within,
  keepWithinYearly: within,
  pins: v.optional(texts),
  timezone: v.optional(text),
});
const inline = (key: string, use: string): string =>
  `a secret must not stand in a configuration. Put it in a file only its owner can read and write ${use} = "FILE" instead of ${key}`;

/** The schema of one plan whose paths resolve against `folder`. */
// deno-lint-ignore explicit-function-return-type -- valibot's own types carry the shape
export function planSchema(folder: string) {
  const path = v.pipe(
    text,
    v.check((value) => !value.includes("\0"), "must not hold a NUL"),
    v.check((value) => !/^~(?:\/|$)/.test(value), '"~" is not expanded here: write the whole path'),
    v.transform((value) => isAbsolute(value) ? normalize(value) : join(folder, value)),
  );
  const store = v.pipe(
    text,
    v.check((value) => !/^~(?:\/|$)/.test(value), '"~" is not expanded here: write the whole path'),
    v.transform((value) => isUrl(value) ? value : isAbsolute(value) ? normalize(value) : join(folder, value)),
  );
  const one = <T extends v.GenericSchema<string, string>>(
    item: T,
  ): v.GenericSchema<unknown, readonly string[]> =>
    v.lazy((input): v.GenericSchema<unknown, readonly string[]> =>
      typeof input === "string"
        ? v.pipe(item, v.transform((value) => [value]))
        : v.pipe(v.array(item, mustBe("a path or a list of paths")), v.nonEmpty("must not be empty"))
    );
  const roots = v.lazy((input): v.GenericSchema<unknown, readonly string[] | Record<string, string>> =>
    isTable(input) ? v.record(v.string(), path) : one(path)
  );
  const source = sourceSchema(path, roots);
  const collect: v.GenericSchema<unknown, CollectConfig> = v.lazy((input) =>
    isTable(input) && Object.hasOwn(input, "group")
      ? v.pipe(
        table({ group: v.record(v.string(), source, mustBe("a table of sources")) }),
        v.transform(({ group }): CollectConfig => ({ tool: "group", members: group })),
      )
      : source
  );
  const age = table({
    recipients: v.optional(texts),
    recipientsFile: v.optional(path),
    identityFile: v.optional(one(path)),
    passphraseFile: v.optional(path),
    passphraseCommand: v.optional(argv),
  }, {
    passphrase: inline("passphrase", "passphraseFile"),
    identity: inline("identity", "identityFile"),
    identities: inline("identities", "identityFile"),
  });
  return table({
    name: v.optional(v.pipe(
      text,
      v.rawCheck(({ dataset, addIssue }) => {
        if (dataset.typed) nameIssue(dataset.value, (message) => addIssue({ message }));
      }),
    )),
    collect,
    archive: v.optional(archive, "tar"),
    compress: v.optional(compress, "zstd"),
    encrypt: toolOf("encrypt", { age }, ["plaintext"]),
    sign: v.optional(
      v.array(
        v.picklist(["sha256"], (issue) => `${said(issue.input)} is no sign tool. Known here: sha256`),
        mustBe('a list, such as ["sha256"]'),
      ),
      ["sha256"],
    ),
    upload: table({ to: one(store) }, {
      to: 'is missing: say where the backups go, such as to = "./backups"',
    }),
    prune: v.optional(prune),
    hooks: v.optional(hooks),
    drill: v.optional(table({ assert: v.optional(argv), scratch: v.optional(path) })),
  }, {
    collect: 'is missing: say what to back up, such as collect = { files = ["/srv/app"] }',
    encrypt:
      'is missing: write encrypt = { age = { recipients = ["age1..."] } }, or encrypt = "plaintext" to store in the clear',
    upload: 'is missing: say where the backups go, such as upload = { to = "./backups" }',
  });
}

/** Files, or a program's output. */
export type SourceConfig =
  | {
    readonly tool: "files";
    readonly roots: readonly string[] | Readonly<Record<string, string>>;
    readonly options: FilesConfig;
  }
  | { readonly tool: "command"; readonly argv: readonly string[]; readonly options: CommandConfig };

/** What `collect` says. */
export type CollectConfig =
  | SourceConfig
  | { readonly tool: "group"; readonly members: Readonly<Record<string, SourceConfig>> };

/** The options of `collect = { files = ... }`. */
export interface FilesConfig {
  readonly include?: readonly string[] | undefined;
  readonly exclude?: readonly string[] | undefined;
  readonly ignoreFiles?: readonly string[] | undefined;
  readonly oneFileSystem?: boolean | undefined;
  readonly excludeCaches?: boolean | undefined;
  readonly strict?: boolean | undefined;
}

/** The options of `collect = { command = ... }`. */
export interface CommandConfig {
  readonly path: string;
  readonly restore?: readonly string[] | undefined;
  readonly allowEmpty?: boolean | undefined;
  readonly cwd?: string | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
}

function sourceSchema(
  path: v.GenericSchema<string, string>,
  roots: v.GenericSchema<unknown, readonly string[] | Record<string, string>>,
): v.GenericSchema<unknown, SourceConfig> {
  const files = v.pipe(
    table({
      files: roots,
      include: v.optional(texts),
      exclude: v.optional(texts),
      ignoreFiles: v.optional(texts),
      oneFileSystem: flag,
      excludeCaches: flag,
      strict: flag,
    }),
    v.transform(({ files, ...options }): SourceConfig => ({ tool: "files", roots: files, options })),
  );
  const command = v.pipe(
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
  return v.lazy((input): v.GenericSchema<unknown, SourceConfig> => {
    if (!isTable(input)) {
      return refuse(`must be a table such as { files = ["/srv/app"] }, not ${kindOf(input)}`);
    }
    const sources = ["files", "command", "group"].filter((key) => Object.hasOwn(input, key));
    if (sources.length > 1) {
      return refuse(`holds both ${sources.join(" and ")}: choose one, or put each into a group = { ... }`);
    }
    if (sources[0] === "command") return command;
    if (sources[0] === "files") return files;
    const key = Object.keys(input)[0] ?? "";
    return refuse(
      sources[0] === "group"
        ? "a group cannot hold a group: put its members beside the others"
        : `names no source. ${suggest(key, ["files", "command", "group"])}`,
    );
  });
}

function said(input: unknown): string {
  return typeof input === "string" ? `"${escaped(input)}"` : kindOf(input);
}

/** Whether a store is given as a URL: a scheme of two letters or more, so that a drive letter is a path. */
export function isUrl(store: string): boolean {
  return /^[A-Za-z][A-Za-z0-9+.-]+:/.test(store);
}

function nameIssue(name: string, report: (message: string) => void): void {
  try {
    checkName(name);
  } catch (error) {
    report((error as Error).message);
  }
}
