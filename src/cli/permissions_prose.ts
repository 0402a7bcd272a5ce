/**
 * What a Prose plan may touch.
 *
 * @module
 */
import { tmpdir } from "node:os";
import type { ProseConfig } from "../config/prose.ts";
import { livePaths } from "../recipes/prose/layout.ts";

/** Paths, programs, and nothing else. */
export interface ProseNeeds {
  readonly read: readonly string[];
  readonly write: readonly string[];
  readonly run: readonly string[];
  readonly net: readonly string[];
  readonly env: readonly string[];
}

/** The needs of a backup. Stopping a service is noted in the state folder, which every command may write. */
export function proseNeeds({ options }: ProseConfig): ProseNeeds {
  const { unit, stop, start, running, paths, spoolDir, journalDir } = options;
  const programs = [stop, start, running].flatMap((argv) => argv?.[0] ?? []);
  return {
    read: Object.values(livePaths(paths)),
    write: [spoolDir ?? tmpdir(), ...(journalDir === undefined ? [] : [journalDir])],
    run: unit === undefined ? programs : ["systemctl"],
    net: [],
    // Programs by name are looked for before anything is stopped.
    env: ["PATH"],
  };
}
