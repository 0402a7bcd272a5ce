/**
 * A connection to a NATS server, and JetStream's API over it.
 *
 * @module
 */
import type { ConnectionOptions, NatsConnection } from "@nats-io/transport-node";
import { text } from "../bytes.ts";
import { messageOf } from "../errors.ts";
import { type ExactObject, integerAt, isObject, objectAt, parseExact, textAt } from "./exact.ts";
import { shieldSockets } from "./shield.ts";

/** How one proves to a NATS server who one is; the fields of one method. */
export interface NatsAuth {
  /** A token. */
  readonly token?: string | undefined;
  /** A user's name. */
  readonly user?: string | undefined;
  /** The user's password. */
  readonly password?: string | undefined;
  /** The text of a credentials file (`.creds`). */
  readonly credentials?: string | undefined;
  /** An NKey seed. */
  readonly nkeySeed?: string | undefined;
}

/** Which NATS server. */
export interface NatsServer {
  /** URLs of one server or of a cluster's, without secrets. Default: "nats://127.0.0.1:4222". */
  readonly servers?: string | readonly string[] | undefined;
  /** Gives the secrets; called once for each connection. */
  readonly auth?: (() => NatsAuth | Promise<NatsAuth>) | undefined;
  /** PEM text of the certificate authority; TLS is then required. */
  readonly caCert?: string | undefined;
  /** JetStream's domain, where the account has one. */
  readonly domain?: string | undefined;
}

/** A refusal by JetStream's API. */
export class ApiError extends Error {
  /** JetStream's own error code: 10059 is "stream not found". */
  readonly code: number;
  /** A refusal as the server worded it. */
  constructor(message: string, code: number) {
    super(message);
    this.name = "ApiError";
    this.code = code;
  }
}

/** A connection. */
export interface Link {
  /** The servers, for messages. */
  readonly where: string;
  /** The client. */
  readonly nc: NatsConnection;
  /** What subjects of JetStream's API begin with: "$JS.API", or a domain's. */
  readonly prefix: string;
  /** Asks the API. Throws {@linkcode ApiError} when it refuses. */
  readonly api: (subject: string, body?: string, timeoutMs?: number) => Promise<ExactObject>;
  /** Calls `told` when the connection is lost, be it for a moment; gives a function that ends this. */
  readonly onLost: (told: (error: Error) => void) => () => void;
  /** Ends the connection. */
  readonly close: () => Promise<void>;
}

const API_TIMEOUT_MS = 10_000;
const CONNECT_TIMEOUT_MS = 5_000;

/** Checks what can be checked before anything is connected. Throws TypeError. */
export function checkServer({ servers, auth }: NatsServer): void {
  for (const url of listOf(servers)) {
    if (typeof url !== "string" || url === "") throw new TypeError("Cannot use a NATS server without a URL");
    if (url.includes("@")) {
      throw new TypeError("Cannot use a NATS URL that holds a user or a secret: give it through `auth`");
    }
  }
  if (auth !== undefined && typeof auth !== "function") {
    throw new TypeError('Cannot use "auth": it must be a function that gives the secrets when needed');
  }
}

/** How a connection behaves. */
export interface LinkOptions {
  /** Whether a lost connection is made again while requests wait. Default: true. False: it ends, and all that waits fails at once. */
  readonly reconnect?: boolean | undefined;
}

/** Connects. Throws an error that names the servers and says why. */
export async function connectTo(
  server: NatsServer,
  { reconnect = true }: LinkOptions = {},
): Promise<Link> {
  const nats = await import("@nats-io/transport-node");
  const where = listOf(server.servers).join(", ");
  const lower = shieldSockets();
  let nc: NatsConnection;
  try {
    const options = connectionOf(server, await server.auth?.() ?? {}, nats);
    nc = await nats.connect({ ...options, reconnect });
  } catch (cause) {
    lower();
    throw new Error(
      `Cannot connect to NATS at ${where}: ${messageOf(cause)}. ${adviceOn(messageOf(cause))}`,
      {
        cause,
      },
    );
  }
  const listeners = new Set<(error: Error) => void>();
  void watch(nc, where, listeners);
  const prefix = server.domain === undefined ? "$JS.API" : `$JS.${server.domain}.API`;
  return {
    where,
    nc,
    prefix,
    api: (subject, body = "", timeoutMs = API_TIMEOUT_MS) => ask(nc, `${prefix}.${subject}`, body, timeoutMs),
    onLost: (told) => {
      listeners.add(told);
      return () => void listeners.delete(told);
    },
    close: () => nc.close().finally(lower),
  };
}

function listOf(servers: NatsServer["servers"]): readonly string[] {
  if (servers === undefined) return ["nats://127.0.0.1:4222"];
  return typeof servers === "string" ? [servers] : servers;
}

function connectionOf(
  { servers, caCert }: NatsServer,
  auth: NatsAuth,
  nats: typeof import("@nats-io/transport-node"),
): ConnectionOptions {
  const encode = (value: string): Uint8Array => new TextEncoder().encode(value);
  return {
    servers: [...listOf(servers)],
    timeout: CONNECT_TIMEOUT_MS,
    maxReconnectAttempts: 5,
    reconnectTimeWait: 500,
    pingInterval: 20_000,
    name: "holdfast",
    ...(auth.token === undefined ? {} : { token: auth.token }),
    ...(auth.user === undefined ? {} : { user: auth.user, pass: auth.password ?? "" }),
    ...(auth.credentials === undefined
      ? {}
      : { authenticator: nats.credsAuthenticator(encode(auth.credentials)) }),
    ...(auth.nkeySeed === undefined ? {} : { authenticator: nats.nkeyAuthenticator(encode(auth.nkeySeed)) }),
    ...(caCert === undefined ? {} : { tls: { ca: caCert } }),
  };
}

function adviceOn(message: string): string {
  return /auth|credential|nkey|seed|permission/i.test(message)
    ? "Check the credentials"
    : "Check the address, and that the server runs there";
}

async function watch(
  nc: NatsConnection,
  where: string,
  listeners: Set<(error: Error) => void>,
): Promise<void> {
  const tell = (why: string): void => {
    for (const told of listeners) told(new Error(`the connection to ${where} ${why}`));
  };
  for await (const { type } of nc.status()) {
    if (type === "disconnect") tell("was lost");
    if (type === "staleConnection") tell("went silent");
  }
  tell("was closed");
}

async function ask(
  nc: NatsConnection,
  subject: string,
  body: string,
  timeout: number,
): Promise<ExactObject> {
  let answer: Uint8Array;
  try {
    answer = (await nc.request(subject, body, { timeout })).data;
  } catch (cause) {
    throw new Error(whyNoAnswer(subject, cause, timeout), { cause });
  }
  return readAnswer(answer);
}

/** An answer of the API. Throws {@linkcode ApiError} for a refusal. */
export function readAnswer(answer: Uint8Array): ExactObject {
  const value = parseExact(text(answer));
  if (!isObject(value.error)) return value;
  const error = objectAt(value, "error");
  throw new ApiError(
    textAt(error, "description") || "the server gave no reason",
    Number(integerAt(error, "err_code") || integerAt(error, "code")),
  );
}

function whyNoAnswer(subject: string, cause: unknown, timeout: number): string {
  const name = cause instanceof Error ? `${cause.name} ${messageOf(cause.cause ?? "")}` : "";
  if (/NoResponders|no responders/i.test(`${name} ${messageOf(cause)}`)) {
    return `nobody answers "${subject}": JetStream is not enabled for this account, or the stream has no leader`;
  }
  if (/Timeout/.test(name)) return `no answer to "${subject}" within ${timeout / 1000} s`;
  if (/Permission/i.test(name)) return `this user may not use "${subject}"`;
  return messageOf(cause);
}
