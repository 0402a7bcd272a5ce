/** Real SFTP servers on loopback: OpenSSH's sshd as any user, and rclone as a second opinion that has no OpenSSH extensions. */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import type { Store } from "../../src/stage.ts";
import { sftp, type SftpOptions } from "../../src/store/sftp.ts";
import { scratch } from "../support.ts";
import { freePort } from "./s3_server.ts";

/** The server, which demands to be started by its whole path, and is on no user's PATH. */
export const SSHD = "/usr/sbin/sshd";

/** A running server. */
export interface SftpServer {
  readonly port: number;
  readonly user: string;
  /** The folder in which tests make theirs. */
  readonly data: string;
  /** A private key that the server lets in, and the file of it. */
  readonly key: string;
  readonly keyFile: string;
  /** A known_hosts file that knows the server on every port, and the server's public key ("ssh-ed25519 AAAA..."). */
  readonly knownHosts: string;
  readonly hostKey: string;
  /** The processes of its connections. */
  readonly sessions: () => number[];
  /** What the server has logged. */
  readonly log: () => string;
  readonly kill: () => Promise<void>;
  readonly start: () => Promise<void>;
  readonly close: () => Promise<void>;
}

/** What a test changes about a server. */
export interface ServerOptions {
  /** Lines of sshd_config that come first, and so win. */
  readonly config?: readonly string[];
  /** Options of the SFTP server: "-P remove" denies a request; false: it has none. */
  readonly sftp?: string | false;
  /** The largest file the server may write, in bytes. */
  readonly limit?: number;
  /** Who logs in. Default: this process's user. */
  readonly user?: string;
  /** Stands for the folder of the server's files. */
  readonly data?: string;
}

/** Starts sshd with a host key and a login key of its own. */
export async function startSshd(options: ServerOptions = {}): Promise<SftpServer> {
  const dir = scratch();
  const keyFile = dir.join("id");
  const hostFile = dir.join("host");
  for (const file of [keyFile, hostFile]) makeKey(file);
  const data = options.data ?? dir.join("data");
  mkdirSync(data, { recursive: true });
  // What is missing in a container without the service's own start script.
  if (userInfo().uid === 0) mkdirSync("/run/sshd", { recursive: true, mode: 0o755 });
  Deno.chmodSync(dir.path, 0o755);
  const port = freePort();
  writeFileSync(
    dir.join("sshd_config"),
    [
      ...options.config ?? [],
      `Port ${port}`,
      "ListenAddress 127.0.0.1",
      `HostKey ${hostFile}`,
      "PidFile none",
      "StrictModes no",
      "UsePAM no",
      `AuthorizedKeysFile ${keyFile}.pub`,
      "PasswordAuthentication no",
      "KbdInteractiveAuthentication no",
      "MaxStartups 200",
      "MaxSessions 200",
      options.sftp === false ? "" : `Subsystem sftp internal-sftp ${options.sftp ?? ""}`,
      "",
    ].join("\n"),
  );
  const hostKey = readFileSync(`${hostFile}.pub`, "utf8").trim().split(" ").slice(0, 2).join(" ");
  const knownHosts = dir.join("known_hosts");
  writeFileSync(knownHosts, `127.0.0.1,localhost,[127.0.0.1]:*,[localhost]:* ${hostKey}\n`);
  const log = dir.join("log");
  const server = program(SSHD, ["-D", "-e", "-f", dir.join("sshd_config")], port, log, true, options.limit);
  await server.start();
  return {
    port,
    user: options.user ?? userInfo().username,
    data,
    key: readFileSync(keyFile, "utf8"),
    keyFile,
    knownHosts,
    hostKey,
    log: () => readFileSync(log, "utf8"),
    sessions: server.sessions,
    kill: server.kill,
    start: server.start,
    close: async () => {
      await server.kill();
      dir[Symbol.dispose]();
    },
  };
}

/** Makes an Ed25519 key, with a passphrase where one is given. */
export function makeKey(file: string, passphrase = ""): void {
  execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-C", "test", "-N", passphrase, "-f", file]);
}

/** rclone's own server: user and password, no hard links, no fsync. */
export async function startRclone(password: string): Promise<SftpServer> {
  const dir = scratch();
  const data = dir.join("data");
  mkdirSync(data);
  const hostFile = dir.join("host");
  makeKey(hostFile);
  const port = freePort();
  const log = dir.join("log");
  const server = program(
    "rclone",
    [
      "serve",
      "sftp",
      data,
      "--addr",
      `127.0.0.1:${port}`,
      "--user",
      "tester",
      "--pass",
      password,
      "--key",
      hostFile,
      "--vfs-cache-mode",
      "full",
      "--vfs-write-back",
      "0",
      "--dir-cache-time",
      "0",
      "--cache-dir",
      dir.join("cache"),
      "--config",
      dir.join("none.conf"),
    ],
    port,
    log,
    false,
  );
  await server.start();
  const hostKey = readFileSync(`${hostFile}.pub`, "utf8").trim().split(" ").slice(0, 2).join(" ");
  const knownHosts = dir.join("known_hosts");
  writeFileSync(knownHosts, `127.0.0.1,[127.0.0.1]:* ${hostKey}\n`);
  return {
    port,
    user: "tester",
    data,
    key: "",
    keyFile: "",
    knownHosts,
    hostKey,
    log: () => readFileSync(log, "utf8"),
    sessions: server.sessions,
    kill: server.kill,
    start: server.start,
    close: async () => {
      await server.kill();
      dir[Symbol.dispose]();
    },
  };
}

/** Runs a server whose sessions are processes of its own group, so that a kill ends them all. */
function program(
  file: string,
  args: readonly string[],
  port: number,
  log: string,
  sessions: boolean,
  limit?: number,
): Pick<SftpServer, "start" | "kill" | "sessions"> {
  let child: Deno.ChildProcess | undefined;
  return {
    sessions: () => child ? descendants(child.pid) : [],
    start: async () => {
      const ulimit = limit === undefined ? "" : `trap '' XFSZ; ulimit -f ${Math.floor(limit / 512)}; `;
      const line = `${ulimit}log=$1; shift; exec "$@" >>"$log" 2>&1`;
      child = new Deno.Command("/bin/sh", {
        args: ["-c", line, "sh", log, file, ...args],
        stdin: "null",
        stdout: "null",
        stderr: "null",
      }).spawn();
      await listening(port, log);
    },
    kill: async () => {
      if (!child) return;
      const pids = sessions ? descendants(child.pid) : [];
      for (const pid of [child.pid, ...pids]) quietly(() => Deno.kill(pid, "SIGKILL"));
      await child.status;
      child = undefined;
    },
  };
}

/** The processes under one, by /proc: sshd's sessions lead groups of their own. */
function descendants(pid: number): number[] {
  const children = [...Deno.readDirSync("/proc")].map(({ name }) => Number(name)).filter((other) => {
    try {
      const stat = readFileSync(`/proc/${other}/stat`, "utf8");
      return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]) === pid;
    } catch {
      return false;
    }
  });
  return [...children, ...children.flatMap(descendants)];
}

async function listening(port: number, log: string): Promise<void> {
  for (let attempt = 1;; attempt++) {
    try {
      return (await Deno.connect({ hostname: "127.0.0.1", port })).close();
    } catch (error) {
      if (attempt > 400) {
        throw new Error(`It does not listen: ${readFileSync(log, "utf8")}`, { cause: error });
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

function quietly(work: () => void): void {
  try {
    work();
  } catch {
    // ended already
  }
}

/** A store in a folder of the server. */
export function storeOn(server: SftpServer, options: Partial<SftpOptions> = {}): Store {
  return sftp({
    host: "127.0.0.1",
    port: server.port,
    user: server.user,
    path: server.data,
    knownHosts: server.knownHosts,
    ...(server.key === "" ? {} : { privateKey: () => server.key }),
    ...options,
  });
}

/** A fresh folder among the server's files. */
export function folderOn(server: SftpServer): string {
  const folder = join(server.data, crypto.randomUUID().slice(0, 8));
  mkdirSync(folder);
  return folder;
}
