/** Real S3 servers on loopback: MinIO and versitygw, as `deno task tools` builds them. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { S3Client } from "@aws-sdk/client-s3";
import { s3, type S3Options, type S3Store } from "../../src/store/s3.ts";
import { hasTool, scratch } from "../support.ts";

/** The keys of every server here. */
export const KEYS = { accessKeyId: "holdfast-test", secretAccessKey: "holdfast-test-secret" };

/** Where a program lies: on the PATH, or in the cache of tools that are built. */
export function toolPath(tool: string): string {
  if (hasTool(tool)) return tool;
  return join(Deno.env.get("XDG_CACHE_HOME") ?? join(homedir(), ".cache"), "holdfast-tools", "bin", tool);
}

/** A running server. */
export interface Server {
  readonly endpoint: string;
  readonly port: number;
  /** The folder under which its data lies. */
  readonly data: string;
  readonly kill: () => Promise<void>;
  /** Starts it again after a kill, on the same port and data. */
  readonly start: () => Promise<void>;
  /** Kills it and removes its data. */
  readonly close: () => Promise<void>;
  /** Names of unfinished uploads on its disk. */
  readonly unfinished: () => string[];
}

export type Kind = "minio" | "versitygw";

/** Starts a server with one bucket, "backups". */
export async function startServer(
  kind: Kind,
  options: { readonly env?: Record<string, string>; readonly tls?: { cert: string; key: string } } = {},
): Promise<Server> {
  const dir = scratch();
  const data = dir.join("data");
  mkdirSync(join(data, "backups"), { recursive: true });
  mkdirSync(dir.join("versions"));
  if (kind === "versitygw") mkdirSync(dir.join("meta"));
  const port = freePort();
  let child: Deno.ChildProcess | undefined;
  const start = async (): Promise<void> => {
    child = new Deno.Command(toolPath(kind), {
      args: argsOf(kind, data, dir.path, port, options.tls !== undefined),
      clearEnv: true,
      env: {
        PATH: Deno.env.get("PATH") ?? "",
        HOME: dir.path,
        MINIO_ROOT_USER: KEYS.accessKeyId,
        MINIO_ROOT_PASSWORD: KEYS.secretAccessKey,
        ROOT_ACCESS_KEY: KEYS.accessKeyId,
        ROOT_SECRET_KEY: KEYS.secretAccessKey,
        MINIO_BROWSER: "off",
        MINIO_UPDATE: "off",
        GOMAXPROCS: "2",
        ...options.env,
      },
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    await waitFor(port);
  };
  const kill = async (): Promise<void> => {
    child?.kill("SIGKILL");
    await child?.status;
    child = undefined;
  };
  if (options.tls) {
    mkdirSync(dir.join("certs"));
    Deno.copyFileSync(options.tls.cert, dir.join("certs", "public.crt"));
    Deno.copyFileSync(options.tls.key, dir.join("certs", "private.key"));
  }
  await start();
  return {
    endpoint: `${options.tls ? "https" : "http"}://127.0.0.1:${port}`,
    port,
    data,
    kill,
    start,
    close: async () => {
      await kill();
      dir[Symbol.dispose]();
    },
    unfinished: () => unfinishedIn(kind, data),
  };
}

function argsOf(kind: Kind, data: string, dir: string, port: number, tls: boolean): string[] {
  if (kind === "minio") {
    const certs = tls ? ["--certs-dir", join(dir, "certs")] : [];
    return ["server", "--quiet", "--address", `127.0.0.1:${port}`, ...certs, data];
  }
  return ["--port", `127.0.0.1:${port}`, "posix", "--sidecar", join(dir, "meta"), data];
}

function unfinishedIn(kind: Kind, data: string): string[] {
  const folder = kind === "minio"
    ? join(data, ".minio.sys", "multipart")
    : join(data, "backups", ".sgwtmp", "multipart");
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => entry.name);
}

/** A port that was free a moment ago. */
export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

async function waitFor(port: number): Promise<void> {
  for (let attempt = 1;; attempt++) {
    try {
      (await Deno.connect({ hostname: "127.0.0.1", port })).close();
      // MinIO listens before it can answer.
      const response = await fetch(`http://127.0.0.1:${port}/backups?list-type=2`).catch(() => undefined);
      await response?.body?.cancel();
      if (response === undefined || response.status < 500) return;
      throw new Error(`It answers ${response.status}`);
    } catch (error) {
      if (attempt > 200) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** A store in the server's bucket. */
export function storeOn(server: Pick<Server, "endpoint">, options: Partial<S3Options> = {}): S3Store {
  return s3({ bucket: "backups", endpoint: server.endpoint, credentials: () => KEYS, ...options });
}

/** The SDK itself, to judge and to prepare. */
export function clientOf(server: Pick<Server, "endpoint">, credentials: typeof KEYS = KEYS): S3Client {
  return new S3Client({ endpoint: server.endpoint, region: "us-east-1", forcePathStyle: true, credentials });
}

/** A relay where one was before. Meanwhile a connection of somebody else may have got the port: until it has gone. */
export async function relayAgain(port: number, at: number): Promise<ReturnType<typeof relay>> {
  for (let left = 300;; left--) {
    try {
      return relay(port, at);
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse) || left === 0) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

/** Passes connections on to a server, until it is cut. */
export function relay(
  port: number,
  at = 0,
): { readonly endpoint: string; readonly cut: () => Promise<void>; readonly received: () => number } {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: at });
  const open = new Set<Deno.TcpConn>();
  const running: Promise<unknown>[] = [];
  let received = 0;
  const serve = async (): Promise<void> => {
    for await (const conn of listener) {
      open.add(conn);
      running.push(pass(conn, port, open, (bytes) => received += bytes));
    }
  };
  running.push(serve().catch(() => {}));
  return {
    endpoint: `http://127.0.0.1:${listener.addr.port}`,
    received: () => received,
    cut: async () => {
      try {
        listener.close();
      } catch {
        return; // cut already
      }
      for (const conn of open) quietly(() => conn.close());
      await Promise.all(running);
    },
  };
}

async function pass(
  conn: Deno.TcpConn,
  port: number,
  open: Set<Deno.TcpConn>,
  see: (bytes: number) => void,
): Promise<void> {
  const counted = new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
    transform: (chunk, out) => {
      see(chunk.length);
      out.enqueue(chunk);
    },
  });
  let other: Deno.TcpConn | undefined;
  try {
    other = await Deno.connect({ hostname: "127.0.0.1", port });
    open.add(other);
    const back = other.readable.pipeThrough(counted);
    await Promise.allSettled([conn.readable.pipeTo(other.writable), back.pipeTo(conn.writable)]);
  } catch {
    // The server is away: the client sees a closed connection.
  } finally {
    for (const one of [conn, other]) if (one) quietly(() => one.close());
  }
}

function quietly(work: () => void): void {
  try {
    work();
  } catch {
    // closed already
  }
}

/** A short name that no other test has. */
export function uniqueName(): string {
  return createHash("sha256").update(crypto.randomUUID()).digest("hex").slice(0, 12);
}
