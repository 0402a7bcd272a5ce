/**
 * What a program prints about objects: lines of bytes, time and key, or JSON as `rclone lsjson` prints it.
 *
 * @module
 */
import * as v from "valibot";
import type { StoreItem } from "../../stage.ts";

const schema = v.object({
  Path: v.string(),
  Size: v.number(),
  ModTime: v.pipe(v.string(), v.check((text) => !Number.isNaN(Date.parse(text)))),
  IsDir: v.optional(v.boolean(), false),
});

/** Reads it. Throws Error for anything else: a listing that is not understood is not complete. */
export function parseRecords(text: string): StoreItem[] {
  const trimmed = text.trim();
  if (trimmed === "" || trimmed === "null") return [];
  if (trimmed.startsWith("[") || trimmed.startsWith("{")) return fromJson(trimmed);
  return trimmed.split("\n").map(fromLine);
}

function fromJson(text: string): StoreItem[] {
  const value: unknown = JSON.parse(text);
  return (Array.isArray(value) ? value : [value])
    .map((record) => v.parse(schema, record))
    .filter((record) => !record.IsDir)
    .map(({ Path, Size, ModTime }) => ({ key: Path, bytes: Size, modified: new Date(ModTime) }));
}

function fromLine(line: string): StoreItem {
  const match = /^(\d+)\t(\d+(?:\.\d+)?)\t(.+?)\r?$/.exec(line);
  if (!match) {
    throw new Error(`the line ${JSON.stringify(line.slice(0, 200))} is not "BYTES<TAB>SECONDS<TAB>KEY"`);
  }
  const [, bytes, seconds, key] = match;
  return { key: key!, bytes: Number(bytes), modified: new Date(Math.floor(Number(seconds) * 1000)) };
}
