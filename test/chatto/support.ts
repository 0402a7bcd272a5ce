/** A server with what Chatto keeps in it, and a chatto.toml that means it. */
import { writeFileSync } from "node:fs";
import { type Ran, run, type User } from "../cli/support.ts";
import { KEYS } from "../store/s3_server.ts";
import { scratch } from "../support.ts";
import { ask, makeStream, startServer, type TestServer } from "../jetstream/support.ts";

export const TOKEN = "chatto-test-token";
export const PASSPHRASE = "correct horse";

/** A Chatto: its folder with chatto.toml and a passphrase file, and its server. */
export interface Chatto extends AsyncDisposable {
  readonly dir: string;
  readonly server: TestServer;
  readonly user: User;
  /** Runs a task there. */
  readonly task: (task: string, args: readonly string[], input?: string) => Promise<Ran>;
}

/** Starts a server as an external one for Chatto; with `fill`, holding a little of everything. */
export async function startChatto(options: { fill?: boolean; toml?: string } = {}): Promise<Chatto> {
  const dir = scratch();
  const server = await startServer({
    extra: `authorization { token: "${TOKEN}" }\n`,
    auth: { token: TOKEN },
  });
  writeFileSync(dir.join("chatto.toml"), tomlFor(server.url) + (options.toml ?? ""));
  writeFileSync(dir.join("pw"), `${PASSPHRASE}\r\n`);
  if (options.fill ?? true) await fillChatto(server);
  const user: User = { home: dir.join("home"), cwd: dir.path };
  return {
    dir: dir.path,
    server,
    user,
    task: (task, args, input) => run(user, task, args, input),
    [Symbol.asyncDispose]: async () => {
      await server[Symbol.asyncDispose]();
      dir[Symbol.dispose]();
    },
  };
}

/** A chatto.toml for an external server. */
export function tomlFor(url: string): string {
  return `[nats.client]\nurl = "${url}"\nauth_method = "token"\ntoken = "${TOKEN}"\n`;
}

/** A server's bucket, told to Chatto. */
export function s3Toml(
  { endpoint }: { readonly endpoint: string },
  prefix: string,
  secret = KEYS.secretAccessKey,
): string {
  return `[core.assets]\nstorage_backend = "s3"\n[core.assets.s3]\nendpoint = "${
    endpoint.slice(7)
  }"\nuse_ssl = false\n` +
    `bucket = "backups"\npath_prefix = "/${prefix}/"\naccess_key_id = "${KEYS.accessKeyId}"\nsecret_access_key = "${secret}"\n`;
}

/** A KEK as Chatto stores it. */
export function kek(byte: number): Uint8Array<ArrayBuffer> {
  const algorithm = new TextEncoder().encode("builtin-xchacha20-poly1305-v1");
  return new Uint8Array([10, 32, ...new Uint8Array(32).fill(byte), 18, algorithm.length, ...algorithm]);
}

/** A reference as Chatto makes them. */
export const ref = (letter: string): string => `kek.${letter.repeat(24)}`;

export const KEYS_CONFIG = {
  name: "KV_ENCRYPTION_KEYS",
  subjects: ["$KV.ENCRYPTION_KEYS.>"],
  max_msgs_per_subject: 1,
  storage: "file",
  allow_rollup_hdrs: true,
  deny_delete: true,
  discard: "new",
};

export async function putKey({ nc }: TestServer, name: string, value: Uint8Array): Promise<void> {
  await nc.request(`$KV.ENCRYPTION_KEYS.${name}`, value, { timeout: 5000 });
}

export async function eraseKey({ nc }: TestServer, name: string): Promise<void> {
  const { headers } = await import("@nats-io/transport-node");
  const h = headers();
  h.set("KV-Operation", "PURGE");
  h.set("Nats-Rollup", "sub");
  await nc.request(`$KV.ENCRYPTION_KEYS.${name}`, new Uint8Array(), { headers: h, timeout: 5000 });
}

async function fillChatto(server: TestServer): Promise<void> {
  const { nc } = server;
  await makeStream(nc, "EVT", 300, { allow_atomic: true, compression: "s2" });
  await makeStream(nc, "NOTIFICATIONS", 20, { allow_msg_ttl: true });
  await makeStream(nc, "KV_RUNTIME_STATE", 30);
  for (const name of ["KV_LINK_PREVIEW_CACHE", "KV_AUTH_TOKENS", "OBJ_ASSET_CACHE_V2"]) {
    await makeStream(nc, name, 1);
  }
  await makeStream(nc, "KV_MEMORY_CACHE", 1, { storage: "memory" });
  await makeStream(nc, "FOREIGN_MEMORY", 1, { storage: "memory" });
  await ask(nc, "STREAM.CREATE.KV_ENCRYPTION_KEYS", KEYS_CONFIG);
  await putKey(server, ref("A"), kek(1));
  await putKey(server, "user.alice", new Uint8Array(32).fill(7));
  await putKey(server, "call.e2ee.x", new Uint8Array(9));
}
