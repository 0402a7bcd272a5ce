/**
 * The shape of `[plan.NAME.stopped]`: the service that stands still while the plan's source is read.
 *
 * @module
 */
import { tmpdir } from "node:os";
import { isAbsolute, resolve } from "node:path";
import * as v from "valibot";
import { type Service, stopped } from "../collect/mod.ts";
import type { Files, Stage } from "../stage.ts";
import { argv, flag, number, table, text } from "./shape.ts";

/** What `stopped` says: a unit, or programs that stop and start. */
export interface StoppedConfig {
  /** A systemd unit: "prosody.service". */
  readonly unit?: string | undefined;
  /** Whether it is one of the user's own units. */
  readonly user?: boolean | undefined;
  /** The program that stops it. */
  readonly stop?: readonly string[] | undefined;
  /** The program that starts it. */
  readonly start?: readonly string[] | undefined;
  /** The program that ends with 0 while it runs. */
  readonly running?: readonly string[] | undefined;
  /** What messages and receipts call it. */
  readonly name?: string | undefined;
  /** How long it may take to stop. */
  readonly stopTimeoutMs?: number | undefined;
  /** How long it may take to start. */
  readonly startTimeoutMs?: number | undefined;
  /** Where the data waits. */
  readonly spoolDir?: string | undefined;
  /** Where it is noted that the service is stopped. */
  readonly journalDir?: string | undefined;
  /** How much must be free where the data waits. */
  readonly spaceBytes?: number | undefined;
}

const HOW =
  'must say how the service is stopped, in one way: unit = "app.service", or both stop = [...] and start = [...]';

/** The schema of `stopped` with paths read by `path`. */
export function stoppedSchema(
  path: v.GenericSchema<string, string>,
): v.GenericSchema<unknown, StoppedConfig> {
  return v.pipe(
    table({
      unit: v.optional(text),
      user: flag,
      stop: v.optional(argv),
      start: v.optional(argv),
      running: v.optional(argv),
      name: v.optional(text),
      stopTimeoutMs: v.optional(number),
      startTimeoutMs: v.optional(number),
      spoolDir: v.optional(path),
      journalDir: v.optional(path),
      spaceBytes: v.optional(number),
    }),
    v.check(({ unit, user, stop, start, running, name }) => {
      const programs = stop !== undefined && start !== undefined;
      const half = [stop, start, running, name].some((word) => word !== undefined);
      return unit === undefined ? programs && user === undefined : !half;
    }, HOW),
  );
}

/** The stage around a source. Programs run in `cwd`. */
export function stoppedStage(
  { unit, user, stop, start, running, name, ...options }: StoppedConfig,
  source: Stage<void, Files>,
  cwd: string,
): Stage<void, Files> {
  const service: Service = unit === undefined
    ? { stop: stop!, start: start!, running, name, cwd }
    : { unit, user };
  return stopped(service, source, options);
}

/** What a backup runs, and looks at before it stops anything. The note lies in the state folder, which every command may write. */
export function stoppedNeeds(
  { unit, stop, start, running, spoolDir, journalDir }: StoppedConfig,
  cwd: string,
): Readonly<Record<"read" | "write" | "run" | "net" | "env", readonly string[]>> {
  const called = unit === undefined ? [stop, start, running].flatMap((argv) => argv?.[0] ?? []) : [];
  const programs = called.map((program) => program.includes("/") ? resolve(cwd, program) : program);
  const names = programs.some((program) => !isAbsolute(program));
  return {
    read: [
      ...programs.filter(isAbsolute),
      // A program by its name is looked for in all of them.
      ...(names ? (Deno.env.get("PATH") ?? "").split(":").filter(isAbsolute) : []),
    ],
    write: [spoolDir ?? tmpdir(), ...(journalDir === undefined ? [] : [journalDir])],
    run: unit === undefined ? programs : ["systemctl"],
    net: [],
    env: names ? ["PATH"] : [],
  };
}
