/**
 * The shape of `collect = { prose = ... }`.
 *
 * @module
 */
import * as v from "valibot";
import { argv, flag, mustBe, number, table, text } from "./shape.ts";

/** `collect = { prose = { unit = "prosody.service" } }` */
export interface ProseConfig {
  readonly tool: "prose";
  readonly options: {
    readonly unit?: string | undefined;
    readonly user?: boolean | undefined;
    readonly stop?: readonly string[] | undefined;
    readonly start?: readonly string[] | undefined;
    readonly running?: readonly string[] | undefined;
    readonly service?: "none" | undefined;
    readonly paths?: Readonly<Record<string, string>> | undefined;
    readonly oldChecks?: string | undefined;
    readonly noDowntime?: boolean | undefined;
    readonly spoolDir?: string | undefined;
    readonly journalDir?: string | undefined;
    readonly stopTimeoutMs?: number | undefined;
    readonly startTimeoutMs?: number | undefined;
  };
}

/** The schema of `{ prose = ... }`. */
export function proseSchema(path: v.GenericSchema<string, string>): v.GenericSchema<unknown, ProseConfig> {
  const options = table({
    unit: v.optional(text),
    user: flag,
    stop: v.optional(argv),
    start: v.optional(argv),
    running: v.optional(argv),
    service: v.optional(v.literal("none", 'must be "none": nothing is stopped')),
    paths: v.optional(v.record(v.string(), path, mustBe("a table of paths"))),
    oldChecks: v.optional(path),
    noDowntime: flag,
    spoolDir: v.optional(path),
    journalDir: v.optional(path),
    stopTimeoutMs: v.optional(number),
    startTimeoutMs: v.optional(number),
  });
  return v.pipe(
    table({ prose: options }),
    v.transform(({ prose }): ProseConfig => ({ tool: "prose", options: prose })),
  );
}
