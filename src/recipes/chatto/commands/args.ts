/**
 * Arguments that Chatto's commands share.
 *
 * @module
 */
import { message, text } from "@optique/core/message";
import { optional } from "@optique/core/modifiers";
import { option } from "@optique/core/primitives";
import { string } from "@optique/core/valueparser";
import type { Cli } from "../../../cli.ts";
import { textOption, toggle, word } from "../../../cli/args.ts";
import { fromCaller } from "../../../cli/folders.ts";

/** Where chatto.toml lies. */
export const config = optional(
  option("-c", "--config", word("FILE"), {
    description: message`Chatto's configuration. Default: chatto.toml`,
  }),
);
/** Where the passphrase comes from. */
export const passphraseArgs = {
  passphrase: optional(option("--passphrase", string({ metavar: "VALUE" }), {
    description: message`${text("The passphrase itself. Every user of this machine can see it: use a file")}`,
  })),
  passphraseFile: textOption("--passphrase-file", "FILE", "A file that holds the passphrase"),
  passphraseStdin: toggle("--passphrase-stdin", "The passphrase is all of standard input"),
} as const;

/** Leaves S3 alone. */
export const withoutAssets = toggle(
  "--without-assets",
  "Leave aside what Chatto keeps in S3 (core.assets.storage_backend)",
);

/** Chatto's configuration and the folder it is started in. */
export function where(
  file: string | undefined,
  { folder }: Cli,
): { readonly config: string; readonly cwd: string } {
  return { config: fromCaller(file ?? "chatto.toml", folder), cwd: folder };
}

/** Says that a passphrase on the command line is no secret. */
export function warnOf(
  passphrase: string | undefined,
  log: { readonly info: (message: string) => void },
): void {
  if (passphrase === undefined) return;
  log.info(
    "The passphrase stands on the command line, where every user of this machine can see it: use --passphrase-file",
  );
}
