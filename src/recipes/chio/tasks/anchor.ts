/**
 * `deno task chio:anchor`
 *
 * @module
 */
import { object } from "@optique/core/constructs";
import { optional } from "@optique/core/modifiers";
import { argument } from "@optique/core/primitives";
import { message } from "@optique/core/message";
import { type Command, command } from "../../../cli.ts";
import { outputArgs, planArgs, textOption, textOptions, word } from "../../../cli/args.ts";
import { EXIT } from "../../../cli/exit.ts";
import { fromCaller, storeFromCaller } from "../../../cli/folders.ts";
import { safe } from "../../../cli/terminal.ts";
import { ConfigError } from "../../../errors.ts";
import { open } from "../../../store/mod.ts";
import { chioHead, readAnchors, writeAnchor } from "../anchor.ts";
import { compareHeads, refuseFork } from "../heads.ts";
import { publishHead } from "../publish.ts";
import { chioJobs, databaseOf } from "./choose.ts";

/** The command. */
export const chioAnchorCommand: Command = command({
  name: "chio:anchor",
  usage: "[FILE] --to STORE... | --run PROGRAM... [OPTION...]",
  brief: "Writes the newest checkpoint of a receipt store where this host cannot take it back.",
  about: [
    "FILE is the store, or the configuration's receipts are meant; it is only read. Each --to gets an object of its own, which is never " +
    "replaced: give the store Object Lock. What was anchored there before is compared first; a chain that contradicts it, or has gone " +
    "back behind it, is not anchored (exit code 5).",
    "--run, once for the program and once for each argument, starts one with the checkpoint on standard input; {anchor}, {body}, " +
    "{signature} and {key} in its arguments become files. Standard output: the keys, and what the program prints.",
  ],
  examples: [
    "deno task chio:anchor --config /etc/holdfast/chio.toml --to 's3://chio-anchors/prod?lock=compliance:3650'",
    "deno task chio:anchor /var/lib/chio/receipts.sqlite3 --run rekor-cli --run upload --run --artifact --run {body} " +
    "--run --signature --run {signature} --run --pki-format=x509 --run --public-key --run {key}",
  ],
  parser: object({
    file: optional(argument(word("FILE"), { description: message`The receipt store` })),
    ...planArgs,
    to: textOptions("--to", "STORE", "A folder or a URL"),
    run: textOptions("--run", "PROGRAM", "A program, then each of its arguments"),
    name: textOption("--name", "NAME", "What the anchors are called. Default: chio"),
    ...outputArgs,
  }),
  run: async (args, cli) => {
    if (args.to.length === 0 && args.run.length === 0) {
      throw new ConfigError("Cannot anchor: say where, with --to STORE, or with --run PROGRAM");
    }
    const path = args.file === undefined
      ? databaseOf(await chioJobs(args, cli), "receipts")
      : fromCaller(args.file, cli.folder);
    if (path === undefined) {
      throw new ConfigError("Cannot anchor: name the receipt store, or a configuration with one");
    }
    const { note } = cli.runOptions(args.quiet);
    const head = chioHead(path);
    const out = (what: Readonly<Record<string, string>>): void => {
      const { store = "", key = "", said = "" } = what;
      const line = said === "" ? `${safe(key)}  ${safe(store)}` : said.split("\n").map(safe).join("\n");
      cli.terminal.out(
        args.json ? JSON.stringify({ seq: `${head.seq}`, sha256: head.sha256, ...what }) : line,
      );
    };
    for (const url of args.to) {
      const store = open(storeFromCaller(url, cli.folder));
      const known = await readAnchors(store, args.name ?? "chio", { empty: true });
      refuseFork(path, compareHeads(path, known));
      out({ store: store.url, key: await writeAnchor(store, head, args.name) });
    }
    if (args.run.length > 0) {
      out({ said: await publishHead(head, args.run, { cwd: cli.folder, signal: cli.signal }) });
    }
    note(`Anchored checkpoint ${head.seq}, ${head.sha256}`);
    return EXIT.complete;
  },
});
