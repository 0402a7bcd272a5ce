/**
 * S3 options from a URL: `s3://bucket/prefix?endpoint=https://host:9000&region=eu-central-1`. Keys of an account are never in it.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import type { S3Encryption, S3ObjectLock, S3Options } from "./options.ts";
import { readParameters, truth } from "../parameters.ts";

type Writable = { -readonly [K in keyof S3Options]: S3Options[K] };

/** What each parameter sets. */
const PARAMETERS: Readonly<Record<string, (options: Writable, value: string) => void>> = {
  endpoint: (options, value) => options.endpoint = value,
  region: (options, value) => options.region = value,
  profile: (options, value) => options.profile = value,
  pathStyle: (options, value) => options.pathStyle = truth(value),
  ca: (options, value) => options.ca = readFileSync(value, "utf8"),
  sse: (options, value) => options.encryption = encryption(value),
  storageClass: (options, value) => options.storageClass = value,
  tag: (options, value) => options.tags = { ...options.tags, ...tag(value) },
  lock: (options, value) => options.lock = lock(value),
  legalHold: (options, value) => options.legalHold = truth(value),
  conditional: (options, value) => options.conditional = value as "server" | "look",
  partBytes: (options, value) => options.partBytes = Number(value),
  parallel: (options, value) => options.parallel = Number(value),
  retries: (options, value) => options.retries = Number(value),
  uploadBytesPerSecond: (options, value) => options.uploadBytesPerSecond = Number(value),
  downloadBytesPerSecond: (options, value) => options.downloadBytesPerSecond = Number(value),
};

/** Reads a URL; throws TypeError or RangeError without repeating what may be a secret. */
export function optionsOf(location: string): S3Options {
  // By hand: bucket names keep their letters' case, and a prefix its spaces.
  const match = /^s3:\/\/([^/?#]+)(?:\/([^?#]*))?(?:\?([^#]*))?$/i.exec(location);
  if (!match) throw new TypeError('give "s3://BUCKET/PREFIX?endpoint=...&region=..."');
  const [, bucket, prefix = "", query = ""] = match;
  if (bucket!.includes("@")) {
    throw new TypeError(
      "keys do not belong in a URL. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile",
    );
  }
  const options: Writable = { bucket: bucket!, prefix: decodeURIComponent(prefix) };
  readParameters(query, PARAMETERS, options);
  return options;
}

function encryption(value: string): S3Encryption {
  if (value === "s3" || value === "kms") return { kind: value };
  if (value.startsWith("kms:")) return { kind: "kms", keyId: value.slice(4) };
  throw new TypeError('`sse` is "s3", "kms" or "kms:KEY"; a customer\'s key is given in a TypeScript plan');
}

function tag(value: string): Readonly<Record<string, string>> {
  const at = value.indexOf(":");
  if (at < 1) throw new TypeError('`tag` is "NAME:VALUE"');
  return { [value.slice(0, at)]: value.slice(at + 1) };
}

function lock(value: string): S3ObjectLock {
  const match = /^(governance|compliance):(\d+)$/.exec(value);
  if (!match) throw new TypeError('`lock` is "governance:DAYS" or "compliance:DAYS"');
  return { mode: match[1] as S3ObjectLock["mode"], days: Number(match[2]) };
}
