/**
 * What Chatto backs up, in which order, and how it lays it out: facts of the program, kept in one place.
 *
 * @module
 */
import type { StreamOrder } from "../../collect/jetstream/choose.ts";

/** The collector's name, in receipts and messages. */
export const NAME = "chatto";
/** The archive's one top folder. */
export const TOP = "backup";
/** What the archive holds, in words. */
export const MANIFEST = "manifest.json";
/** The stream of the key bucket. */
export const KEY_STREAM = "KV_ENCRYPTION_KEYS";
/** Subjects of the key bucket. */
export const KEY_SUBJECT = "$KV.ENCRYPTION_KEYS.";
/** The stream of the assets, where they do not lie in S3. */
export const ASSET_STREAM = "OBJ_SERVER_ASSETS";

const EPHEMERAL = "ephemeral (memory storage)";
const CACHE = "cache (regeneratable)";

const SKIPPED: Readonly<Record<string, string>> = {
  KV_MEMORY_CACHE: EPHEMERAL,
  KV_USER_PRESENCE: EPHEMERAL,
  KV_CALL_STATE: EPHEMERAL,
  KV_LINK_PREVIEW_CACHE: CACHE,
  KV_AUTH_TOKENS: "security (prevents token leakage)",
};

/** Why a stream is left out, or undefined. Streams in memory are left out besides. */
export function skipReason(name: string, includeKeys: boolean): string | undefined {
  if (name === KEY_STREAM) {
    return includeKeys ? undefined : "security (keys excluded from backups; pass --include-keys to override)";
  }
  if (name.startsWith("OBJ_ASSET_CACHE")) return CACHE;
  return Object.hasOwn(SKIPPED, name) ? SKIPPED[name] : undefined;
}

/** Facts refer to events, and notifications to everything: what refers is read after what it refers to. */
export const ORDER: StreamOrder = { first: ["EVT"], last: ["NOTIFICATIONS"] };
