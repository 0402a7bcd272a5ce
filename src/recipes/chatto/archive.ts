/**
 * An archive of Chatto's, taken in and checked before any server is touched.
 *
 * @module
 */
import { wantedBy } from "../../collect/only.ts";
import { gather, type Gathered, type Locate, readText } from "../../collect/jetstream/gather.ts";
import { IntegrityError } from "../../errors.ts";
import type { Context, Entry, Files } from "../../stage.ts";
import { type Asset, assetIntake } from "./assets_taken.ts";
import type { ChattoOptions } from "./collector.ts";
import { readManifest } from "./manifest.ts";
import { MANIFEST } from "./rules.ts";

const LIST = "assets.ndjson";

/** What of an archive is restored. */
export interface Taken extends Gathered {
  /** Assets by their keys. */
  readonly assets: ReadonlyMap<string, Asset>;
}

/**
 * The streams that an archive holds by its manifest, and its assets, as far as they are wanted. Throws {@linkcode IntegrityError} for
 * any other archive.
 */
export async function takeIn(
  stored: Files,
  context: Context,
  { spoolDir, assets = true }: Pick<ChattoOptions, "spoolDir" | "assets">,
): Promise<Taken> {
  let manifest: string | undefined;
  let held: readonly string[] | undefined;
  const wanted = wantedBy(context.want.only);
  const intake = assets && wanted("assets") ? assetIntake() : undefined;
  const tops = new Set<string>();
  const find: Locate = (path) => {
    const [top = "", folder, stream, name, ...rest] = path.split("/");
    tops.add(top);
    if (tops.size > 1) throw layoutError(`it has more than one top folder ("${[...tops].join('", "')}")`);
    if (folder === "streams" && stream !== undefined && name !== undefined) {
      return rest.length === 0 ? { stream, file: name } : undefined;
    }
    return "pass";
  };
  const other = async (entry: Entry): Promise<void> => {
    const [, name, ...rest] = entry.path.split("/");
    if (name === "assets" || (name === LIST && rest.length === 0)) await intake?.take(entry);
    if (name === undefined && entry.kind === "file") throw layoutError("its top is a file, not a folder");
    if (name !== MANIFEST || rest.length > 0 || entry.kind !== "file") return;
    if (manifest !== undefined) throw layoutError("it has two manifests");
    manifest = await readText(entry);
  };
  const chosen = (stream: string): boolean => {
    if (manifest === undefined) throw layoutError(`it has no ${MANIFEST}`);
    held ??= readManifest(manifest);
    return held.includes(stream);
  };
  const gathered = await gather(stored.entries(), context, { wanted, find, other, chosen, spoolDir });
  try {
    if (manifest === undefined) throw layoutError(`it has no ${MANIFEST}`);
    held ??= readManifest(manifest);
    const found = new Set(gathered.streams.map(({ name }) => name));
    const lacking = held.filter((name) => wanted(name) && !found.has(name));
    if (lacking.length > 0) {
      throw layoutError(`its manifest names "${lacking.join('", "')}", which it does not hold`);
    }
    return { ...gathered, assets: intake?.end() ?? new Map() };
  } catch (error) {
    gathered[Symbol.dispose]();
    throw error;
  }
}

function layoutError(why: string): IntegrityError {
  return new IntegrityError(`Cannot restore: this is no archive of Chatto's: ${why}. Nothing was changed`);
}
