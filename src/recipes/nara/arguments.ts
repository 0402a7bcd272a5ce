/**
 * What the nara tasks share: the flags of the real nara-backup beside our own, and where the soul comes from.
 *
 * @module
 */
import { option } from "@optique/core/primitives";
import { message, text } from "@optique/core/message";
import { optional } from "@optique/core/modifiers";
import { string } from "@optique/core/valueparser";
import type { Cli } from "../../cli.ts";
import { textOption, textOptions } from "../../cli/args.ts";
import { fromCaller } from "../../cli/folders.ts";
import { ConfigError, KeyError, messageOf } from "../../errors.ts";

const SWITCHES: readonly string[] = ["verbose"];

/** Go's way of writing flags, `-name v`, `-name=v`, `-verbose=false`, as ours. */
export function fromGoFlags(args: readonly string[]): string[] {
  return args.flatMap((arg) => {
    const match = /^--?([a-z][a-z-]+)(?:=(.*))?$/s.exec(arg);
    if (!match) return [arg];
    const [, name = "", value] = match;
    if (!SWITCHES.includes(name)) return value === undefined ? [`--${name}`] : [`--${name}=${value}`];
    return /^(?:0|f|F|false|FALSE|False)$/.test(value ?? "true") ? [] : [`--${name}`];
  });
}

/** Arguments that give a soul. */
export const soulArgs = {
  soulFile: textOption(
    "--soul-file",
    "FILE",
    "A file with the soul, readable by you only. Default: the variable NARA_SOUL",
  ),
  soul: optional(option("--soul", string({ metavar: "SOUL" }), {
    description: message`${text("The soul itself. Others on this host can see it: use --soul-file")}`,
  })),
} as const;

/** Arguments that say where naras are. */
export const peerArgs = {
  peer: textOptions("--peer", "STORE", "A nara's address, http://HOST:PORT"),
  peersFile: textOption("--peers-file", "FILE", "Addresses, one a line"),
  discover: textOption("--discover", "STORE", "A nara with a page server: it and those it knows"),
  tailscale: textOption("--tailscale", "FILE", "What `tailscale status --json` says; - asks it on this host"),
} as const;

/** Where the soul is read from, when it is needed. Warns at once about one on the command line. */
export function soulFrom(
  args: { readonly soul?: string | undefined; readonly soulFile?: string | undefined },
  cli: Cli,
): () => Promise<string> {
  const { soul, soulFile } = args;
  if (soul !== undefined) {
    cli.say(
      "Warning: the soul is on the command line, where others on this host can see it. Use --soul-file or NARA_SOUL",
    );
    return () => Promise.resolve(soul);
  }
  if (soulFile !== undefined) {
    const path = fromCaller(soulFile, cli.folder);
    return () =>
      Deno.readTextFile(path).catch((cause) => {
        throw new KeyError(`Cannot read the soul: ${messageOf(cause)}`, { cause });
      });
  }
  const variable = Deno.env.get("NARA_SOUL");
  if (variable === undefined || variable === "") {
    throw new ConfigError("Cannot go on without a soul: pass --soul-file FILE, or set NARA_SOUL");
  }
  return () => Promise.resolve(variable);
}

/** Milliseconds of a Go duration: "90s", "3m", "1h30m", "500ms". Throws {@linkcode ConfigError} for anything else, and for 0. */
export function duration(written: string | undefined, standard: number): number {
  if (written === undefined) return standard;
  const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
  const sound = /^(?:\d+(?:\.\d+)?(?:ms|s|m|h))+$/.test(written);
  let total = 0;
  for (const [, count, unit] of written.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)) {
    total += Number(count) * units[unit!]!;
  }
  if (sound && total >= 1) return Math.round(total);
  throw new ConfigError(`Cannot use the duration "${written}": write 90s, 3m or 1h30m`);
}
