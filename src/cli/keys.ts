/**
 * `deno task keys`
 *
 * @module
 */
import { object } from "@optique/core/constructs";
import { type Command, command } from "../cli.ts";
import { readKeyFiles } from "../config/keys.ts";
import { formatSpan } from "../duration.ts";
import { NotFoundError } from "../errors.ts";
import { type BackupKeys, keys, type KeysResult } from "../keys.ts";
import { allArg, keyArgs, outputArgs, planArgs, shelfArgs, toggle } from "./args.ts";
import { eachPlan, failedAsJson, whereOf } from "./choose.ts";
import { EXIT } from "./exit.ts";
import { fromCaller } from "./folders.ts";
import { chooseShelves } from "./shelves.ts";
import { table } from "./terminal.ts";

/** The command. */
export const keysCommand: Command = command({
  name: "keys",
  usage: "[OPTION...]",
  brief: "Says which key reads which backup, and for how long each key has been in use. Needs no secret.",
  about: [
    "Standard output: a table of backups and one of keys. --json: an object a plan with plan, exitCode, name, backups (id, time, store, " +
    "source, recipients, keyIds, tool, unknown, opens), keys (key, role, backups, alone, first, last, ageMs).",
    "It goes by receipts. TOLD BY says how far they can be trusted: signed, unsigned (the plan asks for no signature: whoever can write " +
    "to the store can have written them), untrusted (not signed as the plan asks; they count for nothing), header (no receipt). Ids of " +
    "OpenPGP keys come from the archive's first bytes. An age file names nobody: without a receipt its key is unknown without an " +
    "identity. With --identity or --open each backup is tried.",
    "Exit code: 0; 3 when a backup's key is unknown, 4 when keys were tried and open nothing, 5 when a receipt is not to be trusted.",
  ],
  examples: [
    "deno task keys",
    "deno task keys --config /etc/holdfast/backup.toml --identity /media/stick/2024.key",
    "deno task keys --from /mnt/disk/backups --name docs --json",
  ],
  parser: object({
    open: toggle("--open", "Try the plan's own keys on each backup"),
    ...planArgs,
    ...allArg,
    ...shelfArgs,
    ...keyArgs,
    ...outputArgs,
  }),
  run: async (args, cli) => {
    if (args.identity.length > 0) {
      await readKeyFiles(args.identity.map((file) => fromCaller(file, cli.folder)));
    }
    const choices = await chooseShelves(args, cli);
    const failed = failedAsJson(args, cli);
    const open = args.open || args.identity.length > 0 || args.passphraseFile !== undefined;
    return await eachPlan(choices, cli, async (job) => {
      const options = cli.runOptions(args.quiet);
      options.note(`Keys of "${job.plan.shelf?.name}" in ${whereOf(job)}`);
      const result = await keys(job.plan, { ...options, open });
      if (result.backups.length === 0) {
        throw new NotFoundError(
          `Cannot tell the keys of "${result.name}": there is no backup in ${whereOf(job)}`,
        );
      }
      cli.clear();
      const code = codeOf(result, options.warned());
      if (args.json) cli.terminal.out(JSON.stringify({ plan: job.name, exitCode: code, ...result }));
      else for (const line of linesOf(result)) cli.terminal.out(line);
      return code;
    }, failed);
  },
});

/** The exit code of what was found. */
function codeOf({ backups }: KeysResult, warned: number): number {
  if (backups.some(({ source }) => source === "untrusted")) return EXIT.integrity;
  if (backups.some(({ opens }) => opens === false) && !backups.some(({ opens }) => opens)) return EXIT.key;
  return warned > 0 || backups.some(({ unknown, opens }) => unknown && !opens)
    ? EXIT.warnings
    : EXIT.complete;
}

/** Two tables, for people. */
function linesOf({ backups, keys }: KeysResult): string[] {
  const tried = backups.some(({ opens }) => opens !== undefined);
  const several = new Set(backups.map(({ store }) => store)).size > 1;
  const head = ["BACKUP", "TOLD BY", ...(tried ? ["OPENS"] : []), ...(several ? ["STORE"] : []), "READ BY"];
  const rows = backups.map((backup) => [
    backup.id,
    backup.source,
    ...(tried ? [backup.opens ? "yes" : "no"] : []),
    ...(several ? [backup.store] : []),
    readBy(backup),
  ]);
  const uses = keys.map(({ key, role, backups, alone, first, last, ageMs }) => [
    role,
    String(backups),
    role === "reads" ? String(alone) : "-",
    first.slice(0, 10),
    last.slice(0, 10),
    formatSpan(ageMs),
    key,
  ]);
  const keyHead = ["ROLE", "BACKUPS", "ALONE", "FIRST", "LAST", "IN USE FOR", "KEY"];
  return [...table([head, ...rows]), ...(uses.length > 0 ? ["", ...table([keyHead, ...uses])] : [])];
}

function readBy({ tool, source, recipients, keyIds, unknown }: BackupKeys): string {
  if (unknown) return "unknown without an identity";
  const ids = keyIds.map((id) => /^0+$/.test(id) ? "key id hidden" : `key id ${id}`);
  const who = [...recipients, ...ids].join(", ");
  if (who !== "") return who;
  return source === "header"
    ? "not encrypted with age or OpenPGP"
    : tool === "none"
    ? "anyone: stored in the clear"
    : "unknown";
}
