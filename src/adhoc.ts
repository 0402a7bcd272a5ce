/**
 * Makes pipelines from a command line without a configuration. Every start loads this, so it imports what it uses and no more.
 *
 * @module
 */
import { tar } from "./archive/tar.ts";
import { files } from "./collect/files.ts";
import { zstd } from "./compress/mod.ts";
import { age, detect, type OpenpgpSecrets } from "./encrypt/mod.ts";
import { ConfigError, messageOf } from "./errors.ts";
import type { Job, Keys } from "./job.ts";
import { pipeline } from "./pipeline.ts";
import { type Policy, prune } from "./prune/mod.ts";
import { decodeReceipt } from "./receipt.ts";
import { sha256 } from "./sign/mod.ts";
import type { Files, Naming, Sealed, Stage } from "./stage.ts";
import { open } from "./store/mod.ts";
import { upload } from "./upload/mod.ts";

/** A backup without a configuration. */
export interface AdHoc {
  /** What to back up, absolute. */
  readonly paths: readonly string[];
  /** The backup's name. */
  readonly name: string;
  /** The stores. */
  readonly to: readonly string[];
  /** Globs to leave out. */
  readonly exclude: readonly string[];
  /** Whether an unreadable file fails the run. */
  readonly strict: boolean;
  /** "latest": only what has changed is stored; anything else that is given is refused. */
  readonly since?: string | undefined;
  /** How much of the metadata is stored. Default: what the permissions allow. */
  readonly metadata?: "full" | "basic" | undefined;
  /** Public recipients; empty with a passphrase. */
  readonly recipients: readonly string[];
  /** Keys. */
  readonly keys: Keys;
  /** How the paths are collected. Default: as files. */
  readonly collect?: ((paths: readonly string[]) => Stage<void, Files>) | undefined;
}

/** The plan of a backup without a configuration: files, tar, zstd, age, sha256. Throws {@linkcode ConfigError}. */
export function adHocJob(options: AdHoc): Job {
  const { paths, exclude, strict, metadata, recipients, name, keys } = options;
  const since = options.since as "latest" | undefined; // files() looks at it
  const chain = made(() =>
    pipeline(options.collect?.(paths) ?? files(paths, { exclude, strict, since, metadata }))
      .pipe(tar())
      .pipe(zstd())
      .pipe(age(
        recipients.length > 0
          ? { recipients, identities: keys.identities ?? keys.fallback }
          : { passphrase: keys.passphrase ?? keys.prompt },
      ))
      .pipe(sha256())
      .pipe(upload({ name, to: options.to.map((url) => open(url)) }))
  );
  return { name, plan: chain, hooks: {}, drill: {} };
}

/** What to read without a configuration. */
export interface Opener {
  /** The stores. */
  readonly from: readonly string[];
  /** The backup's name. */
  readonly name: string;
  /** Keys. */
  readonly keys: Keys;
  /** How the store's files are named. Default: as Holdfast names them. */
  readonly naming?: Naming | undefined;
  /** Retention, for `prune`. */
  readonly policy?: Policy | undefined;
}

/**
 * The plan that reads backups without a configuration: every format is told by its content, and a checksum is asked for when the
 * receipt says there is one. It cannot back up.
 */
export function openerJob(options: Opener): Job {
  const { name, keys, policy, naming } = options;
  const chain = made(() => {
    const opened = pipeline(files(".", {}))
      .pipe(tar())
      .pipe(zstd())
      .pipe(
        detect({
          identities: keys.identities ?? keys.fallback,
          passphrase: keys.passphrase ?? keys.prompt,
          openpgp: messageSecrets(keys),
        }),
      )
      .pipe(statedChecksum())
      .pipe(upload({ name, naming, to: options.from.map((url) => open(url)) }));
    return policy === undefined ? opened : opened.pipe(prune(policy));
  });
  return { name, plan: chain, hooks: {}, drill: {} };
}

/** What opens OpenPGP messages, by the command line alone. */
export function messageSecrets({ secretKeys, passphrase, unlock }: Keys): OpenpgpSecrets {
  return {
    secretKey: secretKeys,
    passphrase: passphrase ?? (unlock && (() => unlock("the OpenPGP secret key"))),
  };
}

/** sha256() where the receipt states it: a plan without a checksum opens as well, and a removed checksum shows. */
function statedChecksum(): Stage<Sealed, Sealed> {
  const stage = sha256();
  return {
    name: stage.name,
    verb: "sign",
    run: stage.run,
    undo: (sealed, context) => {
      const { proof } = sealed;
      const receipt = proof && decodeReceipt(proof.receipt, proof.id);
      const stated = receipt?.event === "backup" &&
        receipt.stages.some(({ verb, tool }) => verb === "sign" && tool === "sha256");
      return stated ? stage.undo(sealed, context) : Promise.resolve(sealed);
    },
  };
}

/** What a stage refuses on the command line is wrong use. */
function made<T>(make: () => T): T {
  try {
    return make();
  } catch (cause) {
    if (cause instanceof TypeError || cause instanceof RangeError) {
      throw new ConfigError(messageOf(cause), { cause });
    }
    throw cause;
  }
}
