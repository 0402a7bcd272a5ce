/**
 * What an S3 store is told, and what of that is wrong at once.
 *
 * @module
 */

/** Keys of an S3 account. */
export interface S3Credentials {
  /** The public part: "AKIA...". */
  readonly accessKeyId: string;
  /** The secret part. */
  readonly secretAccessKey: string;
  /** Comes with temporary keys. */
  readonly sessionToken?: string | undefined;
  /** When temporary keys end; they are asked for anew shortly before. */
  readonly expiration?: Date | undefined;
}

/** How the server encrypts what it stores. The archive is encrypted already: this is for buckets that demand it. */
export type S3Encryption =
  /** SSE-S3: with the server's own key. */
  | { readonly kind: "s3" }
  /** SSE-KMS: with a key of the key service; without `keyId` the bucket's default key. */
  | { readonly kind: "kms"; readonly keyId?: string | undefined }
  /** SSE-C: with this key of 32 bytes, sent with every request over TLS and kept nowhere by the server. */
  | { readonly kind: "customer"; readonly key: () => Uint8Array | Promise<Uint8Array> };

/** Object Lock for what is written. The bucket must have been made with it. */
export interface S3ObjectLock {
  /** "governance" can be lifted by who has the permission for it, "compliance" by nobody. */
  readonly mode: "governance" | "compliance";
  /** Whole days from the write. */
  readonly days: number;
}

/** Options of `store.s3`. */
export interface S3Options {
  /** The bucket; it must exist. */
  readonly bucket: string;
  /** What every key starts with, as a folder: "machines/app". Default: none. */
  readonly prefix?: string | undefined;
  /** The region. Default: from the environment or the profile; "us-east-1" with an `endpoint`. */
  readonly region?: string | undefined;
  /** A compatible server: "https://minio.example:9000". Default: AWS. */
  readonly endpoint?: string | undefined;
  /** Whether the bucket stands in the path, not in the host name. Default: true with an `endpoint`, else false. */
  readonly pathStyle?: boolean | undefined;
  /** Certificates in PEM that are trusted besides the system's. */
  readonly ca?: string | undefined;
  /** The keys. Default: the SDK's chain (environment, profile, web identity, container, instance). */
  readonly credentials?: (() => S3Credentials | Promise<S3Credentials>) | undefined;
  /** The profile of the shared configuration files. Default: AWS_PROFILE, else "default". */
  readonly profile?: string | undefined;
  /** Encryption by the server. Default: the bucket's. */
  readonly encryption?: S3Encryption | undefined;
  /** The storage class of every object but leases: "STANDARD_IA". Default: the bucket's. */
  readonly storageClass?: string | undefined;
  /** Tags of every object. At most 10. */
  readonly tags?: Readonly<Record<string, string>> | undefined;
  /** Retention of every object but leases. Default: the bucket's. */
  readonly lock?: S3ObjectLock | undefined;
  /** Whether every object but leases is put under legal hold. Default: false. */
  readonly legalHold?: boolean | undefined;
  /**
   * "server": `If-None-Match` decides whether a key is free. "look": for servers without it; two writers of one key in the
   * same moment may then both succeed, and the later one stands. `store:check` tells which a server needs. Default: "server".
   */
  readonly conditional?: "server" | "look" | undefined;
  /** Bytes of the first parts; they grow so that 5 TiB fit into 10,000. At least 5 MiB. Default: 8 MiB. */
  readonly partBytes?: number | undefined;
  /** Parts under way at once. Default: 4. */
  readonly parallel?: number | undefined;
  /** How often a request that failed for a passing reason is tried again. Default: 8, about half a minute. */
  readonly retries?: number | undefined;
  /** Milliseconds without an answer, or without a byte, after which a request counts as failed. Default: 60,000. */
  readonly stallMs?: number | undefined;
  /** Most bytes a second on the way up, averaged over parts. Default: no limit. */
  readonly uploadBytesPerSecond?: number | undefined;
  /** Most bytes a second on the way down. Default: no limit. */
  readonly downloadBytesPerSecond?: number | undefined;
  /** Age in milliseconds after which unfinished uploads of backups are aborted. Default: 7 days. */
  readonly abandonedMs?: number | undefined;
}

/** What has a default. */
interface Defaulted {
  readonly prefix: string;
  readonly pathStyle: boolean;
  readonly conditional: "server" | "look";
  readonly partBytes: number;
  readonly parallel: number;
  readonly retries: number;
  readonly stallMs: number;
  readonly abandonedMs: number;
}

/** Options with their defaults. */
export type Settings = Omit<S3Options, keyof Defaulted> & Defaulted;

/** The smallest part that S3 takes, the last one aside. */
export const LEAST_PART = 5 * 1024 * 1024;

/** The largest part that S3 takes. */
const MOST_PART = 5 * 1024 ** 3;

/** Checks options and fills in defaults. Throws TypeError or RangeError. */
export function settingsOf(options: S3Options): Settings {
  const { bucket, endpoint, encryption, tags = {} } = options;
  if (
    !/^[a-z0-9A-Z][a-zA-Z0-9._:/-]{1,254}$/.test(bucket) ||
    (bucket.includes("/") && !bucket.startsWith("arn:"))
  ) {
    throw new TypeError(
      `Cannot use ${JSON.stringify(bucket)} as a bucket: give a bucket's name or an access point's ARN`,
    );
  }
  checkEndpoint(endpoint);
  if (encryption?.kind === "customer" && endpoint?.startsWith("http:")) {
    throw new TypeError(
      "Cannot encrypt with a customer's key over http: the key would be readable. Use https",
    );
  }
  if (Object.keys(tags).length > 10) throw new RangeError("Cannot set more than 10 tags on an object");
  for (const [name, value] of Object.entries(tags)) {
    if (TAG.test(name) && TAG.test(value) && name.length > 0 && name.length <= 128 && value.length <= 256) {
      continue;
    }
    throw new TypeError(
      `Cannot use the tag ${JSON.stringify(name)}: letters, digits, spaces and "+-=._:/@" are allowed`,
    );
  }
  if (options.lock && !["governance", "compliance"].includes(options.lock.mode)) {
    throw new TypeError(
      `Cannot lock objects in mode "${options.lock.mode}": use "governance" or "compliance"`,
    );
  }
  if (options.conditional !== undefined && !["server", "look"].includes(options.conditional)) {
    throw new TypeError(`Cannot use "${options.conditional}" for \`conditional\`: use "server" or "look"`);
  }
  const settings: Settings = {
    ...options,
    prefix: prefixOf(options.prefix ?? ""),
    pathStyle: options.pathStyle ?? endpoint !== undefined,
    conditional: options.conditional ?? "server",
    partBytes: options.partBytes ?? 8 * 1024 * 1024,
    parallel: options.parallel ?? 4,
    retries: options.retries ?? 8,
    stallMs: options.stallMs ?? 60_000,
    abandonedMs: options.abandonedMs ?? 7 * 24 * 60 * 60 * 1000,
  };
  checkNumber("partBytes", settings.partBytes, LEAST_PART, MOST_PART);
  checkNumber("parallel", settings.parallel, 1, 64);
  checkNumber("retries", settings.retries, 0, 100);
  checkNumber("stallMs", settings.stallMs, 1, 2 ** 31 - 1);
  checkNumber("abandonedMs", settings.abandonedMs, 60_000, Number.MAX_SAFE_INTEGER);
  checkNumber("lock.days", options.lock?.days ?? 1, 1, 36_500);
  for (const name of ["uploadBytesPerSecond", "downloadBytesPerSecond"] as const) {
    checkNumber(name, options[name] ?? 1024, 1024, Number.MAX_SAFE_INTEGER);
  }
  return settings;
}

/** AWS: Categorizing your objects using tags. */
const TAG = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u;

function checkNumber(name: string, value: number, least: number, most: number): void {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return;
  throw new RangeError(`Cannot use ${value} for \`${name}\`: give a whole number from ${least} to ${most}`);
}

function checkEndpoint(endpoint: string | undefined): void {
  if (endpoint === undefined) return;
  const url = URL.parse(endpoint);
  const plain = url && /^https?:$/.test(url.protocol) && url.search === "" && url.hash === "";
  // Not repeated: it may hold a password.
  if (!plain || url.username !== "" || url.password !== "") {
    throw new TypeError('Cannot use the endpoint: give "https://HOST:PORT", without user, password or query');
  }
}

// deno-lint-ignore no-control-regex -- control characters are what it looks for
const UNSAFE = /[\u0000-\u001f\u007f\\]/;

/** "" or a prefix that ends in "/". */
function prefixOf(prefix: string): string {
  const parts = prefix.replace(/^\/+|\/+$/g, "").split("/");
  if (parts.length === 1 && parts[0] === "") return "";
  const wrong = parts.find((part) => part === "" || part === "." || part === ".." || UNSAFE.test(part));
  if (wrong !== undefined) {
    throw new TypeError(
      `Cannot use the prefix ${JSON.stringify(prefix)}: give folders such as "machines/app"`,
    );
  }
  return parts.join("/") + "/";
}
