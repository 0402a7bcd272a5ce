/**
 * `deno task completion`: a shell function `holdfast` for every command, with completion.
 *
 * @module
 */
import { bash, fish, type ShellCompletion, zsh } from "@optique/core/completion";
import { or, seq } from "@optique/core/constructs";
import { message, text } from "@optique/core/message";
import { optional } from "@optique/core/modifiers";
import { suggestSync } from "@optique/core/parser";
import { argument, command as subcommand, passThrough } from "@optique/core/primitives";
import { choice } from "@optique/core/valueparser";
import { fileURLToPath } from "node:url";
import { type Command, command } from "../cli.ts";
import { backupCommand } from "./backup.ts";
import { catCommand } from "./cat.ts";
import { configCommand } from "./config.ts";
import { copyCommand } from "./copy.ts";
import { drillCommand } from "./drill.ts";
import { EXIT } from "./exit.ts";
import { healthCommand } from "./health.ts";
import { keygenCommand } from "./keygen.ts";
import { keysCommand } from "./keys.ts";
import { listCommand } from "./list.ts";
import { proveCommand } from "./prove.ts";
import { pruneCommand } from "./prune.ts";
import { reportCommand } from "./report.ts";
import { restoreCommand } from "./restore.ts";
import { rotateCommand } from "./rotate.ts";
import { sqliteFollowCommand } from "./sqlite_follow.ts";
import { storeCheckCommand } from "./store_check.ts";
import { syncCommand } from "./sync.ts";
import { verifyCommand } from "./verify.ts";
import { proseBackupCommand } from "../recipes/prose/tasks/backup.ts";
import { proseRestoreCommand } from "../recipes/prose/tasks/restore.ts";
import { proseServeCommand } from "../recipes/prose/tasks/serve.ts";

const SHELLS: Readonly<Record<"bash" | "zsh" | "fish", ShellCompletion>> = { bash, zsh, fish };

const PROGRAM = "holdfast";

/** The command. */
export const completionCommand: Command = command({
  name: "completion",
  usage: "bash|zsh|fish",
  brief:
    `Prints a shell function "${PROGRAM}" that runs every task from any folder, and completes its arguments.`,
  about: ["Standard output: the shell's text, to be sourced at its start."],
  examples: [
    "source <(deno task --quiet completion bash)",
    "deno task --quiet completion zsh >> ~/.zshrc",
    "deno task --quiet completion fish > ~/.config/fish/conf.d/holdfast.fish",
  ],
  parser: seq(
    argument(choice(["bash", "zsh", "fish"], { metavar: "SHELL" })),
    // What the shell has so far, when its function asks.
    optional(passThrough({ format: "greedy", hidden: true })),
  ),
  run: ([name, words], cli) => {
    const shell = SHELLS[name];
    const [first, ...rest] = words ?? [];
    if (first === undefined) {
      cli.terminal.out(shellFunction(name));
      cli.terminal.out(shell.generateScript(PROGRAM, ["completion", name]));
    } else {
      const parts = [...shell.encodeSuggestions(suggestSync(everyCommand(), [first, ...rest]))];
      for (const part of parts) cli.terminal.bytes(new TextEncoder().encode(part));
    }
    return Promise.resolve(EXIT.complete);
  },
});

function shellFunction(shell: "bash" | "zsh" | "fish"): string {
  const folder = fileURLToPath(new URL("../..", import.meta.url));
  const run = `deno task --quiet --config '${folder.replaceAll("'", `'\\''`)}deno.json'`;
  return shell === "fish" ? `function ${PROGRAM}; ${run} $argv; end` : `${PROGRAM}() { ${run} "$@"; }`;
}

// deno-lint-ignore explicit-function-return-type -- optique's own types carry the value
function everyCommand() {
  const sub = ({ name, parser, brief }: Command) =>
    subcommand(name, parser, { brief: message`${text(brief)}` });
  // or() takes fifteen at most.
  const daily = or(
    sub(backupCommand),
    sub(listCommand),
    sub(verifyCommand),
    sub(restoreCommand),
    sub(pruneCommand),
    sub(copyCommand),
    sub(syncCommand),
    sub(drillCommand),
    sub(healthCommand),
    sub(reportCommand),
    sub(catCommand),
    sub(proveCommand),
  );
  return or(
    daily,
    or(
      sub(keysCommand),
      sub(rotateCommand),
      sub(keygenCommand),
      sub(configCommand),
      sub(storeCheckCommand),
      sub(sqliteFollowCommand),
    ),
    or(sub(proseBackupCommand), sub(proseRestoreCommand), sub(proseServeCommand)),
  );
}
