/**
 * SFTP options from a URL: `sftp://user@host:port/folder?key=/root/.ssh/backup`. Secrets are never in it, only the files they are in.
 *
 * @module
 */
import type { SftpOptions } from "./options.ts";
import { readSecretFile } from "./login.ts";
import { readParameters, truth } from "../parameters.ts";

type Writable = { -readonly [K in keyof SftpOptions]: SftpOptions[K] };

/** What each parameter sets. */
const PARAMETERS: Readonly<Record<string, (options: Writable, value: string) => void>> = {
  key: (options, value) => options.privateKey = secretIn("key", value),
  passphraseFile: (options, value) => options.passphrase = secretIn("passphraseFile", value),
  passwordFile: (options, value) => options.password = secretIn("passwordFile", value),
  agent: (options, value) => options.agent = value === "none" ? false : value,
  knownHosts: (options, value) => options.knownHosts = value,
  hostKey: (options, value) => options.hostKeys = [...options.hostKeys ?? [], value.replaceAll(" ", "+")],
  create: (options, value) => options.create = truth(value),
  retries: (options, value) => options.retries = Number(value),
  connectMs: (options, value) => options.connectMs = Number(value),
  stallMs: (options, value) => options.stallMs = Number(value),
  idleMs: (options, value) => options.idleMs = Number(value),
};

/** Reads a URL; throws TypeError or RangeError without repeating what may be a secret. */
export function optionsOf(location: string): SftpOptions {
  const match = /^sftp:\/\/(?:([^@/?#]*)@)?(\[[^\]/]+\]|[^:/?#@[\]]+)(?::(\d+))?(\/[^?#]*)?(?:\?([^#]*))?$/i
    .exec(location);
  if (!match) throw new TypeError('give "sftp://USER@HOST:PORT/FOLDER?key=/path/of/private/key"');
  const [, user, host, port, path = "/~", query = ""] = match;
  if (user?.includes(":")) {
    throw new TypeError("a password does not belong in a URL. Put it in a file and add passwordFile=/path");
  }
  const options: Writable = {
    host: host!.replace(/^\[|\]$/g, ""),
    path: folderOf(decodeURIComponent(path)),
    ...(user ? { user: decodeURIComponent(user) } : {}),
    ...(port === undefined ? {} : { port: Number(port) }),
  };
  readParameters(query, PARAMETERS, options);
  return options;
}

/** "/~" is the folder a login starts in, as for curl; anything else is as the server shows it. */
function folderOf(path: string): string {
  return path === "/~" || path === "/~/" ? "." : path.startsWith("/~/") ? path.slice(3) : path;
}

/** Where a store is, without secrets; {@linkcode optionsOf} reads it. */
export function urlOf(host: string, port: number, user: string, path: string): string {
  const address = (host.includes(":") ? `[${host}]` : host) + (port === 22 ? "" : `:${port}`);
  const folder = path.startsWith("/") ? path : path === "." ? "/~" : `/~/${path}`;
  return `sftp://${encodeURIComponent(user)}@${address}${folder.split("/").map(encode).join("/")}`;
}

function encode(part: string): string {
  return part === "~" ? part : encodeURIComponent(part);
}

function secretIn(name: string, file: string): () => Promise<string> {
  if (!file.startsWith("/") && !/^[A-Za-z]:[\\/]/.test(file)) {
    throw new TypeError(`\`${name}\` is the absolute path of a file`);
  }
  return () => readSecretFile(file);
}
