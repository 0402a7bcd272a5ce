/**
 * What a source or a store on a NATS server needs: its hosts, its secrets' files, room for snapshots.
 *
 * @module
 */
import { readSettings } from "../recipes/chatto/settings.ts";
import type { SourceConfig } from "../config.ts";
import { s3 } from "../store/s3.ts";
import { partsOf, SECRET_FILES } from "../store/nats/url.ts";

/** A source on a NATS server. */
export type NatsSource = Extract<SourceConfig, { readonly tool: "jetstream" | "chatto" }>;

/** What it needs, as Deno's flags name it. */
export interface NatsNeeds {
  /** Files. */
  readonly read: readonly string[];
  /** `host:port`. */
  readonly net: readonly string[];
  /** Variables. */
  readonly env: readonly string[];
}

/** The needs of a source. Throws ConfigError for a chatto.toml that cannot be read. */
export function natsNeeds(source: NatsSource): NatsNeeds {
  if (source.tool === "jetstream") {
    const { passwordFile, tokenFile, credentialsFile, nkeySeedFile } = source.secrets;
    const files = [passwordFile, tokenFile, credentialsFile, nkeySeedFile];
    return { read: files.filter((file) => file !== undefined), net: source.servers.map(hostOf), env: [] };
  }
  const servers = readSettings(source.options.config).client?.servers ?? [];
  return { read: [source.options.config], net: [servers].flat().map(hostOf), env: ["CHATTO_*"] };
}

/** Buckets that a source reads besides: that of Chatto's assets. */
export function bucketsOf(source: NatsSource): readonly string[] {
  if (source.tool !== "chatto" || source.options.assets === false) return [];
  const { assets } = readSettings(source.options.config);
  return assets && "options" in assets ? [s3(assets.options).url] : [];
}

/** The needs of a store on a NATS server, from its URL. */
export function natsStoreNeeds(location: string): NatsNeeds {
  const { hosts, query } = partsOf(location);
  const files = [...Object.keys(SECRET_FILES), "ca"].flatMap((name) => query.getAll(name));
  return { read: files, net: hosts.map(hostOf), env: [] };
}

/** Host and port of a NATS URL; the scheme is optional, and so is the port. */
function hostOf(url: string): string {
  const { hostname, port } = new URL(
    url.includes("://") ? url.replace(/^[a-z]+:/i, "http:") : `http://${url}`,
  );
  return `${hostname}:${port || "4222"}`;
}
