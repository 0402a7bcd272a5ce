/** Every store there is, for tables that hold on each; a new one is one line. */
import { existsSync, mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { store } from "../../mod.ts";
import type { Store } from "../../mod.ts";
import { hasTool } from "../support.ts";
import { folderOn, SSHD, startSshd, storeOn as sftpOn } from "../store/sftp_server.ts";
import { startServer as startNats, storeOn as natsOn } from "../store/nats_server.ts";
import { relay, startServer as startS3, storeOn as s3On, toolPath, uniqueName } from "../store/s3_server.ts";

/** One kind of store. */
export interface Kind {
  /** What its server needs. */
  readonly tools: readonly string[];
  /** A new and empty one; `folder` is the test's own. */
  readonly make: (
    folder: string,
  ) => { readonly target: Store; readonly close?: (() => Promise<void>) | undefined };
}

/** A shell script as a store. */
function scriptIn(root: string): Store {
  mkdirSync(root);
  const script = fileURLToPath(new URL("../store/command_store.sh", import.meta.url));
  const line = (...words: string[]): string[] => ["/bin/sh", script, ...words];
  return store.command({
    name: "script",
    put: line("put", "{key}"),
    get: line("get", "{key}"),
    list: line("list"),
    delete: line("delete", "{key}"),
    move: line("move", "{from}", "{to}"),
    env: { ROOT: root },
  });
}

const MINIO = toolPath("minio");
const nats = hasTool("nats-server") ? await startNats() : undefined;
const minio = hasTool(MINIO) || existsSync(MINIO) ? await startS3("minio") : undefined;
const sshd = hasTool(SSHD) ? await startSshd() : undefined;
if (sshd) Deno.test.afterAll(sshd.close);
if (nats) Deno.test.afterAll(async () => await nats[Symbol.asyncDispose]());
if (minio) Deno.test.afterAll(minio.close);

/** By name. */
export const STORES: Readonly<Record<string, Kind>> = {
  directory: { tools: [], make: (folder) => ({ target: store.directory(`${folder}/store`) }) },
  command: { tools: ["sh"], make: (folder) => ({ target: scriptIn(`${folder}/store`) }) },
  memory: { tools: [], make: () => ({ target: store.memory() }) },
  nats: {
    tools: ["nats-server"],
    make: () => {
      const target = natsOn(nats!.url);
      return { target, close: target.close };
    },
  },
  s3: { tools: [MINIO], make: () => ({ target: s3On(minio!, { prefix: uniqueName() }) }) },
  sftp: {
    tools: [SSHD],
    make: () => {
      // Through a relay, so that the connection ends with the test, and not when it has been idle.
      const line = relay(sshd!.port);
      const port = Number(line.endpoint.split(":")[2]);
      return { target: sftpOn({ ...sshd!, port }, { path: folderOn(sshd!) }), close: line.cut };
    },
  },
};
