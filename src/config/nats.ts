/**
 * The shape of `collect = { jetstream = ... }` and `collect = { chatto = ... }`. Secrets are files, never values.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import * as v from "valibot";
import { KeyError, messageOf } from "../errors.ts";
import { flag, number, oneOrMore, table, text, texts } from "./shape.ts";

/** `collect = { jetstream = ... }` */
export interface JetStreamConfig {
  readonly tool: "jetstream";
  /** URLs. */
  readonly servers: readonly string[];
  /** The rest. */
  readonly options: {
    readonly streams?: readonly string[] | undefined;
    readonly exclude?: readonly string[] | undefined;
    readonly concurrency?: number | undefined;
    readonly as?: "snapshot" | "messages" | undefined;
    readonly memory?: "skip" | "messages" | undefined;
    readonly append?: boolean | undefined;
    readonly select?: { readonly subjects: readonly string[] } | undefined;
    readonly consumers?: boolean | undefined;
    readonly partial?: boolean | undefined;
    readonly replicas?: number | undefined;
    readonly domain?: string | undefined;
    readonly spoolDir?: string | undefined;
    readonly natsServer?: string | undefined;
    readonly rename?: Readonly<Record<string, string>> | undefined;
  };
  /** Where the secrets lie. */
  readonly secrets: NatsSecrets;
}

/** Files with secrets for a NATS server. */
export interface NatsSecrets {
  readonly user?: string | undefined;
  readonly passwordFile?: string | undefined;
  readonly tokenFile?: string | undefined;
  readonly credentialsFile?: string | undefined;
  readonly nkeySeedFile?: string | undefined;
}

/** `collect = { chatto = ... }` */
export interface ChattoConfig {
  readonly tool: "chatto";
  /** chatto.toml and how to back it up. */
  readonly options: {
    readonly config: string;
    readonly cwd?: string | undefined;
    readonly includeKeys?: boolean | undefined;
    readonly includeConfig?: boolean | undefined;
    readonly assets?: boolean | undefined;
    readonly partial?: boolean | undefined;
    readonly natsServer?: string | undefined;
    readonly spoolDir?: string | undefined;
  };
}

/** The schema of `{ jetstream = ... }`. */
export function jetstreamSchema(
  path: v.GenericSchema<string, string>,
): v.GenericSchema<unknown, JetStreamConfig> {
  return v.pipe(
    table({
      jetstream: oneOrMore(text),
      streams: v.optional(texts),
      exclude: v.optional(texts),
      concurrency: v.optional(number),
      as: v.optional(v.picklist(["snapshot", "messages"])),
      memory: v.optional(v.picklist(["skip", "messages"])),
      append: flag,
      subjects: v.optional(texts),
      consumers: flag,
      partial: flag,
      replicas: v.optional(number),
      domain: v.optional(text),
      spoolDir: v.optional(path),
      natsServer: v.optional(text),
      rename: v.optional(v.record(text, text)),
      user: v.optional(text),
      passwordFile: v.optional(path),
      tokenFile: v.optional(path),
      credentialsFile: v.optional(path),
      nkeySeedFile: v.optional(path),
    }, {
      token: 'a secret must not stand in a configuration: write tokenFile = "FILE"',
      password: 'a secret must not stand in a configuration: write passwordFile = "FILE"',
    }),
    v.transform((
      { jetstream, subjects, user, passwordFile, tokenFile, credentialsFile, nkeySeedFile, ...options },
    ): JetStreamConfig => ({
      tool: "jetstream",
      servers: jetstream,
      options: { ...options, ...(subjects ? { select: { subjects } } : {}) },
      secrets: { user, passwordFile, tokenFile, credentialsFile, nkeySeedFile },
    })),
  );
}

/** The schema of `{ chatto = ... }`. */
export function chattoSchema(path: v.GenericSchema<string, string>): v.GenericSchema<unknown, ChattoConfig> {
  return v.pipe(
    table({
      chatto: path,
      cwd: v.optional(path),
      includeKeys: flag,
      includeConfig: flag,
      assets: flag,
      partial: flag,
      natsServer: v.optional(text),
      spoolDir: v.optional(path),
    }),
    v.transform(({ chatto, ...options }): ChattoConfig => ({
      tool: "chatto",
      options: { ...options, config: chatto },
    })),
  );
}

/** Reads the secrets when a connection asks for them. Throws {@linkcode KeyError}. */
export function natsAuth(secrets: NatsSecrets): () => Readonly<Record<string, string | undefined>> {
  return () => ({
    user: secrets.user,
    password: secretIn(secrets.passwordFile),
    token: secretIn(secrets.tokenFile),
    credentials: secretIn(secrets.credentialsFile),
    nkeySeed: secretIn(secrets.nkeySeedFile),
  });
}

function secretIn(file: string | undefined): string | undefined {
  if (file === undefined) return undefined;
  try {
    return readFileSync(file, "utf8").trim();
  } catch (cause) {
    throw new KeyError(`Cannot read the secret in "${file}": ${messageOf(cause)}`, { cause });
  }
}
