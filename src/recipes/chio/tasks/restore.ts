/**
 * `deno task chio:restore`
 *
 * @module
 */
import { object } from "@optique/core/constructs";
import type { InferValue } from "@optique/core/parser";
import { type Cli, type Command, command } from "../../../cli.ts";
import { keyArgs, planArgs, textOption, toggle } from "../../../cli/args.ts";
import { EXIT } from "../../../cli/exit.ts";
import { fromCaller, storeFromCaller } from "../../../cli/folders.ts";
import { ConfigError, messageOf } from "../../../errors.ts";
import { parseTime } from "../../../name.ts";
import { open } from "../../../store/mod.ts";
import { readAnchors } from "../anchor.ts";
import { type Peer, peersIn } from "../peers.ts";
import { chioRestore } from "../run.ts";
import { acceptArg, chioJobs, conflictArg, onlyArg } from "./choose.ts";

const parser = object({
  ...planArgs,
  only: onlyArg,
  into: textOption("--into", "DIR", "A folder; each surface gets its own in it"),
  inPlace: toggle("--in-place", "Everything to where it was"),
  at: textOption(
    "--at",
    "DURATION",
    "The newest backups that are not newer than this time (2026-11-20T03:00:00Z)",
  ),
  conflict: conflictArg,
  accept: acceptArg,
  mergeRevocations: textOption(
    "--merge-revocations",
    "FILE",
    "A newer revocation database: the restored one gets its rows",
  ),
  peerKeys: textOption(
    "--peer-keys",
    "FILE",
    'The peers\' keys of today, as JSON: { "kernel": "key" }, or peers as Chio writes them',
  ),
  anchors: textOption(
    "--anchors",
    "STORE",
    "Where chio:anchor wrote heads: the restored chain is compared with them",
  ),
  anchorName: textOption("--anchor-name", "NAME", "Their name. Default: chio"),
  ...keyArgs,
  quiet: toggle("--quiet", "No progress and no remarks; warnings and errors are shown"),
});

/** The command. */
export const chioRestoreCommand: Command = command({
  name: "chio:restore",
  usage: "--into DIR | --in-place [OPTION...]",
  brief: "Restores Chio's surfaces, and lists what is to be done before it serves; stop Chio first.",
  about: [
    "Standard output: one JSON object (holdfast.chio-restore.v1) with restored, chain, revocations (stalenessSeconds, merged), peers " +
    "(state: handshake, differs, not listed, new), identity, externalKeys, trustedIssuers and todo.",
    "Nothing is touched while a process has one of the databases open (exit code 6) or something stands in the way. The receipt store " +
    "is verified before it takes its place. Where the chain would go on behind a head that a later backup, an anchor or the replaced " +
    "file knows, chain.fork is true and the exit code 3; a chain that contradicts one is refused (exit code 5).",
  ],
  examples: [
    "deno task chio:restore --config /etc/holdfast/chio.toml --in-place --anchors s3://chio-anchors/prod > list.json",
    "deno task chio:restore --config /etc/holdfast/chio.toml --into /srv/restored --merge-revocations /mnt/newer/revocations.sqlite3",
  ],
  parser,
  run,
});

async function run(args: InferValue<typeof parser>, cli: Cli): Promise<number> {
  const { into, inPlace, at, anchors, peerKeys, mergeRevocations } = args;
  if ((into === undefined) !== (inPlace ?? false)) {
    throw new ConfigError("Cannot restore: say where to, either with --into DIR or with --in-place");
  }
  const absolute = (path: string): string => fromCaller(path, cli.folder);
  const jobs = await chioJobs(args, cli);
  const options = cli.runOptions(args.quiet);
  const list = await chioRestore(jobs.map(({ plan }) => plan), {
    ...options,
    into: into === undefined ? undefined : absolute(into),
    inPlace: inPlace ?? false,
    at: at === undefined ? undefined : timeOf(at),
    conflict: args.conflict,
    accept: args.accept,
    mergeRevocations: mergeRevocations === undefined ? undefined : absolute(mergeRevocations),
    peerKeys: peerKeys === undefined ? undefined : readPeers(absolute(peerKeys)),
    heads: anchors === undefined
      ? undefined
      : await readAnchors(open(storeFromCaller(anchors, cli.folder)), args.anchorName),
  });
  cli.clear();
  cli.terminal.out(JSON.stringify(list));
  for (const [i, what] of list.todo.entries()) options.note(`${i + 1}. ${what}`);
  return options.warned() > 0 ? EXIT.warnings : EXIT.complete;
}

function timeOf(text: string): Date {
  const time = parseTime(text) ?? new Date(text);
  if (!Number.isNaN(time.getTime()) && /^\d{4}-/.test(text)) return time;
  throw new ConfigError(
    `Cannot use --at "${text}": write a time as 2026-11-20T03:00:00Z, or as it stands in a backup's name`,
  );
}

function readPeers(path: string): readonly Peer[] {
  let text: string;
  try {
    text = Deno.readTextFileSync(path);
  } catch (cause) {
    throw new ConfigError(`Cannot read the peers' keys in "${path}": ${messageOf(cause)}`, { cause });
  }
  const peers = peersIn(text);
  if (peers.length > 0) return peers;
  throw new ConfigError(`Cannot use "${path}": it holds no peers. Write { "kernel id": "public key" }`);
}
