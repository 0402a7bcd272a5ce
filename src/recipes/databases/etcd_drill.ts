/**
 * Does a snapshot of etcd work? A private member is made of it and started.
 *
 * @module
 */
import { join } from "node:path";
import { IntegrityError } from "../../errors.ts";
import type { Context } from "../../stage.ts";
import { etcd, type EtcdOptions, SNAPSHOT } from "./etcd.ts";
import { ctl, etcdEnv, etcdTool } from "./etcd_server.ts";
import { ask } from "./programs.ts";
import { findServer, give, refill, scratchIn, serve, withoutServer } from "./scratch.ts";

const FAILED = "The drill failed";
/** Sockets in the server's own folder, by the only names that it takes. */
const CLIENT = "unix://127.0.0.1:1";
const PEER = "unix://127.0.0.1:2";

/** Restores the snapshot in `folder`, starts a member on it, and has it read all its keys. */
export async function drillEtcd(
  { user, password, bin, anyVersion }: EtcdOptions,
  folder: string,
  context: Context,
): Promise<Readonly<Record<string, unknown>>> {
  const { signal } = context;
  const program = findServer("etcd", bin);
  if (program === undefined) return withoutServer("etcd", context);
  const own = { user, password, bin, endpoint: CLIENT };
  const tool = await etcdTool(FAILED, own, signal);
  const status = {
    argv: [tool.program, "snapshot", "status", join(folder, SNAPSHOT), "-w", "json"],
    env: {},
  };
  const { revision } = JSON.parse(await ask(FAILED, status, signal));

  await using scratch = await scratchIn(folder, "etcd");
  const dataDir = join(scratch.data, "data");
  const member = { initialCluster: `default=${PEER}`, initialAdvertisePeerUrls: PEER };
  await refill(etcd({ ...own, ...member, dataDir, anyVersion, spoolDir: scratch.data }), folder, context);
  await give(scratch.data, scratch.as, signal);
  const env = await etcdEnv(own);
  const asked = async (...args: readonly string[]): Promise<string> =>
    await ask(FAILED, { argv: ctl(own, ...args), env, cwd: scratch.socket }, signal);
  const clients = ["--listen-client-urls", CLIENT, "--advertise-client-urls", CLIENT];
  const peers = ["--listen-peer-urls", PEER, "--initial-advertise-peer-urls", PEER];
  const argv = [program, "--data-dir", dataDir, ...clients, ...peers, "--initial-cluster", `default=${PEER}`];
  const call = { argv, env: {}, cwd: scratch.socket, as: scratch.as };
  await using _server = await serve(call, () => asked("endpoint", "health"), signal);
  const now = Number(/"revision":(\d+)/.exec(await asked("endpoint", "status", "-w", "json"))?.[1]);
  if (now !== revision) {
    throw new IntegrityError(
      `${FAILED}: the restored member is at revision ${now}, not ${revision}. Do not rely on this backup; make another`,
    );
  }
  const hash = /"hash":(\d+)/.exec(await asked("endpoint", "hashkv", "-w", "json"))?.[1];
  // One key comes, and the number of all.
  const first = await asked("get", "", "--prefix", "--keys-only", "--limit=1", "-w", "json");
  const keys = Number(/"count":(\d+)/.exec(first)?.[1] ?? 0);
  return { server: tool.version, revision, keys, hash: Number(hash) };
}
