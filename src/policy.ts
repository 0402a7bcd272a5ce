/**
 * What an operator demands of every backup, pinned in the plan: checked before one is made, and before one is read. Nothing is
 * ever inferred from which files happen to lie in a store.
 *
 * @module
 */
import { IntegrityError } from "./errors.ts";
import type { BackupReceipt } from "./receipt.ts";
import type { Requirements, Sealed, Shelf } from "./stage.ts";

const UNITS: Readonly<Record<string, number>> = { h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/** Throws TypeError unless the demands can be understood. */
export function checkRequirements(require: Requirements | "none" | undefined): void {
  if (require === undefined || require === "none") return;
  if (typeof require !== "object" || require === null) {
    throw new TypeError('Cannot use "require": it must be an object such as { signature: true }, or "none"');
  }
  for (const key of Object.keys(require)) {
    if (!["signature", "encryption", "signers", "maxAge"].includes(key)) {
      throw new TypeError(
        `Cannot use "require": "${key}" is not known. Known: signature, encryption, signers, maxAge`,
      );
    }
  }
  for (const key of ["signature", "encryption"] as const) {
    if (require[key] !== undefined && typeof require[key] !== "boolean") {
      throw new TypeError(`Cannot use "require": "${key}" must be true or false`);
    }
  }
  const { signers, maxAge } = require;
  if (signers !== undefined && (!Array.isArray(signers) || signers.length === 0)) {
    throw new TypeError(
      'Cannot use "require": "signers" must be a list of public keys or fingerprints, not empty',
    );
  }
  if (maxAge !== undefined) ageOf(maxAge);
}

/** A duration such as "26h", "2d" or "1w" in milliseconds. */
function ageOf(text: string): number {
  const match = /^([1-9][0-9]{0,5})([hdw])$/.exec(String(text));
  if (!match) {
    throw new TypeError('Cannot use "require": "maxAge" must be a duration such as "26h", "2d" or "1w"');
  }
  return Number(match[1]) * UNITS[match[2]!]!;
}

/** Throws {@linkcode IntegrityError} when the backup about to be made would not be what is demanded. Before a byte is read. */
export function requireOnCreate(shelf: Shelf, sealed: Sealed): void {
  const { require } = shelf;
  if (require === undefined || require === "none") return;
  const cannot = `Cannot back up "${shelf.name}": the plan's policy`;
  const identities = sealed.signers.filter(({ authenticates }) => authenticates).map(({ identity }) =>
    identity
  );
  if ((require.signature || require.signers) && identities.length === 0) {
    throw new IntegrityError(
      `${cannot} demands a signature, and no stage signs. Add sign.minisign or sign.openpgp`,
    );
  }
  if (require.signers && !identities.some((identity) => require.signers!.includes(identity ?? ""))) {
    throw new IntegrityError(
      `${cannot} accepts no signature by ${
        identities.join(", ")
      }. Sign with a key it names, or add this one to "signers"`,
    );
  }
  if (require.encryption && !isEncrypted(sealed.suffix)) {
    throw new IntegrityError(
      `${cannot} demands encryption, and this would be stored in the clear. Add encrypt.age or encrypt.openpgp`,
    );
  }
}

/**
 * Throws {@linkcode IntegrityError} when a stored backup is not what is demanded. `sidecar` gives what lies beside its receipt; the
 * signature itself is proven here, by the keys the plan's sign stages pin.
 */
export async function requireOnRestore(
  shelf: Shelf,
  receipt: BackupReceipt,
  bytes: Uint8Array<ArrayBuffer>,
  sidecar: (suffix: string) => Promise<Uint8Array<ArrayBuffer> | undefined>,
): Promise<void> {
  const { require, seals = [] } = shelf;
  if (require === undefined || require === "none") return;
  const cannot = `Cannot trust "${receipt.id}": the plan's policy`;
  const encrypted = receipt.stages.some(({ verb, tool }) => verb === "encrypt" && tool !== "plaintext");
  const suffix = shelf.naming.parse(receipt.id)?.suffix ?? "";
  if (require.encryption && !(encrypted && isEncrypted(suffix))) {
    throw new IntegrityError(
      `${cannot} demands encryption, and this lies there in the clear. Someone may have put it there`,
    );
  }
  if (!require.signature && !require.signers) return;
  const identities: string[] = [];
  for (const seal of seals) {
    const name = `${receipt.id}.receipt.json`;
    const signature = await sidecar(`.receipt.json${seal.suffix}`);
    if (!signature) {
      throw new IntegrityError(
        `${cannot} demands a signature, and "${name}${seal.suffix}" is missing. Someone may have removed it`,
      );
    }
    identities.push(await seal.verify(bytes, name, signature));
  }
  if (identities.length === 0) {
    throw new IntegrityError(
      `${cannot} demands a signature, and no stage of the plan can check one. Add the sign stage`,
    );
  }
  if (require.signers && !identities.some((identity) => require.signers!.includes(identity))) {
    throw new IntegrityError(`${cannot} accepts no signature by ${identities.join(", ")}`);
  }
}

/** Throws {@linkcode IntegrityError} when the newest backup is older than the policy allows: newer ones may have been deleted. */
export function requireFresh(shelf: Shelf, id: string, now: Date): void {
  const { require } = shelf;
  if (require === undefined || require === "none" || require.maxAge === undefined) return;
  const time = shelf.naming.parse(id)?.time;
  const age = time ? now.getTime() - time.getTime() : Infinity;
  if (age <= ageOf(require.maxAge)) return;
  throw new IntegrityError(
    `Cannot trust "${id}" as the newest backup of "${shelf.name}": it is ${
      Math.floor(age / UNITS["h"]!)
    } hours old, the plan ` +
      `allows ${require.maxAge}. Newer ones were deleted, or no backup was made; name it to use it all the same`,
  );
}

function isEncrypted(suffix: string): boolean {
  return /\.(?:age|gpg|pgp)$/.test(suffix);
}
