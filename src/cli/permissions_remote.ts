/**
 * What a store on another machine, or behind a program, needs: its host, the files of its secrets, an agent's socket.
 *
 * @module
 */
import { homedir } from "node:os";
import { join } from "node:path";
import { optionsOf } from "../store/sftp/url.ts";

/** What it needs, as Deno's flags name it. */
export interface RemoteNeeds {
  /** Files that are read. */
  readonly read: readonly string[];
  /** Sockets, which are read and written. */
  readonly sockets: readonly string[];
  /** `host:port`. */
  readonly net: readonly string[];
  /** Variables. */
  readonly env: readonly string[];
  /** Programs. */
  readonly run: readonly string[];
  /** Facts about the system. */
  readonly sys: readonly string[];
}

const NONE: RemoteNeeds = { read: [], sockets: [], net: [], env: [], run: [], sys: [] };

/** Parameters of an SFTP URL that name files. */
const FILES = ["key", "passphraseFile", "passwordFile", "knownHosts"];

/** The needs of a store by its URL; undefined for one of another kind. */
export function remoteNeeds(location: string): RemoteNeeds | undefined {
  if (/^rclone:/i.test(location)) return { ...NONE, run: ["rclone"] };
  if (!/^sftp:/i.test(location)) return undefined;
  const { host, port = 22, agent, hostKeys, knownHosts, privateKey, password } = optionsOf(location);
  const query = new URLSearchParams(/\?(.*)$/s.exec(location)?.[1] ?? "");
  const files = FILES.map((name) => query.get(name)).filter((file) => file !== null);
  const ssh = join(homedir(), ".ssh");
  const lone = !privateKey && !password && agent === undefined;
  const socket = agent ?? (lone ? Deno.env.get("SSH_AUTH_SOCK") : undefined);
  return {
    net: [`${host.includes(":") ? `[${host}]` : host}:${port}`],
    env: ["USER", "LOGNAME", "SSH_AUTH_SOCK"],
    sys: hostKeys || knownHosts ? lone ? ["homedir"] : [] : ["homedir"],
    run: [],
    sockets: typeof socket === "string" && socket !== "" ? [socket] : [],
    read: [
      ...files,
      ...(hostKeys || knownHosts ? [] : [join(ssh, "known_hosts"), "/etc/ssh/ssh_known_hosts"]),
      ...(lone ? ["id_ed25519", "id_ecdsa", "id_rsa"].map((name) => join(ssh, name)) : []),
    ],
  };
}
