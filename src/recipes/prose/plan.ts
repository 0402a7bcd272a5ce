/**
 * The plan of a Prose backup: its layout, its names, its table of sidecars, and a policy that is never weaker than what the plan makes.
 *
 * @module
 */
import { tar } from "../../archive/mod.ts";
import { zstd } from "../../compress/mod.ts";
import { plaintext } from "../../encrypt/mod.ts";
import type { Plan } from "../../find.ts";
import { pipeline } from "../../pipeline.ts";
import { type Policy, prune } from "../../prune/mod.ts";
import { sha256 } from "../../sign/mod.ts";
import type { Archive, Requirements, Sealed, Stage, Store } from "../../stage.ts";
import { upload } from "../../upload/mod.ts";
import { proseCollector, type ProseOptions } from "./collector.ts";
import { livePaths, refuseInside } from "./layout.ts";
import { proseNaming, SHELF } from "./names.ts";

/** The one time of all entries: `--mtime='UTC 2020-01-01'`. */
const MTIME_MS = Date.UTC(2020, 0, 1);

/** A Prose backup, how it is sealed, and where it goes. */
export interface ProsePlanOptions extends ProseOptions {
  /** One store or several. */
  readonly to: Store | readonly Store[];
  /** `encrypt.openpgp(...)`. Default: the archive is stored in the clear. */
  readonly encrypt?: Stage<Archive, Sealed> | undefined;
  /** `sign.openpgp(...)`, binary. Default: a ".sha256" instead. */
  readonly sign?: Stage<Sealed, Sealed> | undefined;
  /** What every backup must be. Default: what `encrypt` and `sign` make it. Without both, "none" must be written here. */
  readonly require?: Requirements | "none" | undefined;
  /** Where Prose 0.5 kept the checks of its backups (`storage.checks`), if not beside them. */
  readonly oldChecks?: Store | undefined;
  /** Compression level, 1 to 19. Default 3. */
  readonly level?: number | undefined;
  /** Retention; default: none, everything stays. */
  readonly keep?: Policy | undefined;
}

const options: unique symbol = Symbol("prose");

/**
 * The plan of a Prose backup. Throws TypeError for wrong options, among them a plan that neither encrypts nor signs and does not say
 * `require: "none"`.
 *
 * @example
 * ```ts ignore
 * prose.prosePlan({
 *   service: { unit: "prosody.service" },
 *   to: store.s3({ bucket: "backups" }),
 *   encrypt: encrypt.openpgp({ recipients: [certificate] }),
 *   sign: sign.openpgp({ certificate, secretKey: () => Deno.readFile("/etc/prose/sign.pgp") }),
 * });
 * ```
 */
export function prosePlan(given: ProsePlanOptions): Plan {
  const { encrypt, sign, keep } = given;
  const stores = Array.isArray(given.to) ? given.to as readonly Store[] : [given.to as Store];
  if (encrypt && encrypt.name !== "openpgp") {
    throw new TypeError(
      `Cannot encrypt a backup of Prose with "${encrypt.name}": its names know OpenPGP only. Use encrypt.openpgp`,
    );
  }
  if (sign && sign.seals?.[0]?.suffix !== ".sig") {
    throw new TypeError(
      `Cannot sign a backup of Prose with "${sign.name}": it is ".sig" beside the archive. Use sign.openpgp, not armored`,
    );
  }
  refuseInside(livePaths(given.paths), stores);
  const require = policyOf(given);
  const collector = { ...proseCollector(given), [options]: given };
  const plan = pipeline(collector)
    .pipe(tar({ deterministic: true, mtimeMs: MTIME_MS }))
    .pipe(zstd({ level: given.level }))
    .pipe(encrypt ?? plaintext())
    .pipe(sign ?? sha256())
    .pipe(upload({ name: SHELF, to: given.to, naming: proseNaming, require }));
  return keep === undefined ? plan : plan.pipe(prune(keep));
}

/** What a Prose plan was made of; undefined for other plans. */
export function optionsOf(plan: Plan): ProsePlanOptions | undefined {
  const first = plan.stages[0] as { readonly [options]?: ProsePlanOptions } | undefined;
  return first?.[options];
}

/** What the plan makes, and what its operator asks for on top. */
function policyOf({ encrypt, sign, require }: ProsePlanOptions): Requirements | "none" {
  if (require === "none") return require;
  if (!encrypt && !sign) {
    throw new TypeError(
      "Cannot plan a backup of Prose that is neither encrypted nor signed: whoever can write to the store could change every message. " +
        'Add encrypt.openpgp or sign.openpgp, or write require: "none"',
    );
  }
  return { ...require, ...(encrypt ? { encryption: true } : {}), ...(sign ? { signature: true } : {}) };
}
