/** What tests share: a context, scratch folders, stock tools. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Bytes, Context, U8, Want } from "../src/stage.ts";
import { toBytes } from "../src/bytes.ts";

export { inChunks, noise } from "../src/store/contract/help.ts";

/** What a context saw, for assertions. */
export interface Seen {
  warnings: { kind: string; message: string }[];
  infos: string[];
}

/** A context over memory, whose reports land in `seen`. */
export function testContext(
  options: { want?: Partial<Want>; signal?: AbortSignal; now?: Date; seen?: Seen } = {},
): Context {
  const seen = options.seen ?? { warnings: [], infos: [] };
  const state = new Map<string, U8>();
  return {
    signal: options.signal ?? new AbortController().signal,
    now: options.now ?? new Date("2026-11-20T03:00:00Z"),
    run: "01JDB2K3M4N5P6Q7R8S9T0V1W2",
    wait: false,
    log: {
      info: (message) => void seen.infos.push(message),
      warn: (kind, message) => void seen.warnings.push({ kind, message }),
    },
    progress: () => {},
    state: {
      get: (key) => Promise.resolve(state.get(key)),
      put: (key, value) => Promise.resolve(void state.set(key, new Uint8Array(value))),
    },
    want: {
      inPlace: false,
      only: [],
      strip: 0,
      conflict: "error",
      dryRun: false,
      limits: { entries: 10_000_000, bytes: 2 ** 40, ratio: 200, pathBytes: 4096 },
      ...options.want,
    },
    warnings: () => {
      const counts: Record<string, number> = {};
      for (const { kind } of seen.warnings) counts[kind] = (counts[kind] ?? 0) + 1;
      return counts;
    },
  };
}

/** A scratch folder that goes with the scope: `using dir = scratch()`. */
export function scratch(): { path: string; join: (...parts: string[]) => string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), "holdfast-test-"));
  return {
    path,
    join: (...parts) => join(path, ...parts),
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }),
  };
}

/** A stream of the given chunks. */
export function streamOf(...chunks: Uint8Array[]): Bytes {
  return toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
    for (const chunk of chunks) yield new Uint8Array(chunk);
  });
}

/**
 * Registers a test that judges with stock tools. A missing tool is a failure in CI; elsewhere the test is reported as ignored,
 * with the command that installs it in its name.
 */
export function judged(
  name: string,
  tools: readonly string[],
  run: () => void | Promise<void>,
  options: Pick<Deno.TestDefinition, "sanitizeOps" | "sanitizeResources"> = {},
): void {
  const missing = tools.filter((tool) => !hasTool(tool));
  if (missing.length > 0 && Deno.env.get("CI") !== undefined) {
    Deno.test(name, () => {
      throw new Error(`Missing ${missing.join(", ")}: run "deno task tools"`);
    });
    return;
  }
  const suffix = missing.length > 0 ? ` [needs ${missing.join(", ")}: deno task tools]` : "";
  Deno.test({ ...options, name: name + suffix, ignore: missing.length > 0, fn: run });
}

/** Whether a program is on the PATH. */
export function hasTool(tool: string): boolean {
  try {
    execFileSync("/bin/sh", ["-c", `command -v "${tool}"`], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/** Runs a shell line with bash pipefail; gives its output, or throws with its error text. */
export function sh(line: string, options: { cwd?: string; input?: Uint8Array } = {}): Uint8Array {
  return execFileSync("/bin/bash", ["-o", "pipefail", "-c", line], {
    cwd: options.cwd,
    input: options.input,
    maxBuffer: 2 ** 30,
    stdio: ["pipe", "pipe", "pipe"],
  });
}

/** Kills a child after a while, unless it has ended by then. */
export function killLater(child: Deno.ChildProcess, ms: number): void {
  const timer = setTimeout(() => {
    try {
      child.kill("SIGKILL");
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // it has ended, and the timer was not stopped in time
    }
  }, ms);
  void child.status.finally(() => clearTimeout(timer));
}
