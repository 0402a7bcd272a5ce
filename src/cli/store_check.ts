/**
 * `deno task store:check`
 *
 * @module
 */
import { message, text } from "@optique/core/message";
import { object } from "@optique/core/constructs";
import { argument } from "@optique/core/primitives";
import { type Cli, type Command, command } from "../cli.ts";
import { formatBytes } from "../bytes.ts";
import { messageOf } from "../errors.ts";
import type { Store } from "../stage.ts";
import { type CheckReport, checkStore, isS3 } from "../store/check.ts";
import { open } from "../store/mod.ts";
import type { S3Survey } from "../store/s3.ts";
import { outputArgs, toggle, word } from "./args.ts";
import { EXIT } from "./exit.ts";

/** The command. */
export const storeCheckCommand: Command = command({
  name: "store:check",
  usage: "STORE [--iam] [--json] [--quiet]",
  brief:
    "Tries a store before the first backup: every promise that backups rest on, then cleans up after itself.",
  about: [
    "Works in a folder of its own, holdfast-check-..., and touches nothing else. For a bucket it also says whether versioning, " +
    "Object Lock and a lifecycle rule are on, and what lies there that a listing does not show.",
    "Standard output: one line a promise, ok or FAILED with the reason. --json: an object a promise, and one for the bucket. " +
    "--iam: prints the smallest policy and the lifecycle rule instead, and asks nothing. Exit code 1 when a promise is not kept.",
  ],
  examples: [
    "deno task store:check /mnt/backups",
    "deno task store:check 's3://backups/app?endpoint=https://minio.example:9000'",
    "deno task store:check 's3://backups/app?region=eu-central-1' --iam",
  ],
  parser: object({
    store: argument(word("STORE"), { description: message`${text("The store, a folder or a URL")}` }),
    iam: toggle("--iam", "Print the IAM policy and the lifecycle rule of a bucket"),
    ...outputArgs,
  }),
  run: async (args, cli) => {
    const store = open(args.store, { base: cli.folder });
    if (args.iam) return printPolicy(store, cli);
    const report = await checkStore(store, {
      signal: cli.signal,
      report: ({ sentence, error, ms }) => {
        if (args.json) {
          const reason = error && messageOf(error);
          cli.terminal.out(
            JSON.stringify({ sentence, ok: !error, ms, ...(reason ? { error: reason } : {}) }),
          );
        } else if (error) cli.terminal.out(`FAILED  ${sentence}: ${firstLine(error)}`);
        else if (!args.quiet) cli.terminal.out(`ok      ${sentence}`);
      },
    });
    if (isS3(store)) {
      const survey = await store.survey();
      for (const line of args.json ? [JSON.stringify({ survey })] : surveyLines(survey)) {
        cli.terminal.out(line);
      }
    }
    return verdict(report, store, cli);
  },
});

/** How many of the things left behind are named. */
const SHOWN = 3;

function firstLine(error: Error): string {
  return messageOf(error).split("\n", 1)[0]!;
}

function printPolicy(store: Store, cli: Cli): number {
  if (!isS3(store)) {
    cli.say(`${store.url} is not a bucket: it has no policy`);
    return EXIT.usage;
  }
  const documents = { policy: store.policy({ check: true }), lifecycle: store.lifecycle() };
  cli.terminal.out(JSON.stringify(documents, undefined, 2));
  return EXIT.complete;
}

/** The bucket's settings, each with what follows from it. */
export function surveyLines(survey: S3Survey): string[] {
  const { versioning, objectLock, lifecycle, noncurrent, deleteMarkers, uploads } = survey;
  const meaning = {
    on: "what is deleted or overwritten stays as a noncurrent version until a lifecycle rule ends it",
    suspended: "new objects have no versions; old versions stay",
    off: "what is deleted is gone; switch it on to survive stolen keys",
    unknown: "these keys may not ask (s3:GetBucketVersioning)",
  };
  const lock = typeof objectLock === "string"
    ? objectLock
    : `on, ${objectLock.mode} for ${objectLock.days} days by default`;
  return [
    `Versioning: ${versioning} (${meaning[versioning]})`,
    `Object Lock: ${lock}`,
    `Lifecycle rule for versions or unfinished uploads: ${lifecycle}${
      lifecycle === "off" ? "; --iam prints one" : ""
    }`,
    noncurrent === "unknown"
      ? "Noncurrent versions: unknown"
      : `Noncurrent versions: ${noncurrent.objects}, ${
        formatBytes(noncurrent.bytes)
      }; delete markers: ${deleteMarkers}`,
    uploads === "unknown" ? "Unfinished uploads: unknown" : `Unfinished uploads: ${uploads.length}`,
  ];
}

function verdict({ results, left }: CheckReport, store: Store, cli: Cli): number {
  const failed = results.filter(({ error }) => error);
  for (const line of left.slice(0, SHOWN)) cli.say(`Left behind: ${line}`);
  if (left.length > SHOWN) {
    cli.say(
      `Left behind: ${
        left.length - SHOWN
      } more. All are named holdfast-check-...: they hold nothing, and may be deleted when the store lets them go`,
    );
  }
  if (
    failed.some(({ sentence }) => /with ifAbsent .*(?:creates|exactly one)/.test(sentence)) && isS3(store)
  ) {
    cli.say(
      "This server does not decide who creates an object first. Add conditional=look to the URL, and let one machine at a time write a name",
    );
  }
  const kept = results.length - failed.length;
  cli.say(
    `${store.url} keeps ${kept} of ${results.length} promises${
      failed.length > 0 ? ": do not keep backups there yet" : ""
    }`,
  );
  return failed.length > 0 || left.length > 0 ? EXIT.failed : EXIT.complete;
}
