/**
 * A service that can be stopped and started: what it is, and how it is asked.
 *
 * @module
 */
import { isAbsolute, join, resolve } from "node:path";
import { start as startChild } from "../../child.ts";
import { messageOf } from "../../errors.ts";

/** A systemd unit. */
export interface UnitService {
  /** Its name: "prosody.service". */
  readonly unit: string;
  /** Whether it is one of the user's own units (`systemctl --user`). Default: false. */
  readonly user?: boolean | undefined;
}

/** A service that programs stop and start. Argument lists, no shell; each ends when its work is done. */
export interface CommandService {
  /** Stops it; exit code 0 when it is stopped, or was. */
  readonly stop: readonly string[];
  /** Starts it; exit code 0 when it runs, or did already. What it leaves running must have a log of its own, as daemons have. */
  readonly start: readonly string[];
  /** Exit code 0 while it runs. Without it the exit codes of the two others are believed. */
  readonly running?: readonly string[] | undefined;
  /** What messages and receipts call it. Default: the program that stops it. */
  readonly name?: string | undefined;
  /** Working folder of the programs; default: the current one. */
  readonly cwd?: string | undefined;
}

/** A service that functions stop and start. After `kill -9` only a run of the same plan can start it again. */
export interface FunctionService {
  /** What messages and receipts call it. */
  readonly name: string;
  /** Stops it; resolves when it is stopped. */
  readonly stop: (signal: AbortSignal) => Promise<void> | void;
  /** Starts it; resolves when it runs, or did already. */
  readonly start: (signal: AbortSignal) => Promise<void> | void;
  /** Whether it runs. Without it the two others are believed. */
  readonly running?: ((signal: AbortSignal) => Promise<boolean> | boolean) | undefined;
}

/** What is stopped. */
export type Service = UnitService | CommandService | FunctionService;

/** What another process needs to start it again; no function, and no environment, which may hold secrets. */
export type Spec = UnitService | CommandService;

/** A service as the stage uses it. */
export interface Control {
  /** What people call it. */
  readonly name: string;
  /** What the receipt records. */
  readonly kind: "unit" | "command" | "function";
  /** Undefined for functions. */
  readonly spec: Spec | undefined;
  /** How a person starts it. */
  readonly byHand: string;
  /** Throws when it cannot be stopped or started for a reason that can be seen now. */
  readonly ready: (signal: AbortSignal) => Promise<void>;
  /** Whether it runs; undefined where it cannot be asked. */
  readonly running: (signal: AbortSignal) => Promise<boolean | undefined>;
  /** Stops it. */
  readonly stop: (signal: AbortSignal) => Promise<void>;
  /** Starts it. */
  readonly start: (signal: AbortSignal) => Promise<void>;
}

/** The controls of a service. Throws TypeError for what no run can use. */
export function controlOf(service: Service): Control {
  if ("unit" in service) return unitControl(service);
  return typeof service.stop === "function"
    ? functionControl(service as FunctionService)
    : commandControl(service as CommandService);
}

/** The systemctl of a unit. */
export function systemctl(user: boolean | undefined, ...args: readonly string[]): readonly string[] {
  return ["systemctl", ...(user ? ["--user"] : []), ...args];
}

function unitControl({ unit, user }: UnitService): Control {
  if (typeof unit !== "string" || !/^[A-Za-z0-9:_.\\@][A-Za-z0-9:_.\\@-]*$/.test(unit)) {
    throw new TypeError(
      `Cannot stop ${JSON.stringify(unit)}: "unit" must be a systemd unit such as "app.service"`,
    );
  }
  async function state(signal: AbortSignal): Promise<Map<string, string>> {
    const argv = systemctl(user, "show", "--property=LoadState,ActiveState", "--", unit);
    const text = await run(argv, undefined, signal, true);
    return new Map(text.split("\n").map((line) => line.split("=", 2) as [string, string]));
  }
  return {
    name: unit,
    kind: "unit",
    spec: { unit, user },
    byHand: systemctl(user, "start", unit).join(" "),
    ready: async (signal) => {
      const loaded = (await state(signal)).get("LoadState");
      if (loaded === "loaded") return;
      throw new Error(`systemd does not have it (LoadState=${loaded ?? ""}). Check the unit's name`);
    },
    running: async (signal) => {
      const active = (await state(signal)).get("ActiveState") ?? "";
      return !["inactive", "failed", "deactivating"].includes(active);
    },
    stop: async (signal) => void await run(systemctl(user, "stop", "--", unit), undefined, signal),
    start: async (signal) => void await run(systemctl(user, "start", "--", unit), undefined, signal),
  };
}

function commandControl(service: CommandService): Control {
  const { stop, start, running, cwd } = service;
  checkArgv(stop, "stop");
  checkArgv(start, "start");
  if (running !== undefined) checkArgv(running, "running");
  const all = [stop, start, ...(running ? [running] : [])];
  return {
    name: service.name ?? stop[0]!,
    kind: "command",
    spec: { stop, start, running, name: service.name, cwd: cwd === undefined ? undefined : resolve(cwd) },
    byHand: cwd === undefined || isAbsolute(start[0]!)
      ? start.join(" ")
      : `cd ${resolve(cwd)} && ${start.join(" ")}`,
    ready: async () => {
      for (const [program] of all) await findProgram(program!, cwd);
    },
    running: async (signal) => {
      if (!running) return undefined;
      const child = startChild({ argv: running, cwd, env: undefined, use: "neither", signal });
      try {
        return await child.end() === undefined;
      } finally {
        await child.stop();
        signal.throwIfAborted();
      }
    },
    stop: async (signal) => void await run(stop, cwd, signal),
    start: async (signal) => void await run(start, cwd, signal),
  };
}

function functionControl({ name, stop, start, running }: FunctionService): Control {
  if (typeof name !== "string" || name === "") {
    throw new TypeError('Cannot stop a service that functions control without a "name"');
  }
  if (typeof stop !== "function" || typeof start !== "function") {
    throw new TypeError(
      `Cannot stop "${name}": both "stop" and "start" must be functions, or argument lists`,
    );
  }
  return {
    name,
    kind: "function",
    spec: undefined,
    byHand: `start "${name}"`,
    ready: () => Promise.resolve(),
    running: async (signal) => await running?.(signal),
    stop: async (signal) => await stop(signal),
    start: async (signal) => await start(signal),
  };
}

function checkArgv(argv: unknown, option: string): void {
  const sound = Array.isArray(argv) && argv.length > 0 && argv[0] !== "" &&
    argv.every((part) => typeof part === "string" && !part.includes("\0"));
  if (!sound) {
    throw new TypeError(
      `Cannot stop a service: "${option}" must be a list of a program and its arguments, or name a "unit"`,
    );
  }
}

/** Runs a program in a session of its own to its end; gives its output where it is asked for. */
async function run(
  argv: readonly string[],
  cwd: string | undefined,
  signal: AbortSignal,
  output = false,
): Promise<string> {
  const child = startChild({
    argv,
    cwd,
    env: undefined,
    use: output ? "stdout" : "neither",
    signal,
    apart: true,
  });
  try {
    const text = child.stdout ? await new Response(child.stdout).text() : "";
    const failure = await child.end();
    signal.throwIfAborted();
    if (failure !== undefined) throw new Error(`"${argv.join(" ")}" ${failure}`);
    return text;
  } finally {
    await child.stop();
  }
}

/** Where a program may lie: a path is one place, a name one in each folder of PATH. */
export function placesOf(program: string, cwd: string | undefined): readonly string[] {
  if (program.includes("/")) return [isAbsolute(program) ? program : resolve(cwd ?? ".", program)];
  const folders = (Deno.env.get("PATH") ?? "").split(":").filter(isAbsolute);
  return folders.map((folder) => join(folder, program));
}

async function findProgram(program: string, cwd: string | undefined): Promise<void> {
  const places = placesOf(program, cwd);
  for (const place of places) {
    try {
      const { isFile, mode } = await Deno.stat(place);
      if (isFile && ((mode ?? 0) & 0o111) !== 0) return;
    } catch (error) {
      if (error instanceof Deno.errors.NotCapable) throw new Error(messageOf(error), { cause: error });
    }
  }
  throw new Error(`"${program}" is not a program that can be run. Install it, or give its whole path`);
}
