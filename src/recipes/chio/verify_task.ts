/**
 * `deno task chio:verify`
 *
 * @module
 */
import { object } from "@optique/core/constructs";
import { multiple } from "@optique/core/modifiers";
import { argument } from "@optique/core/primitives";
import { string } from "@optique/core/valueparser";
import { message } from "@optique/core/message";
import { readFileSync } from "node:fs";
import { type Command, command } from "../../cli.ts";
import { outputArgs, textOption, textOptions } from "../../cli/args.ts";
import { EXIT } from "../../cli/exit.ts";
import { fromCaller } from "../../cli/folders.ts";
import { safe } from "../../cli/terminal.ts";
import { ConfigError, messageOf } from "../../errors.ts";
import { canonical, isObject, type Json, type JsonObject, parseObject } from "./json.ts";
import { type ChioFinding, type ChioReport, verifyChioStore } from "./verify.ts";
import type { Watermarks } from "./watermarks.ts";

/** The command. */
export const chioVerifyCommand: Command = command({
  name: "chio:verify",
  usage: "FILE... [--archive FILE]... [--trusted-key KEY]... [--previous FILE] [--json]",
  brief:
    "Verifies receipt stores of Chio offline: signatures, Merkle roots, the chain of checkpoints, every number.",
  about: [
    "A store is only read. What is wrong is named by the number of its entry or checkpoint, and the exit code is 5. Both generations " +
    "of the program are known; the store of an unknown newer version is refused.",
    "--json prints an object a store. Kept, it is what --previous compares the next backup with: no number may have gone down, and the " +
    "newest checkpoint of then must still be there.",
  ],
  examples: [
    "deno task chio:verify /var/lib/chio/receipts.sqlite3",
    "deno task chio:verify ./restored/receipts.sqlite3 --previous /var/lib/holdfast/chio.json --json",
  ],
  parser: object({
    files: multiple(argument(string({ metavar: "FILE" }), { description: message`A receipt store` }), {
      min: 1,
    }),
    archive: textOptions(
      "--archive",
      "FILE",
      "Where retention moved old receipts. Default: as the store says",
    ),
    trusted: textOptions(
      "--trusted-key",
      "NAME",
      "A kernel's public key; others' signatures are then findings",
    ),
    previous: textOption("--previous", "FILE", "What --json printed for an earlier backup of the same store"),
    ...outputArgs,
  }),
  run: async (args, cli) => {
    const absolute = (path: string): string => fromCaller(path, cli.folder);
    const previous = args.previous === undefined ? undefined : readMarks(absolute(args.previous));
    let sound = true;
    for (const file of args.files) {
      const report = await verifyChioStore(absolute(file), {
        archives: args.archive.length > 0 ? args.archive.map(absolute) : undefined,
        trustedKeys: args.trusted.length > 0 ? args.trusted : undefined,
        previous,
        signal: cli.signal,
      });
      sound &&= report.faults === 0;
      for (const finding of report.findings) cli.terminal.err(`${safe(file)}: ${describe(finding)}`);
      if (!args.quiet) {
        for (const warning of report.warnings) {
          cli.terminal.err(`${safe(file)}: (warning) ${describe(warning)}`);
        }
      }
      cli.terminal.out(args.json ? canonical({ file, ...jsonOf(report) }) : line(file, report));
    }
    return sound ? EXIT.complete : EXIT.integrity;
  },
});

function describe({ of, seq, fault }: ChioFinding): string {
  return safe(seq === undefined ? fault : `${of} ${seq}: ${fault}`);
}

function line(file: string, report: ChioReport): string {
  const { receipts, checkpoints, tail, unchecked, faults, keys } = report;
  return `${safe(file)}  ${
    faults === 0 ? "ok" : `${faults} faults`
  }  ${receipts} receipts, ${checkpoints} checkpoints, ` +
    `${tail} not yet covered, ${unchecked} not checked, ${keys.length} keys`;
}

function jsonOf(report: ChioReport): JsonObject {
  const plain = (value: unknown): Json => {
    if (Array.isArray(value)) return value.map(plain);
    if (typeof value !== "object" || value === null) return value as Json;
    return Object.fromEntries(
      Object.entries(value).filter(([, inner]) => inner !== undefined).map((
        [key, inner],
      ) => [key, plain(inner)]),
    );
  };
  return plain(report) as JsonObject;
}

function readMarks(path: string): Watermarks {
  try {
    const { watermarks } = parseObject(readFileSync(path, "utf8").trim());
    if (!isObject(watermarks)) throw new SyntaxError('it has no "watermarks"');
    const { entries, tools, children, head } = watermarks;
    if (![entries, tools, children].every((mark) => typeof mark === "bigint")) {
      throw new SyntaxError("its watermarks are not numbers");
    }
    if (
      head !== undefined &&
      !(isObject(head) && typeof head.seq === "bigint" && typeof head.sha256 === "string")
    ) {
      throw new SyntaxError("its head is not a checkpoint");
    }
    return watermarks as unknown as Watermarks;
  } catch (cause) {
    throw new ConfigError(
      `Cannot read the earlier report "${path}": ${
        messageOf(cause)
      }. Give a file with what --json printed for one store`,
      { cause },
    );
  }
}
