/**
 * From stored bytes to clear ones: finds what the header needs, asks for that secret once, opens the payload.
 *
 * @module
 */
import { sha256, toBytes } from "../bytes.ts";
import { IntegrityError, KeyError, messageOf } from "../errors.ts";
import type { Bytes, U8 } from "../stage.ts";
import { dearmored } from "./armor.ts";
import { describeStanzas, readStanzas, sniff, takeHeader, unwrapHeader } from "./header.ts";
import { type Intake, intake } from "./intake.ts";
import { brief, parseIdentities } from "./keys.ts";
import { openPayload } from "./payload.ts";
import { scryptIdentity } from "./scrypt.ts";

/** Where secrets come from. Each is called at most once per restore, and only when the data needs it. */
export interface Secrets {
  /** Gives identities, or whole key files (comments and blank lines allowed). */
  readonly identities?: (() => Identities | Promise<Identities>) | undefined;
  /** Gives the passphrase. */
  readonly passphrase?: (() => string | Promise<string>) | undefined;
}

/** Texts with one identity a line: one text or several. */
export type Identities = readonly string[] | string;

/** Gives the file key of a header, asking for the secret it needs. */
export type Unlock = (header: U8, what: string) => Promise<U8>;

/**
 * An unlock over some secrets; it remembers secrets and file keys. `recipients` are those the receipt names: the message says
 * them when no identity fits. Throws {@linkcode KeyError} for every lack of a key.
 */
export function unlocker(secrets: Secrets, recipients: readonly string[]): Unlock {
  const fileKeys = new Map<string, U8>();
  let identities: Promise<readonly string[]> | undefined;
  let passphrase: Promise<string> | undefined;

  async function byPassphrase(header: U8, what: string): Promise<U8> {
    passphrase ??= askPassphrase(secrets, what);
    const fileKey = await unwrapHeader(header, [scryptIdentity(await passphrase)], what);
    return fileKey ??
      fail(`Cannot decrypt ${what}: the passphrase does not fit. Give the one it was encrypted with`);
  }

  async function byIdentity(header: U8, what: string, needs: string): Promise<U8> {
    identities ??= askIdentities(secrets, what, needs);
    const given = await identities;
    const fileKey = await unwrapHeader(header, given, what);
    const none = given.length === 1 ? "the identity does not fit" : `none of ${given.length} identities fits`;
    return fileKey ?? fail(`Cannot decrypt ${what}: ${none}. ${needs}`);
  }

  return async (header, what) => {
    const id = sha256(header);
    let fileKey = fileKeys.get(id);
    if (!fileKey) {
      const stanzas = await readStanzas(header, what);
      const needs = `It is encrypted to ${describeStanzas(stanzas)}. ${nextStep(recipients)}`;
      fileKey = stanzas[0]?.args[0] === "scrypt"
        ? await byPassphrase(header, what)
        : await byIdentity(header, what, needs);
      fileKeys.set(id, fileKey);
    }
    return fileKey;
  };
}

/** Whether bytes are encrypted with age; if they are, that their key is at hand. Reads no further than the header. */
export async function inspect(bytes: Bytes, unlock: Unlock, what: string): Promise<boolean> {
  const input = intake(bytes);
  try {
    const opened = await header(input, what);
    if (!opened) return false;
    await unlock(opened.header, what);
    return true;
  } finally {
    await input.close();
  }
}

/** Decrypts; throws {@linkcode IntegrityError} when the bytes are not encrypted with age. */
export function decrypted(source: () => Bytes, unlock: Unlock, what: string): Bytes {
  return toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
    const input = intake(source());
    try {
      const opened = await header(input, what);
      if (!opened) throw notAge(what);
      const fileKey = await unlock(opened.header, what);
      yield* openPayload(fileKey, opened.rest, what);
    } finally {
      await input.close();
    }
  });
}

/** The error for bytes that are not encrypted where they must be. */
export function notAge(what: string): IntegrityError {
  return new IntegrityError(
    `Cannot decrypt ${what}: it is not encrypted with age; refusing to read it as clear text. Restore another copy or an older backup`,
  );
}

/** A header, and what comes after it. */
export interface Opened {
  /** The header, whole. */
  readonly header: U8;
  /** What follows. */
  readonly rest: Intake;
  /** Whether it stands in ASCII armor. */
  readonly armor: boolean;
}

/** Takes the header; undefined when the bytes are not encrypted with age. */
export async function header(input: Intake, what: string): Promise<Opened | undefined> {
  const form = await sniff(input);
  if (form === undefined) return undefined;
  const rest = form === "armor" ? intake(dearmored(input, what)) : input;
  return { header: await takeHeader(rest, what), rest, armor: form === "armor" };
}

async function askIdentities(secrets: Secrets, what: string, needs: string): Promise<readonly string[]> {
  if (!secrets.identities) throw new KeyError(`Cannot decrypt ${what}: no identity is given. ${needs}`);
  const given = await ask(secrets.identities, `the identities for ${what}`, needs);
  if (typeof given !== "string" && !Array.isArray(given)) {
    throw new KeyError(`Cannot read the identities for ${what}: the function gave neither a text nor a list`);
  }
  const found = parseIdentities(typeof given === "string" ? [given] : given, `the identities for ${what}`);
  if (found.length === 0) {
    throw new KeyError(
      `Cannot decrypt ${what}: no private key was found (a line that begins with AGE-SECRET-KEY-). ${needs}`,
    );
  }
  return found;
}

async function askPassphrase(secrets: Secrets, what: string): Promise<string> {
  if (!secrets.passphrase) {
    throw new KeyError(
      `Cannot decrypt ${what}: it is encrypted with a passphrase, and none is given. Pass it as "passphrase"`,
    );
  }
  return await ask(secrets.passphrase, `the passphrase for ${what}`);
}

/** `needs` says which key would do; a key that is not where it was looked for leaves that open. */
async function ask<T>(secret: () => T | Promise<T>, name: string, needs?: string): Promise<T> {
  try {
    return await secret();
  } catch (cause) {
    if (cause instanceof KeyError && needs !== undefined) {
      throw new KeyError(`${cause.message}. ${needs}`, { cause });
    }
    if (cause instanceof KeyError || (cause instanceof DOMException && cause.name === "AbortError")) {
      throw cause;
    }
    throw new KeyError(`Cannot read ${name}: ${messageOf(cause)}`, { cause });
  }
}

function nextStep(recipients: readonly string[]): string {
  const keys = recipients.filter((recipient) => recipient.startsWith("age1")).map(brief);
  if (keys.length === 0) return "Pass --identity FILE, the one that fits";
  const shown = keys.slice(0, 3).join(" or ") + (keys.length > 3 ? ` or ${keys.length - 3} more` : "");
  return `Pass --identity FILE, the one that belongs to ${shown}`;
}

function fail(message: string): never {
  throw new KeyError(message);
}
