/**
 * The header of an age file: the library reads and makes those that are not for X25519 recipients alone; keys and messages are ours.
 *
 * @module
 */
import type { Decrypter, Identity, Recipient, Stanza } from "age-encryption";
import { IntegrityError, KeyError } from "../errors.ts";
import type { U8 } from "../stage.ts";
import { ARMOR_HEAD, isArmored } from "./armor.ts";
import type { Intake } from "./intake.ts";
import { decodeRecipient, makeX25519Header, openX25519Header, readX25519Header } from "./x25519.ts";

/** The longest header that is read: 4 MiB, room for 2,500 hybrid recipients. */
const HEADER_LIMIT = 4 * 1024 * 1024;
/** Empty payload as the library writes it after the header: a nonce and a tag. */
const EMPTY_PAYLOAD = 32;
const VERSION = /^age-encryption\.org\/v\d+\n/;

/** A header and the file key it wraps. */
export interface Header {
  /** The header's bytes, with the MAC line. */
  readonly bytes: U8;
  /** 16 random bytes: the secret of this one file. */
  readonly fileKey: U8;
}

/** How encrypted bytes start: armored, plain, or not as age at all. Consumes nothing. */
export async function sniff(input: Intake): Promise<"armor" | "binary" | undefined> {
  const head = await input.peek(ARMOR_HEAD);
  if (VERSION.test(new TextDecoder("latin1").decode(head.subarray(0, 64)))) return "binary";
  return isArmored(head) ? "armor" : undefined;
}

/** Draws a file key and wraps it for every recipient. */
export async function makeHeader(recipients: readonly (string | Recipient)[]): Promise<Header> {
  const classic = recipients.flatMap((to) => typeof to === "string" ? decodeRecipient(to) ?? [] : []);
  if (classic.length === recipients.length) return makeX25519Header(classic);
  const { Encrypter } = await import("age-encryption");
  const encrypter = new Encrypter();
  for (const recipient of recipients) encrypter.addRecipient(recipient);
  let fileKey: U8 | undefined;
  // The library hands every recipient the file key; this one keeps it and adds no stanza.
  encrypter.addRecipient({
    wrapFileKey: (key) => {
      fileKey = new Uint8Array(key);
      return [];
    },
  });
  const file = await encrypter.encrypt(new Uint8Array(0));
  return { bytes: new Uint8Array(file.subarray(0, file.length - EMPTY_PAYLOAD)), fileKey: fileKey! };
}

/** Takes the header off a file; throws {@linkcode IntegrityError} when it does not end. */
export async function takeHeader(input: Intake, what: string): Promise<U8> {
  for (let size = 4096;; size *= 4) {
    const head = await input.peek(size);
    const end = headerEnd(head);
    if (end !== undefined) return await input.take(end);
    if (head.length < size) {
      throw new IntegrityError(`Cannot decrypt ${what}: it is cut in its header. ${NEXT}`);
    }
    if (size >= HEADER_LIMIT) {
      throw new IntegrityError(`Cannot decrypt ${what}: its header does not end. ${NEXT}`);
    }
  }
}

const NEXT = "Restore another copy or an older backup";

/** Where the line after the stanzas ends; no line before it starts with "---". */
function headerEnd(head: U8): number | undefined {
  for (let at = head.indexOf(10); at >= 0; at = head.indexOf(10, at + 1)) {
    if (head[at + 1] === 45 && head[at + 2] === 45 && head[at + 3] === 45) {
      const end = head.indexOf(10, at + 1);
      return end < 0 ? undefined : end + 1;
    }
  }
  return undefined;
}

/** What a header is encrypted to. Throws {@linkcode IntegrityError} unless it is well formed. */
export async function readStanzas(header: U8, what: string): Promise<readonly Pick<Stanza, "args">[]> {
  const classic = readX25519Header(header);
  if (classic) return classic.stanzas.map(() => ({ args: ["X25519"] }));
  let seen: readonly Stanza[] | undefined;
  const { Decrypter } = await import("age-encryption");
  const decrypter = new Decrypter();
  decrypter.addIdentity({
    unwrapFileKey: (stanzas) => {
      seen = stanzas;
      return null;
    },
  });
  try {
    await decrypter.decryptHeader(header);
  } catch (cause) {
    // No identity fits: that is certain. What counts is whether the library came as far as asking one.
    if (!seen) throw new IntegrityError(`Cannot decrypt ${what}: its header is damaged. ${NEXT}`, { cause });
  }
  const stanzas = seen ?? [];
  if (stanzas.length > 1 && stanzas.some(({ args }) => args[0] === "scrypt")) {
    throw new IntegrityError(
      `Cannot decrypt ${what}: its header has a passphrase beside recipients. ${NEXT}`,
    );
  }
  return stanzas;
}

/** The file key of a header whose MAC is right, or undefined when no identity fits. Throws {@linkcode IntegrityError}. */
export async function unwrapHeader(
  header: U8,
  identities: readonly (string | Identity)[],
  what: string,
): Promise<U8 | undefined> {
  const texts = identities.filter((one) => typeof one === "string");
  const classic = texts.length === identities.length ? readX25519Header(header) : undefined;
  const fileKey = classic && openX25519Header(classic, texts);
  if (fileKey) return fileKey;
  const { Decrypter } = await import("age-encryption");
  const decrypter = new Decrypter();
  for (const identity of identities) addIdentity(decrypter, identity);
  let exhausted = false;
  decrypter.addIdentity({
    unwrapFileKey: () => {
      exhausted = true;
      return null;
    },
  });
  try {
    return new Uint8Array(await decrypter.decryptHeader(header));
  } catch (cause) {
    if (exhausted) return undefined;
    throw new IntegrityError(`Cannot decrypt ${what}: its header is damaged or was changed. ${NEXT}`, {
      cause,
    });
  }
}

function addIdentity(decrypter: Decrypter, identity: string | Identity): void {
  try {
    decrypter.addIdentity(identity);
  } catch {
    // Without the cause: its text may repeat the secret.
    throw new KeyError("Cannot read an identity: it is damaged. Copy it again, whole");
  }
}

/** What a header is encrypted to, for messages: "2 X25519 recipients". */
export function describeStanzas(stanzas: readonly Pick<Stanza, "args">[]): string {
  const counts = new Map<string, number>();
  for (const { args } of stanzas) {
    const type = args[0] === "mlkem768x25519" ? "hybrid (post-quantum)" : (args[0] ?? "?").slice(0, 32);
    counts.set(type, (counts.get(type) ?? 0) + 1);
  }
  if (counts.size === 0) return "no recipient at all";
  const parts = [...counts].map(([type, n]) => `${n} ${type} recipient${n === 1 ? "" : "s"}`);
  return parts.slice(0, 4).join(", ");
}
