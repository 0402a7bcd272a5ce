/**
 * Configuration: TOML text in, plans out. Every mistake is named with its file, line and key path.
 *
 * @module
 */
import { dirname } from "node:path";
import { parse, TomlError } from "smol-toml";
import * as v from "valibot";
import { formatPath, type KeyPath, type KeyPosition, keyPositions } from "./config/positions.ts";
import { planSchema } from "./config/schema.ts";
import { kindOf, suggest } from "./config/words.ts";
import { ConfigError } from "./errors.ts";
import { checkName } from "./name.ts";

export type { CollectConfig, CommandConfig, FilesConfig, SourceConfig } from "./config/collect.ts";
export type { Tool } from "./config/shape.ts";
export type { KeyPath } from "./config/positions.ts";

/** One `[plan.NAME]` table, its paths absolute, its defaults filled in. */
export type PlanConfig = v.InferOutput<ReturnType<typeof planSchema>>;

/** A configuration file that was read. */
export interface Config {
  /** The file, absolute. */
  readonly file: string;
  /** The plans by name, in the order of the file; at least one. */
  readonly plans: ReadonlyMap<string, PlanConfig>;
  /** An error about a key of this file. */
  readonly fail: (path: KeyPath, message: string, cause?: unknown) => ConfigError;
}

/** A configuration larger than this is a mistake. */
const LIMIT = 1024 * 1024;

/** Reads a configuration file. Throws {@linkcode ConfigError}. */
export async function readConfig(file: string): Promise<Config> {
  let bytes: Uint8Array;
  try {
    bytes = await Deno.readFile(file);
  } catch (cause) {
    const why = cause instanceof Deno.errors.NotFound
      ? "it does not exist"
      : String((cause as Error).message);
    throw new ConfigError(`Cannot read the configuration "${file}": ${why}. Check --config`, { cause });
  }
  try {
    return parseConfig(new TextDecoder("utf-8", { fatal: true }).decode(bytes), file);
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause;
    throw new ConfigError(`Cannot read the configuration "${file}": it is not UTF-8 text`, { cause });
  }
}

/**
 * Reads a configuration text. `file` (absolute) is what errors name, and paths in the text resolve against its folder. Throws
 * {@linkcode ConfigError} with every mistake that was found.
 */
export function parseConfig(text: string, file: string): Config {
  if (text.length > LIMIT) throw new ConfigError(`Cannot read "${file}": it is larger than ${LIMIT} bytes`);
  const positions = keyPositions(text);
  const value = parseToml(text, file, positions);
  const found: Problem[] = [...secretsIn(value, [])];
  const plans = new Map<string, PlanConfig>();
  for (const key of Object.keys(value)) {
    if (key !== "plan") found.push({ path: [key], message: `unknown key. ${suggest(key, ["plan"])}` });
  }
  const tables = value["plan"];
  if (tables !== undefined && kindOf(tables) !== "a table") {
    found.push({ path: ["plan"], message: `must be a table of plans, [plan.NAME], not ${kindOf(tables)}` });
  } else if (Object.keys(tables ?? {}).length === 0) {
    found.push({ path: [], message: "holds no plan. Add a table such as [plan.app]" });
  } else {
    readPlans(tables as Record<string, unknown>, dirname(file), found, plans);
    found.push(...sharedSeries(plans));
  }
  if (found.length > 0) throw problems(file, positions, found);
  return {
    file,
    plans,
    fail: (path, message, cause) => problems(file, positions, [{ path, message }], cause),
  };
}

interface Problem {
  readonly path: KeyPath;
  readonly message: string;
}

function readPlans(
  tables: Record<string, unknown>,
  folder: string,
  found: Problem[],
  plans: Map<string, PlanConfig>,
): void {
  const schema = planSchema(folder);
  for (const [name, table] of Object.entries(tables)) {
    try {
      checkName(name);
    } catch (error) {
      found.push({ path: ["plan", name], message: (error as Error).message });
      continue;
    }
    const result = v.safeParse(schema, table);
    if (result.success) plans.set(name, result.output);
    else {
      for (const issue of result.issues) {
        const path = (issue.path ?? []).map((part) => part.key as string | number);
        report(found, { path: ["plan", name, ...path], message: issue.message });
      }
    }
  }
}

/** Two plans that store under one name in one place: retention and restores would take either's backups for the other's. */
function* sharedSeries(plans: ReadonlyMap<string, PlanConfig>): Generator<Problem> {
  const taken = new Map<string, string>();
  for (const [plan, { name = plan, upload }] of plans) {
    for (const [i, url] of upload.to.entries()) {
      const series = JSON.stringify([name, url.replace(/(?<=[^/])\/+$/, "")]);
      const other = taken.get(series);
      if (other === undefined) taken.set(series, plan);
      else if (other !== plan) {
        yield {
          path: ["plan", plan, "upload", "to", ...(upload.to.length > 1 ? [i] : [])],
          message:
            `plan "${plan}" stores as "${name}" where plan "${other}" does, so that retention and restores would mix ` +
            'the two. Give one of them another name = "..." or another store',
        };
      }
    }
  }
}

/** A key that holds a secret has one mistake only: no other message may show the value. */
function report(found: Problem[], problem: Problem): void {
  const at = JSON.stringify(problem.path);
  if (!found.some(({ path }) => JSON.stringify(path) === at)) found.push(problem);
}

function parseToml(text: string, file: string, positions: readonly KeyPosition[]): Record<string, unknown> {
  try {
    return parse(text, { unsafeKeyBehaviour: "throw" });
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    // Only the first line: what follows shows the text, and a secret may stand in it.
    const message = error.message.split("\n")[0]!.replace("Invalid TOML document: ", "");
    const here = positions.findLast(({ line, column }) => line === error.line && column <= error.column);
    const at = here ? `, ${formatPath(here.path)}` : "";
    const twice = /redefine/.test(message) ? "is defined twice. Remove one" : `not TOML: ${message}`;
    throw new ConfigError(
      redact(`Cannot use "${file}": line ${error.line}, column ${error.column}${at}: ${twice}`),
    );
  }
}

/** Secret keys anywhere in the file, whatever they are called. The text of one is never shown. */
function* secretsIn(value: unknown, path: KeyPath): Generator<Problem> {
  if (typeof value === "string" && /AGE-SECRET-KEY-|-----BEGIN [A-Z ]*PRIVATE KEY/i.test(value)) {
    yield {
      path,
      message:
        "holds a secret key. Put it in a file only its owner can read and name that file in identityFile",
    };
  } else if (typeof value === "object" && value !== null) {
    for (const [key, inner] of Object.entries(value)) {
      yield* secretsIn(inner, [...path, Array.isArray(value) ? Number(key) : key]);
    }
  }
}

function problems(
  file: string,
  positions: readonly KeyPosition[],
  found: readonly Problem[],
  cause?: unknown,
): ConfigError {
  const lines = found
    .map(({ path, message }) => ({ line: lineOf(positions, path), text: `${formatPath(path)}: ${message}` }))
    .sort((a, b) => a.line - b.line)
    .map(({ line, text }) => `line ${line}, ${text}`);
  const text = lines.length === 1 ? lines[0] : `${lines.length} mistakes\n  ${lines.join("\n  ")}`;
  return new ConfigError(redact(`Cannot use "${file}": ${text}`), { cause });
}

/** A secret may stand where a key or a name should. */
function redact(message: string): string {
  return message.replaceAll(/(AGE-SECRET-KEY-)[A-Z0-9-]+/gi, "$1...");
}

/** The line of a key, or of the nearest table around it that stands in the text. */
function lineOf(positions: readonly KeyPosition[], path: KeyPath): number {
  for (let depth = path.length; depth > 0; depth--) {
    const wanted = JSON.stringify(path.slice(0, depth));
    const found = positions.find((key) => JSON.stringify(key.path.slice(0, depth)) === wanted);
    if (found) return found.line;
  }
  return 1;
}
