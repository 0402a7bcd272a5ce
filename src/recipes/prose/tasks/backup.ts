/**
 * `deno task prose:backup`
 *
 * @module
 */
import { object } from "@optique/core/constructs";
import { type Command, command } from "../../../cli.ts";
import { outputArgs, planArgs, textOption, toggle } from "../../../cli/args.ts";
import { backUp } from "../../../cli/backup.ts";
import { EXIT } from "../../../cli/exit.ts";
import { fromCaller } from "../../../cli/folders.ts";
import { takeApiData } from "../api_data.ts";
import { fileBytes } from "../pod_api.ts";
import { proseJob } from "./choose.ts";

/** The command. */
export const proseBackupCommand: Command = command({
  name: "prose:backup",
  usage: "[OPTION...]",
  brief: "Backs up a Prose pod: stops Prosody, reads its data, starts it again, then packs and stores.",
  about: [
    "Standard output: the new backup's file name, prose_<time>.tar.zst, .gpg when encrypted. The plan says where the data is, which " +
    "service is stopped, and with which keys; it is checked before anything stops. --json: as of backup.",
  ],
  examples: [
    "deno task prose:backup --config /etc/holdfast/backup.toml --plan prose --pod-api-data api.tar",
    "deno task prose:backup --no-downtime",
  ],
  parser: object({
    ...planArgs,
    podApiData: textOption(
      "--pod-api-data",
      "FILE",
      "What the Pod API exported, a tar archive of prose-pod-api-data/, to be stored along",
    ),
    noDowntime: toggle(
      "--no-downtime",
      "Leave Prosody running: the backup may be inconsistent and says so (exit code 3)",
    ),
    wait: toggle("--wait", "Wait for another run of the same backup instead of giving up (exit code 6)"),
    ...outputArgs,
  }),
  run: async (args, cli) => {
    const job = await proseJob(args, cli);
    const { spoolDir, noDowntime } = job.options;
    const { podApiData } = args;
    using sent = podApiData === undefined
      ? undefined
      : await takeApiData(await fileBytes(fromCaller(podApiData, cli.folder)), spoolDir);
    const one = job.remade({ podApiData: sent, noDowntime: args.noDowntime ?? noDowntime });
    const code = await backUp(one, args, cli);
    if (!sent && (code === EXIT.complete || code === EXIT.warnings)) {
      cli.runOptions(args.quiet).note(
        "Without data of the Pod API: back that up as well, or pass --pod-api-data FILE",
      );
    }
    return code;
  },
});
