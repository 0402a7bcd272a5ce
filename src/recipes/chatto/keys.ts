/**
 * Chatto's encryption keys: out of their bucket into one text, and back without ever overwriting one.
 *
 * @module
 */
import { ApiError, type Link, readAnswer } from "../../nats/link.ts";
import { integerAt, objectAt, textAt } from "../../nats/exact.ts";
import { messageOf } from "../../errors.ts";
import type { Log } from "../../stage.ts";
import { checkKey, parseKeys } from "./key_file.ts";
import { KEY_STREAM, KEY_SUBJECT } from "./rules.ts";

/** What is under one reference in the bucket. */
interface Slot {
  readonly ref: string;
  readonly seq: bigint;
  /** Undefined: it was deleted. */
  readonly value: Uint8Array | undefined;
}

/** What an import did. */
export interface KeyImport {
  /** Written. */
  readonly imported: number;
  /** Already there, whatever their value; left as they are. */
  readonly existing: number;
  /** Wrapped data keys, which belong to the data and not here. */
  readonly wrapped: number;
  /** Keys that had been erased, and are left so. */
  readonly erased: number;
  /** Keys that had been erased, and were brought back. */
  readonly revived: number;
}

const NOT_FOUND = 10059;

/** Every live key as the text of a key file, and their number. Keys of running calls are left out: nobody can import them. */
export async function exportKeys(
  link: Link,
  log: Log,
): Promise<{ readonly text: string; readonly count: number }> {
  const keys: { key_ref: string; user_id?: string; key: string }[] = [];
  let calls = 0;
  for (const { ref, value } of await readSlots(link)) {
    if (value === undefined) continue;
    if (ref.startsWith("call.e2ee.")) calls++;
    else {
      checkKey(ref, value, "Cannot export the keys");
      const user = ref.startsWith("user.") ? { user_id: ref.slice(5) } : {};
      keys.push({ key_ref: ref, ...user, key: value.toBase64() });
    }
  }
  if (calls > 0) log.info(`Left out ${calls} keys of voice calls under way`);
  const file = { version: 3, created_at: new Date().toISOString(), key_count: keys.length, keys };
  return { text: JSON.stringify(file, undefined, 2), count: keys.length };
}

/**
 * Imports the text of a key file. Everything is checked before anything is written; a key that exists stays; an erased one comes
 * back with `revive` alone.
 */
export async function importKeys(
  link: Link,
  text: string,
  options: { readonly replicas: number; readonly revive: boolean },
): Promise<KeyImport> {
  const { keys, wrapped } = parseKeys(text);
  await makeBucket(link, options.replicas);
  const slots = new Map((await readSlots(link)).map((slot) => [slot.ref, slot]));
  const done = { imported: 0, existing: 0, wrapped, erased: 0, revived: 0 };
  for (const { ref, value } of keys) {
    const slot = slots.get(ref);
    if (slot?.value !== undefined) done.existing++;
    else if (slot && !options.revive) done.erased++;
    else if (!await create(link, ref, value, slot?.seq ?? 0n)) done.existing++;
    else if (slot) done.revived++;
    else done.imported++;
  }
  return done;
}

/** Everything in the bucket, oldest first; nothing where there is none. */
async function readSlots(link: Link): Promise<readonly Slot[]> {
  const subjects: string[] = [];
  try {
    for (;;) {
      const body = JSON.stringify({ subjects_filter: ">", offset: subjects.length });
      const info = await link.api(`STREAM.INFO.${KEY_STREAM}`, body);
      const page = Object.keys(objectAt(objectAt(info, "state"), "subjects"));
      subjects.push(...page);
      if (page.length === 0 || BigInt(subjects.length) >= integerAt(info, "total")) break;
    }
  } catch (error) {
    if (error instanceof ApiError && error.code === NOT_FOUND) return [];
    throw new Error(`Cannot read the encryption keys: ${messageOf(error)}`, { cause: error });
  }
  const slots = await Promise.all(subjects.map((subject) => readSlot(link, subject)));
  return slots.filter((slot) => slot !== undefined).sort((a, b) => a.seq < b.seq ? -1 : 1);
}

async function readSlot(link: Link, subject: string): Promise<Slot | undefined> {
  let message;
  try {
    const body = JSON.stringify({ last_by_subj: subject });
    message = objectAt(await link.api(`STREAM.MSG.GET.${KEY_STREAM}`, body), "message");
  } catch (error) {
    // Erased for good between the listing and now.
    if (error instanceof ApiError && error.code === 10037) return undefined;
    throw error;
  }
  const head = new TextDecoder().decode(Uint8Array.fromBase64(textAt(message, "hdrs")));
  const gone = /^(?:KV-Operation: *(?:DEL|PURGE)|Nats-Marker-Reason:)/mi.test(head);
  return {
    ref: subject.slice(KEY_SUBJECT.length),
    seq: integerAt(message, "seq"),
    value: gone ? undefined : Uint8Array.fromBase64(textAt(message, "data")),
  };
}

/** Writes a key unless somebody has written it since; gives whether it did. */
async function create({ nc }: Link, ref: string, value: Uint8Array, after: bigint): Promise<boolean> {
  const headers = (await import("@nats-io/transport-node")).headers();
  headers.set("Nats-Expected-Last-Subject-Sequence", String(after));
  try {
    readAnswer((await nc.request(`${KEY_SUBJECT}${ref}`, value, { headers, timeout: 10_000 })).data);
    return true;
  } catch (error) {
    if (error instanceof ApiError && (error.code === 10071 || error.code === 10164)) return false;
    throw new Error(
      `Cannot import the key "${ref}": ${messageOf(error)}. Run again: keys that are there stay`,
      {
        cause: error,
      },
    );
  }
}

/** The bucket as Chatto makes it; one that exists is left as it is. */
async function makeBucket(link: Link, replicas: number): Promise<void> {
  try {
    await link.api(`STREAM.INFO.${KEY_STREAM}`);
  } catch (error) {
    if (!(error instanceof ApiError) || error.code !== NOT_FOUND) throw error;
    const config = {
      name: KEY_STREAM,
      description: "KMS key-encryption keys (excluded from backups)",
      subjects: [`${KEY_SUBJECT}>`],
      retention: "limits",
      max_msgs_per_subject: 1,
      max_msgs: -1,
      max_bytes: -1,
      max_msg_size: -1,
      max_consumers: -1,
      storage: "file",
      discard: "new",
      num_replicas: replicas,
      duplicate_window: 120_000_000_000,
      deny_delete: true,
      allow_rollup_hdrs: true,
      allow_direct: true,
    };
    await link.api(`STREAM.CREATE.${KEY_STREAM}`, JSON.stringify(config));
  }
}
