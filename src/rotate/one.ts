/**
 * One backup, re-encrypted: verified, decrypted, encrypted again and signed on the way through, then read back.
 *
 * @module
 */
import { IntegrityError } from "../errors.ts";
import type { Plan } from "../find.ts";
import { requireOnCreate } from "../policy.ts";
import { decodeReceipt } from "../receipt.ts";
import { wantOf } from "../restore.ts";
import type { Archive, Context, FactSheet, Part, Sealed, Shelf, Stored } from "../stage.ts";
import { openSigners, type Target } from "../upload/commit.ts";
import { download } from "../upload/download.ts";
import { writeBackup } from "../upload/write.ts";
import type { Held } from "./look.ts";

/** What a re-encryption needs. */
export interface Work {
  /** The plan: its stages open, encrypt and sign. */
  readonly plan: Plan;
  /** Its shelf. */
  readonly shelf: Shelf;
  /** Opens what is there. */
  readonly opens: Part;
  /** The run. */
  readonly context: Context;
}

/** Opens a backup as far as its archive, as readable bytes; asks for keys, and reads no more than headers. */
export async function openArchive(
  { plan, shelf, opens, context }: Work,
  held: readonly Held[],
): Promise<Archive> {
  const { receipt, head } = held[0]!;
  const copies = held.map(({ store, bytes }) => ({ store, receipt: bytes }));
  const stored: Stored = { kind: "stored", id: head.id, shelf, copies, failures: [] };
  const asked: Context = { ...context, want: wantOf({}, receipt) };
  let value: unknown = stored;
  for (const stage of plan.stages.slice(encryptAt(plan) + 1).toReversed()) {
    value = await stage.undo(value, asked);
  }
  return await opens.undo(value, asked) as Archive;
}

/** Encrypts and signs it as the plan does now. The facts of the old encryption and signatures are left out. */
export async function sealAgain({ plan, shelf, context }: Work, archive: Archive): Promise<Sealed> {
  const facts = (): FactSheet => {
    const sheet = archive.facts();
    const stages = sheet.stages.filter(({ verb }) => verb !== "encrypt" && verb !== "sign");
    return { ...sheet, stages, recipients: undefined };
  };
  let value: unknown = { ...archive, facts, proof: undefined };
  const upload = plan.stages.findIndex(({ shelf }) => shelf);
  for (const stage of plan.stages.slice(encryptAt(plan), upload)) value = await stage.run(value, context);
  requireOnCreate(shelf, value as Sealed);
  return value as Sealed;
}

function encryptAt({ stages }: Plan): number {
  return stages.findIndex(({ verb }) => verb === "encrypt");
}

/** Refuses to make a signed backup an unsigned one. */
export function checkSigned({ receipt }: Held, { seals = [] }: Shelf): void {
  if (receipt.signer === undefined || seals.length > 0) return;
  throw new IntegrityError(
    `Cannot re-encrypt "${receipt.id}": it is signed by ${receipt.signer}, and no stage here signs. Use the plan that signs (--config)`,
  );
}

/**
 * Writes the re-encryption of `held` into the targets, named by `time`, and gives its file name. A target that failed carries its error. The receipt names its
 * predecessor, keeps what it says of source, content and warnings, and its base is the re-encrypted base where there is one.
 */
export async function writeAgain(
  work: Work,
  time: Date,
  held: readonly Held[],
  targets: readonly Target[],
  bases: ReadonlyMap<string, string>,
): Promise<string> {
  const { shelf, context } = work;
  const { receipt } = held[0]!;
  checkSigned(held[0]!, shelf);
  const plain = await openArchive(work, held);
  const sealed = await sealAgain(work, plain);
  const id = shelf.naming.format(shelf.name, time, sealed.suffix);
  const facts = (): FactSheet => {
    const sheet = sealed.facts();
    const base = sheet.contents?.base ?? null;
    return base === null || !sheet.contents
      ? sheet
      : { ...sheet, contents: { ...sheet.contents, base: bases.get(base) ?? base } };
  };
  const signatures = await openSigners(sealed.signers, id);
  const again: Context = { ...context, warnings: () => receipt.warnings };
  const job = { id, shelf, sealed: { ...sealed, facts }, signatures, targets, context: again };
  await writeBackup(job);
  context.signal.throwIfAborted();
  return id;
}

/** Reads a backup back, archive and index; throws IntegrityError unless it is what its receipt says, byte for byte. */
export async function readBack({ shelf, context }: Work, { store, head, bytes }: Held): Promise<void> {
  const receipt = decodeReceipt(bytes, head.id);
  if (receipt.event !== "backup") throw new IntegrityError(`"${head.id}" has no backup's receipt`);
  const copies = [{ store, receipt: bytes }];
  const stored: Stored = { kind: "stored", id: head.id, shelf, copies, failures: [] };
  const { body, index } = await download(stored, { ...context, want: wantOf({}, receipt) });
  for (const object of [body, index]) {
    if (object) { for await (const _chunk of object.read()) context.signal.throwIfAborted(); }
  }
}
