/** One plan, a folder, a bucket, a NATS server and an SFTP server: each restores by itself, and one that missed a run catches up, killed or not. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { backup, compare, copy, restore, store, verify } from "../../mod.ts";
import type { Store } from "../../mod.ts";
import { memoryState } from "../../src/context.ts";
import { bytesOf, keysOf, planOf, treeScratch } from "../engine/support.ts";
import { hasTool, judged, noise, sh } from "../support.ts";
import { startServer as startNats, storeOn as natsOn, type TestServer } from "../store/nats_server.ts";
import { folderOn, SSHD, startSshd, storeOn as sftpOn } from "../store/sftp_server.ts";
import { KEYS, relay, startServer, storeOn as s3On, toolPath, uniqueName } from "../store/s3_server.ts";
import { hour, idAt } from "./scene.ts";

const TOOLS = ["nats-server", toolPath("minio"), SSHD];
const here = TOOLS.every((tool) => hasTool(tool) || existsSync(tool));
const minio = here ? await startServer("minio") : undefined!;
const sshd = here ? await startSshd() : undefined!;
const nats: TestServer = here ? await startNats() : undefined!;
if (here) {
  Deno.test.afterAll(minio.close);
  Deno.test.afterAll(sshd.close);
  Deno.test.afterAll(async () => await nats[Symbol.asyncDispose]());
}

/** All four, and what ends them. */
function four(folder: string): { stores: Store[]; close: () => Promise<void> } {
  const inNats = natsOn(nats.url, { prefix: "hosts/web1" });
  // Through a relay, so that the connection ends with the test, and not when it has been idle.
  const line = relay(sshd.port);
  return {
    stores: [
      store.directory(folder),
      s3On(minio, { prefix: uniqueName() }),
      inNats,
      sftpOn({ ...sshd, port: Number(line.endpoint.split(":")[2]) }, { path: folderOn(sshd) }),
    ],
    close: async () => {
      await inNats.close();
      await line.cut();
    },
  };
}

judged("the same plan to a folder, S3, NATS and SFTP at once restores from each", TOOLS, async () => {
  using dir = treeScratch();
  const { stores, close } = four(dir.join("store"));
  await Deno.writeFile(dir.join("src", "noise.bin"), noise(3_000_000));
  const state = memoryState();
  try {
    const plan = planOf(dir.join("src"), stores);
    const made = await backup(plan, { now: hour(0), state });
    assert.equal(made.copies.length, 4);
    assert.deepEqual(await compare(plan), { backups: 1, differences: [], unreachable: [] });
    for (const [i, one] of stores.entries()) {
      const alone = planOf(dir.join("src"), one);
      assert.equal((await verify(alone, { level: "full", state, now: hour(1) })).ledger, "ok");
      await restore(alone, { into: dir.join(`out${i}`), state });
      sh(`diff -r '${dir.join("src")}' '${dir.join(`out${i}`)}/src'`);
      // One file out of it, by ranges.
      await restore(alone, { into: dir.join(`one${i}`), only: ["**/readme.md"], state });
      assert.ok(existsSync(dir.join(`one${i}`, "src", "docs", "readme.md")));
    }
  } finally {
    await close();
  }
});

judged("a target that missed runs catches up from any other: folder, S3, NATS, SFTP", TOOLS, async () => {
  using dir = treeScratch();
  const { stores, close } = four(dir.join("store"));
  const state = memoryState();
  try {
    for (const [n, late] of stores.entries()) {
      await Deno.writeTextFile(dir.join("src", "n"), `${n}`);
      const plan = planOf(dir.join("src"), stores.filter((one) => one !== late));
      await backup(plan, { now: hour(n), state });
    }
    const all = planOf(dir.join("src"), stores);
    assert.deepEqual(
      (await compare(all)).differences.map(({ id, store, what }) => [id, store, what]),
      stores.map(({ url }, n) => [idAt(n), url, "missing"]),
    );
    assert.equal((await copy(all, { state })).copied.length, 4);
    assert.deepEqual(await compare(all), { backups: 4, differences: [], unreachable: [] });
    for (const one of stores) {
      for (const n of [0, 1, 2, 3]) {
        const checked = await verify(planOf(dir.join("src"), one), {
          id: idAt(n),
          level: "full",
          state,
          now: hour(10 + n),
        });
        assert.equal(checked.ledger, "ok");
      }
    }
  } finally {
    await close();
  }
});

judged("one target that is down does not stop the others, and catches up", TOOLS, async () => {
  using dir = treeScratch();
  const own = await startNats();
  const away = natsOn(own.url, { retries: 0 });
  const folder = store.directory(dir.join("store"));
  const state = memoryState();
  const plan = planOf(dir.join("src"), [folder, away]);
  try {
    await backup(plan, { now: hour(0), state });
    await own.stop();
    const { copies } = await backup(plan, { now: hour(1), state });
    assert.deepEqual(copies.map(({ store, error }) => [store, error !== undefined]), [
      [folder.url, false],
      [away.url, true],
    ]);
    const { unreachable } = await compare(plan);
    assert.deepEqual(unreachable.map(({ store }) => store), [away.url]);
    assert.match(unreachable[0]!.error.message, /Cannot connect to NATS|connection/);
    await using back = await startNats({ dir: own.dir, port: portOf(own.url) });
    assert.equal((await copy(plan, { state })).copied.length, 1);
    assert.equal((await verify(planOf(dir.join("src"), away), { state })).ledger, "ok");
    assert.ok(back.pid > 0);
  } finally {
    await away.close();
    await own[Symbol.asyncDispose]();
  }
});

function portOf(url: string): number {
  return Number(new URL(url.replace("nats:", "http:")).port);
}

/** Runs child.ts; gives the signal that ended it. */
async function copyAndDie(tree: string, from: string, to: string, at: number): Promise<string | null> {
  const { signal, success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", join(import.meta.dirname!, "child.ts"), tree, from, to, String(at)],
    env: { AWS_ACCESS_KEY_ID: KEYS.accessKeyId, AWS_SECRET_ACCESS_KEY: KEYS.secretAccessKey },
    stdout: "null",
    stderr: "piped",
  }).output();
  assert.ok(success || signal === "SIGKILL", new TextDecoder().decode(stderr));
  return signal;
}

/** Kills a copy at one of its writes; what is visible then is nothing, and the next copy makes it whole. */
async function killed(
  make: () => Promise<{ target: Store; to: string }>,
  moments: readonly number[],
): Promise<void> {
  using dir = treeScratch();
  await Deno.writeFile(dir.join("src", "noise.bin"), noise(8_000_000));
  const from = dir.join("from");
  const source = store.directory(from);
  await backup(planOf(dir.join("src"), source), { now: hour(0) });
  const keys = await keysOf(source);
  for (const at of moments) {
    const { target, to } = await make();
    const both = planOf(dir.join("src"), [source, target]);
    assert.equal(await copyAndDie(dir.join("src"), from, to, at), "SIGKILL", `write ${at}`);
    const [difference] = (await compare(both)).differences;
    assert.match(difference?.what ?? "", /^(?:missing|unfinished)$/, `write ${at}`);
    await assert.rejects(restore(planOf(dir.join("src"), target), { into: dir.join("no") }), /Cannot/);
    const { copied, troubles } = await copy(both);
    assert.deepEqual([copied.length, troubles], [1, []], `write ${at}`);
    assert.deepEqual(await compare(both), { backups: 1, differences: [], unreachable: [] });
    assert.deepEqual(await keysOf(target), keys);
    for (const key of keys) assert.deepEqual(await bytesOf(target, key), await bytesOf(source, key), key);
  }
}

Deno.test("copy to a folder that is killed at any of its writes goes on", async () => {
  using dir = treeScratch();
  let made = 0;
  const make = async (): Promise<{ target: Store; to: string }> => {
    const to = dir.join(`to${++made}`);
    await Deno.mkdir(to);
    return { target: store.directory(to), to };
  };
  await killed(make, [1, 2, 3, 4, 5, 6]);
});

judged("copy to NATS that is killed in the middle goes on", TOOLS, async () => {
  const open: (() => Promise<void>)[] = [];
  const make = async (): Promise<{ target: Store; to: string }> => {
    const target = natsOn(nats.url);
    open.push(target.close);
    await target.put("made", new Uint8Array(1)); // the bucket
    await target.delete("made");
    return { target, to: target.url };
  };
  try {
    await killed(make, [3, 5]);
  } finally {
    for (const close of open) await close();
  }
});

judged("copy to S3 that is killed in the middle goes on", TOOLS, async () => {
  const make = (): Promise<{ target: Store; to: string }> => {
    const prefix = uniqueName();
    const to = `s3://backups/${prefix}?endpoint=${minio.endpoint}&partBytes=5242880`;
    return Promise.resolve({ target: s3On(minio, { prefix }), to });
  };
  await killed(make, [3, 5]);
});
