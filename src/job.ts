/**
 * A pipeline with what is said around it: what the commands work on.
 *
 * @module
 */
import type { PlanConfig } from "./config.ts";
import type { Pipeline, Stored } from "./stage.ts";

/** Programs around a plan's backup, as argument lists; no shell is involved. */
export interface Hooks {
  /** Before anything is read. Its failure is the run's. */
  readonly before?: readonly string[] | undefined;
  /** After a success. */
  readonly after?: readonly string[] | undefined;
  /** After a failure. */
  readonly failed?: readonly string[] | undefined;
  /** At the end, whatever happened. */
  readonly finally?: readonly string[] | undefined;
}

/** A pipeline with what a configuration says around it. */
export interface Job {
  /** What `--plan` calls it. */
  readonly name: string;
  /** The chain. */
  readonly plan: Pipeline<void, Stored>;
  /** Programs around a backup. */
  readonly hooks: Hooks;
  /** The drill's own words. */
  readonly drill: { readonly assert?: readonly string[] | undefined; readonly scratch?: string | undefined };
  /** The configuration's file, absolute; programs run in its folder. */
  readonly file?: string | undefined;
  /** What the configuration says; absent for a TypeScript plan. */
  readonly config?: PlanConfig | undefined;
}

/** Keys from the command line. */
export interface Keys {
  /** The text of identities, asked for only when something is decrypted. Wins over the plan's. */
  readonly identities?: (() => Promise<readonly string[]>) | undefined;
  /** The same, for a plan that names none. */
  readonly fallback?: (() => Promise<readonly string[]>) | undefined;
  /** OpenPGP secret keys from the same files as the identities. Win over the plan's; none are given where there are no files. */
  readonly secretKeys?: (() => Promise<readonly Uint8Array[]>) | undefined;
  /** Asks people for the passphrase of a secret key that has one, where nothing says where to find it; `what` names the key. */
  readonly unlock?: ((what: string) => Promise<string>) | undefined;
  /** The passphrase, asked for when it is needed. Wins over the plan's. */
  readonly passphrase?: (() => Promise<string>) | undefined;
  /** The same, asked of people where nothing else gives it: nobody is asked for what a plan says where to find. */
  readonly prompt?: (() => Promise<string>) | undefined;
}
