/**
 * chatto.toml and its environment: which server, and what a backup has to know of it.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { parse } from "smol-toml";
import type { NatsAuth, NatsServer } from "../../nats/link.ts";
import { ConfigError, messageOf } from "../../errors.ts";
import { type AssetPlace, assetPlaceOf } from "./bucket.ts";

/** What of Chatto's configuration matters here. */
export interface ChattoSettings {
  /** The file, where it does not exist: everything comes from the environment, or is a default. */
  readonly absent: string | undefined;
  /** How to reach the running server; undefined where an embedded one opens no port. */
  readonly client: NatsServer | undefined;
  /** The embedded server; undefined when Chatto uses one of its own. */
  readonly embedded: { readonly dataDir: string; readonly bind: string; readonly port: number } | undefined;
  /** Replicas that streams are to have. */
  readonly replicas: number;
  /** Where assets lie that no stream holds; undefined: they are in streams. */
  readonly assets: AssetPlace | undefined;
  /** Tells whether two configurations have the same `core.secret_key`, and nothing else about it; undefined without one. */
  readonly fingerprint: string | undefined;
}

type Env = (name: string) => string | undefined;
type Get = (path: string) => string;

/**
 * Reads the configuration. A missing file is no error: everything may come from the environment. Throws {@linkcode ConfigError}.
 */
export function readSettings(file: string, env: Env = (name) => Deno.env.get(name)): ChattoSettings {
  const toml = readToml(file);
  const get = reader(toml ?? {}, env);
  const fail = (message: string): never => {
    throw new ConfigError(`Cannot use "${file}": ${message}`);
  };
  const replicas = Number(get("nats.replicas") || "1") || 1;
  if (![1, 3, 5].includes(replicas)) fail(`nats.replicas must be 1, 3 or 5, not ${get("nats.replicas")}`);
  const embedded = get("nats.embedded.enabled") === "true" || get("nats.embedded.enabled") === "1";
  const port = Number(get("nats.embedded.port") || "0");
  const token = get("nats.embedded.auth_token");
  const clientToken = get("nats.client.token");
  if (
    embedded && port > 0 && get("nats.client.auth_method") === "token" && token !== "" &&
    clientToken !== "" && clientToken !== token
  ) {
    fail("nats.client.token differs from nats.embedded.auth_token");
  }
  const bind = get("nats.embedded.bind_address") || "127.0.0.1";
  return {
    absent: toml === undefined ? file : undefined,
    client: embedded && port === 0 && get("nats.client.url") === ""
      ? undefined
      : clientOf(get, fail, { embedded, port, bind, token }),
    embedded: embedded ? { dataDir: get("nats.embedded.data_dir") || "./data", bind, port } : undefined,
    replicas,
    assets: assetPlaceOf(get),
    fingerprint: fingerprintOf(get("core.secret_key")),
  };
}

interface Embedded {
  readonly embedded: boolean;
  readonly port: number;
  readonly bind: string;
  readonly token: string;
}

function clientOf(get: Get, fail: (message: string) => never, at: Embedded): NatsServer {
  const derive = at.embedded && at.port > 0;
  const host = at.bind === "0.0.0.0" || at.bind === "::" ? "127.0.0.1" : at.bind;
  const derived = derive
    ? `nats://${host.includes(":") ? `[${host}]` : host}:${at.port}`
    : "nats://127.0.0.1:4222";
  const servers = (get("nats.client.url") || derived).split(",").map((url) => url.trim());
  const method = get("nats.client.auth_method") || (derive && at.token !== "" ? "token" : "none");
  const secret = (key: string): string =>
    get(`nats.client.${key}`) || (key === "token" && derive ? at.token : "") ||
    fail(`nats.client.auth_method is "${method}", and nats.client.${key} is empty`);
  const auths: Readonly<Record<string, () => NatsAuth>> = {
    none: () => ({}),
    token: () => ({ token: secret("token") }),
    userpass: () => ({ user: secret("username"), password: get("nats.client.password") }),
    credentials: () => ({ credentials: readText(secret("credentials_file")) }),
    nkey: () => ({ nkeySeed: secret("nkey_seed") }),
  };
  const auth = Object.hasOwn(auths, method)
    ? auths[method]!
    : fail(`nats.client.auth_method "${method}" is not known`);
  return { servers, auth, caCert: get("nats.client.ca_cert") || undefined };
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw new ConfigError(`Cannot read the NATS credentials "${file}": ${messageOf(cause)}`, { cause });
  }
}

/** Undefined: there is no such file. */
function readToml(file: string): Readonly<Record<string, unknown>> | undefined {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (cause) {
    if ((cause as { code?: unknown }).code === "ENOENT") return undefined;
    throw new ConfigError(`Cannot read "${file}": ${messageOf(cause)}`, { cause });
  }
  try {
    return parse(text, { integersAsBigInt: "asNeeded" });
  } catch (cause) {
    throw new ConfigError(`Cannot read "${file}": ${messageOf(cause).split("\n", 1)[0]}`, { cause });
  }
}

/** A value as text: from the environment when it is set there, else from the file, else "". */
function reader(root: Readonly<Record<string, unknown>>, env: Env): Get {
  return (path) => {
    const fromEnv = env(`CHATTO_${path.replaceAll(".", "_").toUpperCase()}`);
    if (fromEnv !== undefined && fromEnv !== "") return fromEnv;
    let value: unknown = root;
    for (const key of path.split(".")) {
      value = typeof value === "object" && value !== null && Object.hasOwn(value, key)
        ? (value as Record<string, unknown>)[key]
        : undefined;
    }
    return value === undefined ? "" : String(value);
  };
}

function fingerprintOf(secret: string): string | undefined {
  if (secret === "") return undefined;
  return createHash("sha256").update(`holdfast chatto core.secret_key\0${secret}`).digest("hex").slice(0, 16);
}
