/**
 * The chains of a Chatto backup: tar, gzip and age with a passphrase, as `chatto backup` writes and `chatto restore` reads.
 *
 * @module
 */
import { tar } from "../../archive/mod.ts";
import { bodyOf, toBytes } from "../../bytes.ts";
import { gzip } from "../../compress/mod.ts";
import { age, detect, plaintext } from "../../encrypt/mod.ts";
import { ConfigError, IntegrityError } from "../../errors.ts";
import type { Plan } from "../../find.ts";
import { pipeline } from "../../pipeline.ts";
import { type Policy, prune } from "../../prune/mod.ts";
import { sha256 } from "../../sign/mod.ts";
import type { Archive, Bytes, Naming, Stage, Store, U8 } from "../../stage.ts";
import { directory } from "../../store/mod.ts";
import { upload } from "../../upload/mod.ts";
import { chattoCollector, type ChattoOptions } from "./collector.ts";
import { chattoNaming, SHELF } from "./names.ts";

/** A Chatto backup, and where it goes. */
export interface ChattoPlanOptions extends ChattoOptions {
  /** Gives the passphrase the archive is encrypted with; without it the archive is stored in the clear. */
  readonly passphrase?: (() => string | Promise<string>) | undefined;
  /** One store or several. Default: the folder "backups". */
  readonly to?: Store | readonly Store[] | undefined;
  /** Retention; default: none, everything stays. */
  readonly keep?: Policy | undefined;
}

/**
 * The plan of a Chatto backup, named like Chatto's own. Throws {@linkcode ConfigError} when chatto.toml, full of secrets, would be
 * stored in the clear.
 */
export function chattoPlan(options: ChattoPlanOptions = {}): Plan {
  const { to = directory("backups"), keep } = options;
  const plan = chain(options).pipe(upload({ name: SHELF, to, naming: chattoNaming }));
  return keep === undefined ? plan : plan.pipe(prune(keep));
}

/** The plan of one file called `name` in a folder. */
export function chattoFilePlan(options: ChattoPlanOptions, folder: string, name: string): Plan {
  return chain(options).pipe(upload({ name: SHELF, to: directory(folder), naming: fixedNaming(name) }));
}

// deno-lint-ignore explicit-function-return-type -- the chain's own type
function chain(options: ChattoPlanOptions) {
  const { passphrase, includeConfig } = options;
  if (includeConfig && !passphrase) {
    throw new ConfigError("Cannot store chatto.toml in the clear: it holds every secret. Encrypt the backup");
  }
  return pipeline(chattoCollector(options))
    .pipe(tar())
    .pipe(gzip())
    .pipe(passphrase ? age({ passphrase }) : plaintext())
    .pipe(sha256());
}

/** The plan that reads a file, Chatto's or ours; encryption is told by content. */
export function chattoReader(options: ChattoPlanOptions, folder: string, name: string): Plan {
  return pipeline(chattoCollector(options))
    .pipe(tar())
    .pipe(gzip())
    .pipe(refuseKeys())
    .pipe(detect({ passphrase: options.passphrase }))
    .pipe(upload({ name: SHELF, to: directory(folder), naming: fixedNaming(name) }));
}

/** A folder with one name in it. */
function fixedNaming(name: string): Naming {
  const { suffix = ".tar.gz", time = new Date(0) } = chattoNaming.parse(name) ?? {};
  return {
    prefix: () => name,
    format: () => name,
    parse: (id) => id === name ? { name: SHELF, time, suffix } : undefined,
  };
}

/** A key export given as a backup would only fail as bad tar. */
function refuseKeys(): Stage<Archive, Archive> {
  const undo = (archive: Archive): Promise<Archive> =>
    Promise.resolve({ ...archive, body: { read: () => withoutKeys(archive.body.read()) } });
  return { name: "keys", run: (archive) => Promise.resolve(archive), undo };
}

function withoutKeys(bytes: Bytes): Bytes {
  return toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
    let first = true;
    for await (const chunk of bytes) {
      if (first && chunk[0] === 0x7b) {
        throw new IntegrityError(
          "Cannot restore: this is a key export, not a backup. Import it with chatto:keys:import",
        );
      }
      first = false;
      yield chunk;
    }
  }, bytes);
}

/** Encrypts the text of a key file as Chatto does: age, binary, with a passphrase. */
export async function sealText(
  text: U8,
  passphrase: () => string | Promise<string>,
  context: Parameters<Stage<unknown, unknown>["run"]>[1],
): Promise<Bytes> {
  const archive = {
    kind: "archive",
    suffix: "",
    body: bodyOf(text),
    facts: () => ({ sources: [], stages: [] }),
  } as const;
  return (await age({ passphrase }).run(archive, context)).body.read();
}

/** The way back of {@linkcode sealText}. */
export async function openText(
  bytes: U8,
  passphrase: () => string | Promise<string>,
  context: Parameters<Stage<unknown, unknown>["run"]>[1],
): Promise<Bytes> {
  const sealed = {
    kind: "sealed",
    suffix: "",
    body: bodyOf(bytes),
    facts: () => ({ sources: [], stages: [] }),
    signers: [],
  } as const;
  return (await age({ passphrase }).undo(sealed, context)).body.read();
}
