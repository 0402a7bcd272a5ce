/**
 * Which of a configuration's plans are Chio's, and arguments that the commands share.
 *
 * @module
 */
import { optional } from "@optique/core/modifiers";
import { multiple } from "@optique/core/modifiers";
import { option } from "@optique/core/primitives";
import { message, text } from "@optique/core/message";
import { choice } from "@optique/core/valueparser";
import type { Cli } from "../../../cli.ts";
import { type Choice, type ChoiceArgs, choosePlans, keysFrom } from "../../../cli/choose.ts";
import { ConfigError } from "../../../errors.ts";
import type { Job } from "../../../job.ts";
import { inOrder, type Surface, surfaceOf, SURFACES } from "../surface.ts";

/** What is not refused this once. */
export const acceptArg = multiple(
  option("--accept", choice(["rollback", "identity", "fork"], { metavar: "WHAT" }), {
    description: message`${text("Go on where it would be refused: rollback, identity or fork")}`,
  }),
);

/** Only some surfaces. */
export const onlyArg = multiple(
  option("--only", choice([...SURFACES], { metavar: "SURFACE" }), {
    description: message`${text(`Only this surface: ${SURFACES.join(", ")}`)}`,
  }),
);

/** Conflicts, as in restore. */
export const conflictArg = optional(
  option("--conflict", choice(["error", "skip", "overwrite"], { metavar: "MODE" }), {
    description: message`What to do with existing files. Default: error`,
  }),
);

/** What chooses and opens plans. */
export interface ChioArgs extends ChoiceArgs {
  /** `--only`. */
  readonly only?: readonly Surface[] | undefined;
  /** `--identity`. */
  readonly identity?: readonly string[] | undefined;
  /** `--passphrase-file`. */
  readonly passphraseFile?: string | undefined;
}

/** Chio's plans of the configuration, in the safe order. Throws {@linkcode ConfigError} when there is none. */
export async function chioJobs(args: ChioArgs, cli: Cli): Promise<readonly Job[]> {
  const keys = keysFrom({ identity: args.identity ?? [], passphraseFile: args.passphraseFile }, cli);
  const choices = await choosePlans(args, cli, keys, { many: true }) ?? [];
  const jobs = await Promise.all(choices.map(({ open }: Choice) => open()));
  const ours = jobs.filter(({ plan }) => surfaceOf(plan) !== undefined);
  const wanted = ours.filter(({ plan }) =>
    !args.only?.length || args.only.includes(surfaceOf(plan)!.surface)
  );
  if (wanted.length > 0) return inOrder(wanted, ({ plan }) => surfaceOf(plan)!.surface);
  throw new ConfigError(
    ours.length > 0
      ? `Cannot find a plan of ${args.only!.join(", ")}: there are ${ours.map(({ name }) => name).join(", ")}`
      : 'Cannot find a plan of Chio\'s: write collect = { chio = { receipts = "/var/lib/chio/receipts.sqlite3" } } in one of ' +
        "backup.toml, or pass --config FILE",
  );
}

/** The one surface that a command is about, as its database's path. */
export function databaseOf(jobs: readonly Job[], surface: Surface): string | undefined {
  return jobs.map(({ plan }) => surfaceOf(plan)).find((said) => said?.surface === surface)?.databases[0];
}
