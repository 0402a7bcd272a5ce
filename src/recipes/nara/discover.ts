/**
 * Where naras are, without joining their mesh: named, listed in a file, told by another nara, or by `tailscale status`.
 *
 * @module
 */
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { asker, showUrl } from "../../collect/events/ask.ts";
import { ConfigError, messageOf, NotFoundError } from "../../errors.ts";
import type { Context } from "../../stage.ts";
import { baseOf } from "./sync.ts";

/** The port of naras on their mesh. */
export const MESH_PORT = 7433;

/** Where to look. All that are given count. */
export interface DiscoverOptions {
  /** Addresses. */
  readonly peers?: readonly string[] | undefined;
  /** A file with one address a line; empty lines and # comments are skipped. */
  readonly peersFile?: string | undefined;
  /** A nara with a page server, which knows others. */
  readonly from?: string | undefined;
  /** The hosts of `tailscale status --json`, on a host that has joined the mesh; or a file with its output. */
  readonly tailscale?: boolean | string | undefined;
}

/** Finds peers. Throws {@linkcode NotFoundError} when there are none. */
export async function discover(options: DiscoverOptions, context: Context): Promise<readonly string[]> {
  const found = new Set<string>(options.peers?.map(checked));
  if (options.peersFile !== undefined) {
    for (const line of (await fileOf(options.peersFile, "the list of peers")).split(/\r?\n/)) {
      const address = line.replace(/(^|\s)#.*$/, "").trim();
      if (address !== "") found.add(checked(address));
    }
  }
  if (options.from !== undefined) {
    for (const peer of await toldBy(checked(options.from), context)) found.add(peer);
  }
  if (options.tailscale) { for (const peer of await meshHosts(options.tailscale, context)) found.add(peer); }
  if (found.size > 0) return [...found];
  throw new NotFoundError(
    "Cannot collect events: no peers found. Pass --peer URL, --peers-file FILE or --discover URL; --tailscale asks the mesh this host " +
      "has joined",
  );
}

async function fileOf(path: string, what: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    throw new NotFoundError(`Cannot read ${what}: ${messageOf(cause)}`, { cause });
  }
}

function checked(peer: string): string {
  const url = URL.parse(peer);
  if (!url || !/^https?:$/.test(url.protocol)) {
    throw new ConfigError(`Cannot use the peer "${showUrl(peer)}": write it as http://HOST:PORT`);
  }
  return baseOf(peer);
}

/** A nara, and those it knows an address of. */
async function toldBy(from: string, context: Context): Promise<string[]> {
  const ask = asker({ signal: context.signal, requestTimeoutMs: 10_000, attempts: 3, received: () => {} });
  const found = [from];
  try {
    for (const path of ["/narae.json", "/api.json"]) {
      const naras = await ask({ url: from + path }, ({ body }) => {
        const value = JSON.parse(new TextDecoder().decode(body));
        return (value.naras ?? []) as { PublicUrl?: string; MeshIP?: string; MeshEnabled?: boolean }[];
      });
      for (const { PublicUrl, MeshIP, MeshEnabled } of naras) {
        if (PublicUrl && /^https?:$/.test(URL.parse(PublicUrl)?.protocol ?? "")) {
          found.push(baseOf(PublicUrl));
        } else if (MeshEnabled && MeshIP) found.push(`http://${MeshIP}:${MESH_PORT}`);
      }
    }
  } catch (error) {
    context.log.warn("peer", `${showUrl(from)} does not tell of other naras: ${messageOf(error)}`);
  }
  return found;
}

interface Host {
  readonly HostName?: string;
  readonly TailscaleIPs?: readonly string[] | null;
  readonly Online?: boolean;
}

async function meshHosts(source: true | string, context: Context): Promise<string[]> {
  const text = source === true ? await status(context.signal) : await fileOf(source, "what tailscale said");
  let hosts: readonly Host[];
  try {
    const value = JSON.parse(text) as { Self?: Host; Peer?: Readonly<Record<string, Host>> | null };
    hosts = [...(value.Self ? [{ ...value.Self, Online: true }] : []), ...Object.values(value.Peer ?? {})];
  } catch (cause) {
    throw new ConfigError("Cannot find peers: what tailscale says is not JSON", { cause });
  }
  const found: string[] = [];
  for (const { HostName = "", TailscaleIPs, Online } of hosts) {
    const ip = TailscaleIPs?.[0];
    if (ip === undefined || HostName.startsWith("nara-backup-")) continue;
    if (Online === false) context.log.info(`${HostName} is offline and is not asked`);
    else found.push(`http://${ip.includes(":") ? `[${ip}]` : ip}:${MESH_PORT}`);
  }
  return found;
}

function status(signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile("tailscale", ["status", "--json"], { signal, maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
      if (!error) return resolve(stdout);
      if ((error as { code?: unknown }).code === "ENOENT") {
        return reject(
          new NotFoundError(
            "Cannot find peers: none are named, and there is no tailscale here to ask. Pass --peer URL, --peers-file FILE or --discover URL",
            { cause: error },
          ),
        );
      }
      reject(
        new NotFoundError(
          `Cannot find peers: "tailscale status --json" failed: ${
            stderr.trim() || messageOf(error)
          }. Holdfast does not join the mesh ` +
            "itself: join it on this host, or pass --peer URL",
          { cause: error },
        ),
      );
    });
  });
}
