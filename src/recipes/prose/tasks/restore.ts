/**
 * `deno task prose:restore`
 *
 * @module
 */
import { basename, dirname } from "node:path";
import { object } from "@optique/core/constructs";
import type { InferValue } from "@optique/core/parser";
import { type Cli, type Command, command } from "../../../cli.ts";
import { idArgument, outputArgs, planArgs, textOption, toggle } from "../../../cli/args.ts";
import { EXIT } from "../../../cli/exit.ts";
import { fromCaller } from "../../../cli/folders.ts";
import { limitArgs, limitsOf } from "../../../cli/limits.ts";
import { safe } from "../../../cli/terminal.ts";
import { ConfigError } from "../../../errors.ts";
import { directory } from "../../../store/mod.ts";
import { checkNew, type PodApi, podApiAt, podApiFile, tokenFrom } from "../pod_api.ts";
import { proseRestore } from "../restore.ts";
import { proseJob } from "./choose.ts";

/** Where the Pod API is. */
export const podApiArgs = {
  podApi: textOption(
    "--pod-api",
    "TEXT",
    "The Pod API's URL: it gets its data back while the old data is still there",
  ),
  podApiTokenFile: textOption(
    "--pod-api-token-file",
    "FILE",
    "A file whose first line is sent to it as x-prose-token",
  ),
} as const;

const parser = object({
  id: idArgument(
    "ID|latest|FILE",
    "The backup's whole file name, of ours or of Prose 0.5; or a file with what lies beside it",
  ),
  ...planArgs,
  ...podApiArgs,
  podApiData: textOption("--pod-api-data", "FILE", "A new file for the Pod API's data, instead of --pod-api"),
  into: textOption("--into", "DIR", "Write all of it into a folder instead; nothing is stopped or replaced"),
  dryRun: toggle("--dry-run", "Say what would be done with each entry; nothing is changed"),
  ...limitArgs,
  ...outputArgs,
});

/** The command. */
export const proseRestoreCommand: Command = command({
  name: "prose:restore",
  usage: "[ID|latest|FILE] [OPTION...]",
  brief: "Restores a Prose pod as a whole, all or none; Prosody is stopped only once the backup is verified.",
  about: [
    "The four parts are replaced: what the backup does not have goes. Prosody is started on what was restored, then the Pod API gets " +
    "its data; when either refuses, everything is taken back. Standard output: the backup's name; with --dry-run what would be done.",
    "What the plan demands (a signature, encryption) is demanded of backups of Prose 0.5 too.",
  ],
  examples: [
    "deno task prose:restore latest --pod-api http://127.0.0.1:8080 --pod-api-token-file /etc/prose/token",
    "deno task prose:restore prose_2025-12-02T10:46:50Z.tar.zst.gpg --pod-api-data api.tar",
  ],
  parser,
  run: restorePod,
});

async function restorePod(args: InferValue<typeof parser>, cli: Cli): Promise<number> {
  const job = await proseJob(args, cli);
  const run = cli.runOptions(args.quiet);
  const podApi = podApiOf(args, cli);
  if (args.into !== undefined && podApi) {
    throw new ConfigError(
      "Cannot hand anything to the Pod API with --into: its data is written into that folder as well. Leave --pod-api or --pod-api-data out",
    );
  }
  if (!args.dryRun) await checkPodApi(args, cli);
  const isPath = args.id.includes("/");
  const path = fromCaller(args.id, cli.folder);
  const id = await proseRestore({
    ...job.options,
    ...(isPath ? { to: directory(dirname(path)), oldChecks: undefined } : {}),
    podApi,
  }, {
    ...run,
    id: isPath ? basename(path) : args.id,
    into: args.into === undefined ? undefined : fromCaller(args.into, cli.folder),
    dryRun: args.dryRun,
    limits: limitsOf(args),
    report: (entry, action) => {
      if (!args.dryRun) return;
      cli.clear();
      cli.terminal.out(args.json ? JSON.stringify({ action, path: entry }) : `${action}  ${safe(entry)}`);
    },
  });
  cli.clear();
  if (!args.dryRun) cli.terminal.out(args.json ? JSON.stringify({ id, warnings: run.warned() }) : safe(id));
  run.note(args.dryRun ? "Dry run: nothing was changed" : `Restored "${id}"`);
  return run.warned() > 0 ? EXIT.warnings : EXIT.complete;
}

/** What would fail only once the pod is down: a token that cannot be read, a file that exists, or has no folder. */
async function checkPodApi(
  { podApiTokenFile, podApiData }: InferValue<typeof parser>,
  cli: Cli,
): Promise<void> {
  if (podApiTokenFile !== undefined) await tokenFrom(fromCaller(podApiTokenFile, cli.folder));
  if (podApiData !== undefined) await checkNew(fromCaller(podApiData, cli.folder));
}

/** Who takes the Pod API's data, as the arguments say. Throws {@linkcode ConfigError} for arguments that contradict each other. */
export function podApiOf(
  { podApi, podApiTokenFile, podApiData }: {
    readonly podApi?: string | undefined;
    readonly podApiTokenFile?: string | undefined;
    readonly podApiData?: string | undefined;
  },
  cli: Cli,
): PodApi | undefined {
  if (podApi !== undefined && podApiData !== undefined) {
    throw new ConfigError(
      "Cannot use both --pod-api and --pod-api-data: choose where the Pod API's data goes",
    );
  }
  if (podApi === undefined) {
    if (podApiTokenFile !== undefined) {
      throw new ConfigError("Cannot use --pod-api-token-file without --pod-api URL");
    }
    return podApiData === undefined ? undefined : podApiFile(fromCaller(podApiData, cli.folder));
  }
  const file = podApiTokenFile === undefined ? undefined : fromCaller(podApiTokenFile, cli.folder);
  try {
    return podApiAt({ url: podApi, token: file === undefined ? undefined : () => tokenFrom(file) });
  } catch (cause) {
    throw new ConfigError((cause as Error).message, { cause });
  }
}
