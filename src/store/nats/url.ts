/**
 * Options of an object store from a URL: `nats://host:4222/bucket/prefix?credsFile=/etc/holdfast/nats.creds`. Secrets are named by
 * their files, never given.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { isAbsolute } from "node:path";
import { KeyError, messageOf } from "../../errors.ts";
import type { NatsAuth } from "../../nats/link.ts";
import type { NatsStoreOptions } from "./options.ts";

/** Parameters that name a file with a secret, and what the secret is. */
export const SECRET_FILES: Readonly<Record<string, keyof NatsAuth>> = {
  credsFile: "credentials",
  tokenFile: "token",
  passwordFile: "password",
  nkeyFile: "nkeySeed",
};

const OTHERS: readonly string[] = ["user", "ca", "domain", "create", "retries"];

/** The parts of a URL. */
export interface NatsUrl {
  /** `host:port`, one or more. */
  readonly hosts: readonly string[];
  /** The bucket. */
  readonly bucket: string;
  /** The folder in it, or "". */
  readonly prefix: string;
  /** What follows the "?". */
  readonly query: URLSearchParams;
}

/** Splits a URL. Throws TypeError without repeating what may be a secret. */
export function partsOf(location: string): NatsUrl {
  const match = /^nats:\/\/([^/?#]+)\/([^/?#]+)(?:\/([^?#]*))?(?:\?([^#]*))?$/i.exec(location);
  if (!match) throw new TypeError('give "nats://HOST:4222/BUCKET/PREFIX"');
  const [, hosts = "", bucket = "", prefix = "", query = ""] = match;
  if (hosts.includes("@")) {
    throw new TypeError(
      "secrets do not belong in a URL. Name a file: ?credsFile=FILE, ?tokenFile=FILE, or ?user=NAME&passwordFile=FILE",
    );
  }
  return {
    hosts: hosts.split(","),
    bucket: decodeURIComponent(bucket),
    prefix: decodeURIComponent(prefix),
    query: new URLSearchParams(query),
  };
}

/** Reads a URL; throws TypeError or RangeError without repeating what may be a secret. */
export function optionsOf(location: string): NatsStoreOptions {
  const { hosts, bucket, prefix, query } = partsOf(location);
  const known = [...Object.keys(SECRET_FILES), ...OTHERS];
  const wrong = [...query.keys()].find((name) => !known.includes(name));
  if (wrong !== undefined) {
    throw new TypeError(`the parameter "${wrong}" is not known. Use one of ${known.join(", ")}`);
  }
  for (const name of [...Object.keys(SECRET_FILES), "ca"]) {
    const file = query.get(name);
    if (file === null || isAbsolute(file)) continue;
    throw new TypeError(`"${name}" must name its file from the root: /etc/holdfast/...`); // a URL has no folder of its own
  }
  const [ca, domain, create, retries] = ["ca", "domain", "create", "retries"].map((name) => query.get(name));
  if (create !== null && create !== "true" && create !== "false") {
    throw new TypeError(`"create" is neither "true" nor "false"`);
  }
  return {
    servers: hosts.map((host) => `nats://${host}`),
    bucket,
    prefix,
    ...(needsAuth(query) ? { auth: () => authOf(query) } : {}),
    ...(ca ? { caCert: readFileSync(ca, "utf8") } : {}),
    ...(domain ? { domain } : {}),
    ...(create ? { create: create === "true" } : {}),
    ...(retries ? { retries: Number(retries) } : {}),
  };
}

function needsAuth(query: URLSearchParams): boolean {
  return query.has("user") || Object.keys(SECRET_FILES).some((name) => query.has(name));
}

/** Reads the secrets when a connection asks for them. */
function authOf(query: URLSearchParams): NatsAuth {
  const user = query.get("user");
  const auth: Record<string, string> = user === null ? {} : { user };
  for (const [name, field] of Object.entries(SECRET_FILES)) {
    const file = query.get(name);
    if (file === null) continue;
    try {
      auth[field] = readFileSync(file, "utf8").trim();
    } catch (cause) {
      throw new KeyError(`Cannot read the secret in "${file}" (${name}): ${messageOf(cause)}`, { cause });
    }
  }
  return auth;
}
