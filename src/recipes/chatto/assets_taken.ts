/**
 * The assets of an archive, checked against their list while they pass by, before anything is restored.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { IntegrityError, messageOf } from "../../errors.ts";
import type { Entry, U8 } from "../../stage.ts";

/** An asset of an archive. */
export interface Asset {
  /** Its length. */
  readonly bytes: number;
  /** Its digest, in hexadecimal digits. */
  readonly sha256: string;
  /** The digest that S3 knows it by, in hexadecimal digits. */
  readonly md5: string;
  /** What it is served as. */
  readonly type: string | undefined;
}

/** Takes assets in. */
export interface AssetIntake {
  /** Reads an entry whose path is `assets/...` or `assets.ndjson` below the top folder. */
  readonly take: (entry: Entry) => Promise<void>;
  /** All of them by their keys; throws {@linkcode IntegrityError} unless they are what the list says. */
  readonly end: () => ReadonlyMap<string, Asset>;
}

/** The key of an asset, from its path in the archive, whatever its top folder; undefined for anything else. */
export function assetKeyOf(path: string): string | undefined {
  return /^[^/]+\/assets\/(.+)$/.exec(path)?.[1];
}

interface Line {
  readonly key: string;
  readonly bytes: number;
  readonly type?: string | undefined;
  readonly sha256: string;
}

/** Begins to take assets in. */
export function assetIntake(): AssetIntake {
  const read = new Map<string, Omit<Asset, "type">>();
  const listed = new Map<string, Line>();
  return {
    take: async (entry) => {
      if (entry.kind !== "file") return;
      const key = assetKeyOf(entry.path);
      if (key !== undefined) read.set(key, await digests(entry));
      else for await (const line of linesOf(entry)) listed.set(line.key, line);
    },
    end: () => {
      const assets = new Map<string, Asset>();
      for (const [key, asset] of read) {
        const line = listed.get(key) ?? fail(`"${key}" is not in their list`);
        if (line.sha256 !== asset.sha256) fail(`"${key}" is not what their list says`);
        assets.set(key, { ...asset, type: line.type });
      }
      const lacking = listed.keys().find((key) => !read.has(key));
      if (lacking !== undefined) fail(`it lacks "${lacking}", which is in their list`);
      return assets;
    },
  };
}

function fail(why: string, cause?: unknown): never {
  throw new IntegrityError(
    `Cannot restore the assets of this archive: ${why}. Nothing was changed; restore another backup, or leave the assets out ` +
      "(--without-assets)",
    { cause },
  );
}

async function* chunksOf({ body }: Entry): AsyncGenerator<U8, void, undefined> {
  if (body instanceof Uint8Array) yield body;
  else if (body) yield* body();
}

async function digests(entry: Entry): Promise<Omit<Asset, "type">> {
  const sha256 = createHash("sha256");
  const md5 = createHash("md5");
  for await (const chunk of chunksOf(entry)) {
    sha256.update(chunk);
    md5.update(chunk);
  }
  return { bytes: entry.bytes, sha256: sha256.digest("hex"), md5: md5.digest("hex") };
}

async function* linesOf(entry: Entry): AsyncGenerator<Line, void, undefined> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let rest = "";
  try {
    for await (const chunk of chunksOf(entry)) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = lines.pop()!;
      for (const line of lines) yield lineOf(line);
    }
    if (rest !== "") yield lineOf(rest);
  } catch (cause) {
    fail(`their list cannot be read: ${messageOf(cause)}`, cause);
  }
}

function lineOf(text: string): Line {
  const { key, bytes, type, sha256 } = JSON.parse(text);
  if (typeof key !== "string" || typeof bytes !== "number" || typeof sha256 !== "string") {
    throw new Error("a line lacks key, bytes or sha256");
  }
  return { key, bytes, sha256, type: typeof type === "string" ? type : undefined };
}
