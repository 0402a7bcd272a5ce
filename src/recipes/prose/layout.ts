/**
 * What lies in a backup of Prose, as its version 0.5 lays it out: `metadata.json` first, `prose-pod-api-data/`, and four folders.
 *
 * @module
 */
import { resolve } from "node:path";
import { readAll, text, utf8 } from "../../bytes.ts";
import { IntegrityError, messageOf } from "../../errors.ts";
import type { Entry, Store } from "../../stage.ts";

/** The version of this layout. */
export const VERSION = 1;
/** The first entry. */
export const METADATA = "metadata.json";
/** The folder with what the Pod API sent. */
export const API_DATA = "prose-pod-api-data";

/** A folder of the backup that is a folder, or a file, of this machine. */
export type ProsePart = "prose-config" | "prose-pod-server-data" | "prosody-config" | "prosody-data";

/** Where the parts live in Prose's own images. */
export const LIVE: Readonly<Record<ProsePart, string>> = {
  "prose-config": "/etc/prose",
  "prose-pod-server-data": "/var/lib/prose-pod-server",
  "prosody-config": "/etc/prosody",
  "prosody-data": "/var/lib/prosody",
};

/** Where the parts live here. Throws TypeError for what no restore could put back. */
export function livePaths(
  given: Readonly<Partial<Record<ProsePart, string>>> = {},
): Record<ProsePart, string> {
  for (const [part, path] of Object.entries(given)) {
    if (!Object.hasOwn(LIVE, part)) {
      throw new TypeError(
        `Cannot back up Prose: "${part}" is no part of it. Parts: ${Object.keys(LIVE).join(", ")}`,
      );
    }
    if (typeof path !== "string" || path === "" || path.includes("\0")) {
      throw new TypeError(`Cannot back up Prose: ${JSON.stringify(path)} is not a path for "${part}"`);
    }
  }
  const all = Object.entries({ ...LIVE, ...given }).map(([part, path]) => [part, resolve(path)] as const);
  for (const [part, path] of all) {
    const inner = all.find(([other, at]) => other !== part && isWithin(at, path));
    if (!inner) continue;
    throw new TypeError(
      `Cannot back up Prose: "${inner[0]}" (${
        inner[1]
      }) lies in "${part}" (${path}), and each is put back as a whole. Give them paths apart`,
    );
  }
  return Object.fromEntries(all) as Record<ProsePart, string>;
}

/** Throws TypeError for a store inside a part: a restore would replace the part, and the backups with it. */
export function refuseInside(paths: Readonly<Record<string, string>>, stores: readonly Store[]): void {
  for (const { folder } of stores) {
    const part = Object.entries(paths).find(([, path]) =>
      folder !== undefined && isWithin(resolve(folder), path)
    );
    if (!part) continue;
    throw new TypeError(
      `Cannot store backups in "${folder}": it lies in ${
        part[1]
      }, which a restore replaces, and the backups with it. Choose another folder`,
    );
  }
}

function isWithin(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder === "/" ? "/" : `${folder}/`);
}

/** The entry that says what the rest is. */
export function metadataEntry(): Entry {
  const body = utf8(JSON.stringify({ version: VERSION }));
  const owner = { uid: 0, gid: 0, uname: "", gname: "" };
  return { path: METADATA, kind: "file", mode: 0o644, mtimeMs: 0, ...owner, bytes: body.length, body };
}

/** Throws {@linkcode IntegrityError} unless `entry`, the first of an archive, says that the rest can be understood. */
export async function checkMetadata(entry: Entry | undefined): Promise<void> {
  if (entry?.path !== METADATA || entry.kind !== "file" || !entry.body) {
    throw notProse(`it does not start with ${METADATA}`);
  }
  const body = entry.body instanceof Uint8Array ? entry.body : await readAll(entry.body(), 65_536, METADATA);
  let version: unknown;
  try {
    version = (JSON.parse(text(body)) as { version?: unknown } | null)?.version;
  } catch (cause) {
    throw notProse(`its ${METADATA} is not JSON (${messageOf(cause)})`);
  }
  if (version === VERSION) return;
  if (typeof version === "number" && version > VERSION) {
    throw new IntegrityError(
      `Cannot restore: the backup has version ${version} of Prose's layout, this program knows ${VERSION}. Use a newer one. Nothing was changed`,
    );
  }
  throw notProse(`its ${METADATA} names no version`);
}

/** The error for an archive that is something else. */
export function notProse(why: string): IntegrityError {
  return new IntegrityError(`Cannot restore: this is no backup of Prose: ${why}. Nothing was changed`);
}
