/**
 * From a task's arguments to a command's values; help, and what is said about wrong arguments.
 *
 * @module
 */
import "./segmenter.ts"; // before what makes one
import { runParserSync } from "@optique/core/facade";
import { message, text } from "@optique/core/message";
import type { Command } from "../cli.ts";
import { EXIT } from "./exit.ts";
import { safeLines, type Terminal } from "./terminal.ts";

/** Of help texts, in columns. */
const WIDTH = 90;

/** Ends the parser's own way of leaving. */
class Leave {
  constructor(readonly code: number) {}
}

/** Reads a command's arguments. Gives the exit code instead when help was asked for, or when they are wrong. */
export function parse(
  definition: Command,
  args: readonly string[],
  terminal: Terminal,
): { readonly values: unknown } | number {
  try {
    const values = runParserSync(definition.parser, `deno task ${definition.name}`, args, {
      help: {
        option: { names: ["--help", "-h"] },
        onShow: () => {
          terminal.out(`\n${footer(definition)}`);
          throw new Leave(EXIT.complete);
        },
      },
      brief: message`${text(definition.brief)}`,
      usageLine: [{ type: "literal", value: definition.usage }],
      aboveError: "none",
      colors: false,
      maxWidth: WIDTH,
      termWidth: "auto",
      showChoices: true,
      showDefault: true,
      stdout: terminal.out,
      stderr: (line) => terminal.err(safeLines(line)),
      onError: () => {
        terminal.err(`Run "deno task ${definition.name} --help" for what it takes`);
        throw new Leave(EXIT.usage);
      },
    });
    return { values };
  } catch (error) {
    if (error instanceof Leave) return error.code;
    throw error;
  }
}

/** Below the options. Command lines are not wrapped: they are there to be copied. */
function footer({ about, examples }: Command): string {
  const codes = "Exit codes: 0 complete, 1 failed, 2 usage or configuration, 3 complete with warnings,\n" +
    "            4 no fitting key, 5 integrity or policy, 6 busy, 130 cancelled";
  return `${about.map(wrap).join("\n\n")}\n\nExamples:\n${
    examples.map((line) => `  ${line}`).join("\n")
  }\n\n${codes}`;
}

function wrap(paragraph: string): string {
  const lines: string[] = [""];
  for (const word of paragraph.split(" ")) {
    const line = lines.at(-1)!;
    if (line !== "" && line.length + word.length >= WIDTH) lines.push(word);
    else lines[lines.length - 1] = line === "" ? word : `${line} ${word}`;
  }
  return lines.join("\n");
}
