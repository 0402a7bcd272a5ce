/**
 * The manifest that a PostgreSQL server writes of a base backup: what it must hold, byte for byte.
 *
 * https://www.postgresql.org/docs/current/backup-manifest-format.html
 *
 * @module
 */
import { Buffer } from "node:buffer";
import * as v from "valibot";
import { sha256, text } from "../../bytes.ts";
import { IntegrityError, messageOf } from "../../errors.ts";
import type { U8 } from "../../stage.ts";

/** Its path in the data folder. */
export const MANIFEST = "backup_manifest";

/** What came of one path. */
export interface Held {
  readonly kind: string;
  readonly bytes: number;
  /** Lower-case hexadecimal; "" for what is no file. */
  readonly sha256: string;
}

const schema = v.object({
  "Files": v.array(v.object({
    "Path": v.optional(v.string()),
    "Encoded-Path": v.optional(v.string()),
    "Size": v.number(),
    "Checksum-Algorithm": v.optional(v.string()),
    "Checksum": v.optional(v.string()),
  })),
  "WAL-Ranges": v.array(v.object({
    "Timeline": v.number(),
    "Start-LSN": v.string(),
    "End-LSN": v.string(),
  })),
  "Manifest-Checksum": v.string(),
});

type Manifest = v.InferOutput<typeof schema>;

/** What the receipt says of a base backup. */
export interface About {
  readonly files: number;
  readonly bytes: number;
  readonly timeline: number;
  readonly startLsn: string;
  readonly endLsn: string;
}

/** Throws {@linkcode IntegrityError} unless all that the manifest names came as it says, nothing else did, and all of the log is there. */
export function checkManifest(
  failed: string,
  bytes: U8 | undefined,
  held: ReadonlyMap<string, Held>,
  segmentBytes: number,
): About {
  const wrong = (why: string): never => {
    throw new IntegrityError(
      `${failed}: ${why}. Nothing was stored; look into the server's log, and run again`,
    );
  };
  const manifest = bytes ? read(bytes, wrong) : wrong("the server sent no manifest");
  const named = new Set([MANIFEST]);
  let sum = 0;
  for (const file of manifest.Files) {
    const path = file.Path ?? Buffer.from(file["Encoded-Path"] ?? "", "hex").toString();
    const came = held.get(path);
    if (came?.kind !== "file") return wrong(`"${path}" is in the server's manifest and did not come`);
    if (came.bytes !== file.Size) {
      wrong(`"${path}" has ${came.bytes} bytes, ${file.Size} in the server's manifest`);
    }
    if (file["Checksum-Algorithm"] !== "SHA256" || file.Checksum !== came.sha256) {
      wrong(`"${path}" does not agree with its SHA-256 in the server's manifest`);
    }
    named.add(path);
    sum += came.bytes;
  }
  for (const [path, { kind }] of held) {
    if (kind === "file" && !named.has(path) && !path.startsWith("pg_wal/")) {
      wrong(`"${path}" came and is not in the server's manifest`);
    }
  }
  for (const range of manifest["WAL-Ranges"]) {
    for (const name of segmentsOf(range, segmentBytes)) {
      if (held.get(`pg_wal/${name}`)?.bytes !== segmentBytes) {
        wrong(`the segment "${name}" of the write-ahead log did not come whole`);
      }
    }
  }
  const ranges = manifest["WAL-Ranges"];
  const [first, last] = [ranges[0], ranges.at(-1)];
  if (!first || !last) return wrong("the server's manifest names no write-ahead log");
  const ends = { timeline: last.Timeline, startLsn: first["Start-LSN"], endLsn: last["End-LSN"] };
  return { files: manifest.Files.length, bytes: sum, ...ends };
}

/** Its own checksum covers all before the last line. */
function read(bytes: U8, wrong: (why: string) => never): Manifest {
  let manifest: Manifest;
  try {
    manifest = v.parse(schema, JSON.parse(text(bytes)));
  } catch (cause) {
    return wrong(`the server's manifest cannot be read (${messageOf(cause)})`);
  }
  const covered = bytes.subarray(0, bytes.lastIndexOf(0x0a, bytes.length - 2) + 1);
  if (sha256(covered) !== manifest["Manifest-Checksum"]) {
    wrong("the server's manifest does not agree with its own checksum");
  }
  return manifest;
}

/** The names of the log's files from one place to another; the place of the end is the first byte that is not needed. */
function segmentsOf(
  { "Timeline": timeline, "Start-LSN": from, "End-LSN": to }: Manifest["WAL-Ranges"][number],
  segmentBytes: number,
): readonly string[] {
  const size = BigInt(segmentBytes);
  const perLog = 0x1_0000_0000n / size;
  const names: string[] = [];
  for (let i = lsn(from) / size; i <= (lsn(to) - 1n) / size; i++) {
    names.push([BigInt(timeline), i / perLog, i % perLog].map((part) => hex(part)).join(""));
  }
  return names;
}

/** "16/B374D848" is the byte 0x16B374D848 of the log. */
function lsn(text: string): bigint {
  const [high = "0", low = "0"] = text.split("/");
  return (BigInt(`0x${high}`) << 32n) + BigInt(`0x${low}`);
}

function hex(part: bigint): string {
  return part.toString(16).toUpperCase().padStart(8, "0");
}
