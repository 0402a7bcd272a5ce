/**
 * What a rotation of keys is asked for, and what it did.
 *
 * @module
 */
import type { RunOptions } from "../context.ts";
import type { Archive, Sealed, Stage } from "../stage.ts";

/** How to re-encrypt. */
export interface ReencryptOptions extends RunOptions {
  /** Only what this recipient (or fingerprint) can read. Default: all that is not encrypted to exactly the plan's recipients. */
  readonly key?: string | undefined;
  /** Opens what is there. Default: the plan's encrypt stage, whose identities must then hold the old one. */
  readonly opens?: Stage<Archive, Sealed> | undefined;
  /** Do it. Default: false, which only says what would be done, and whether a key for it is at hand. */
  readonly confirm?: boolean | undefined;
}

/** What to forget. */
export interface ForgetOptions extends RunOptions {
  /** The lost recipients (or fingerprints); "passphrase" for a lost passphrase. */
  readonly keys: readonly string[];
  /** Do it. Default: false, which only says what would be removed. */
  readonly confirm?: boolean | undefined;
}

/** What became, or would become, of one backup. */
export interface RotateStep {
  /** The archive's file name. */
  readonly id: string;
  /** Its new file name, once it is re-encrypted. */
  readonly successor?: string | undefined;
  /** The stores it was removed from, or would be. */
  readonly stores: readonly string[];
  /** Length of the archive. */
  readonly bytes: number;
  /** Why it stays as it was, wholly or in a store. */
  readonly error?: Error | undefined;
}

/** What a rotation did. */
export interface RotateResult {
  /** One for each backup concerned, oldest first. */
  readonly steps: readonly RotateStep[];
  /** How many whole backups it does not concern. */
  readonly others: number;
}
