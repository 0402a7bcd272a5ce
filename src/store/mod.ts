/**
 * Where backups are kept.
 *
 * @module
 */
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { ConfigError, messageOf } from "../errors.ts";
import type { Store } from "../stage.ts";
import { rclone } from "./command.ts";
import { directory } from "./directory.ts";
import { memory } from "./memory.ts";
import { nats } from "./nats.ts";
import { optionsOf as natsOptionsOf } from "./nats/url.ts";
import { s3 } from "./s3.ts";
import { optionsOf } from "./s3/url.ts";
import { sftp } from "./sftp.ts";
import { optionsOf as sftpOptionsOf } from "./sftp/url.ts";

export { command, type CommandStoreOptions, rclone, type RcloneOptions } from "./command.ts";
export { directory, type DirectoryOptions } from "./directory.ts";
export { memory } from "./memory.ts";
export { nats, type NatsStore, type NatsStoreOptions } from "./nats.ts";
export {
  s3,
  type S3Credentials,
  type S3Encryption,
  type S3ObjectLock,
  type S3Options,
  type S3Store,
  type S3Survey,
  type S3Upload,
} from "./s3.ts";
export { sftp, type SftpOptions } from "./sftp.ts";
export type { ByteRange, Bytes, Lock, PutOptions, Store, StoreItem, U8 } from "../stage.ts";

/** Options of {@linkcode open}. */
export interface OpenOptions {
  /** Absolute folder that relative paths start from. Default: the working folder. */
  readonly base?: string | undefined;
}

/** Each kind of store: its scheme, and how its URL is read. A new kind is one line here and one file beside this one. */
const SCHEMES: Readonly<Record<string, (url: string) => Store>> = {
  file: (url) => directory(fileURLToPath(url)),
  memory: () => memory(),
  nats: (url) => nats(natsOptionsOf(url)),
  rclone: (url) => rclone(url.replace(/^rclone:/i, "")),
  s3: (url) => s3(optionsOf(url)),
  sftp: (url) => sftp(sftpOptionsOf(url)),
};

/**
 * The store that a path or URL means: `./backups`, `/srv/backups`, `file:///srv/backups`,
 * `s3://bucket/prefix?endpoint=...&region=...`, `sftp://user@host/folder?key=...`, `nats://host:4222/bucket/prefix`,
 * `rclone:REMOTE:FOLDER`, or `memory:` (new and empty each time). Nothing is read or made yet.
 * Throws {@linkcode ConfigError} for anything else; what follows an unknown scheme is not repeated, since it may hold a secret.
 */
export function open(location: string, options: OpenOptions = {}): Store {
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]+):/.exec(location)?.[1]?.toLowerCase();
  if (location.trim() === "") throw new ConfigError("Cannot open a store: its path or URL is empty");
  if (scheme === undefined) {
    return directory(options.base === undefined ? location : resolve(options.base, location));
  }
  const known = Object.hasOwn(SCHEMES, scheme) ? SCHEMES[scheme] : undefined;
  if (!known) {
    // What is in memory is gone when a command ends: for programs, which know where to look.
    const usable = Object.keys(SCHEMES).filter((name) => name !== "memory").map((name) => `${name}:`).join(
      ", ",
    );
    throw new ConfigError(
      `Cannot open the store "${scheme}:...": this scheme is not known. Use a path such as "./backups", or one of ${usable}`,
    );
  }
  try {
    return known(location);
  } catch (cause) {
    // What stands before an "@" or after a "?" may be a secret in the wrong place.
    const shown = location.replace(/\/\/[^/?]*@/, "//...@").replace(/\?.*$/s, "?...");
    throw new ConfigError(`Cannot open the store "${shown}": ${messageOf(cause)}`, { cause });
  }
}
