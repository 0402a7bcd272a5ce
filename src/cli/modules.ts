/**
 * Plans written in TypeScript.
 *
 * @module
 */
import { dirname } from "node:path";
import { pathToFileURL } from "node:url";
import { ConfigError, messageOf } from "../errors.ts";
import type { Job } from "../job.ts";
import type { Pipeline, Stored } from "../stage.ts";

/**
 * The plans a TypeScript module exports, by export name ("default" included): every export that is a pipeline ending in
 * `upload`. Throws {@linkcode ConfigError} when the module does not load or exports none.
 */
export async function jobsFromModule(file: string): Promise<ReadonlyMap<string, Job>> {
  let module: Record<string, unknown>;
  try {
    // Relative paths in a plan mean its own folder, wherever the command was started.
    if (Deno.cwd() !== dirname(file)) Deno.chdir(dirname(file));
    module = await import(pathToFileURL(file).href);
  } catch (cause) {
    throw new ConfigError(`Cannot load the plan "${file}": ${messageOf(cause)}`, { cause });
  }
  const plans = new Map<string, Job>();
  for (const [name, value] of Object.entries(module)) {
    if (isPipeline(value)) plans.set(name, { name, plan: value, hooks: {}, drill: {}, file });
  }
  if (plans.size === 0) {
    throw new ConfigError(
      `Cannot use "${file}": it exports no pipeline that ends in upload. Write export const app = pipeline(...)...`,
    );
  }
  return plans;
}

function isPipeline(value: unknown): value is Pipeline<void, Stored> {
  if (typeof value !== "object" || value === null) return false;
  const { run, undo, stages, shelf } = value as Partial<Pipeline<void, Stored>>;
  return typeof run === "function" && typeof undo === "function" && Array.isArray(stages) &&
    shelf !== undefined;
}
