/** Connections that break and servers that die, in the middle of something. */
import { strict as assert } from "node:assert";
import { openSync, readdirSync, truncateSync, utimesSync, writeSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { concat } from "../../src/bytes.ts";
import { StoreError } from "../../src/errors.ts";
import { gated, MIB } from "../../src/store/contract/help.ts";
import type { U8 } from "../../src/stage.ts";
import type { SftpOptions } from "../../src/store/sftp.ts";
import type { Store } from "../../src/stage.ts";
import { bytesOf, keysOf } from "../contract/store.ts";
import { judged, noise } from "../support.ts";
import { relay, relayAgain } from "./s3_server.ts";
import { folderOn, type SftpServer, SSHD, startSshd, storeOn } from "./sftp_server.ts";

interface Scene {
  readonly server: SftpServer;
  readonly folder: string;
  readonly store: (options?: Partial<SftpOptions>) => Store;
}

function test(name: string, run: (scene: Scene) => Promise<void>): void {
  judged(name, [SSHD], async () => {
    const server = await startSshd();
    try {
      const folder = folderOn(server);
      await run({ server, folder, store: (options) => storeOn(server, { path: folder, ...options }) });
    } finally {
      await server.close();
    }
  }, { sanitizeOps: false, sanitizeResources: false });
}

test("sftp() finishes a put whose server was killed and started again", async ({ server, store }) => {
  for (const ifAbsent of [false, true]) {
    const bytes = noise(9 * MIB, 7);
    const gate = gated(bytes, 6 * MIB);
    const target = store({ retries: 20 });
    const putting = target.put("app", gate.body, { ifAbsent });
    await gate.reached;
    assert.deepEqual(await keysOf(target), []);
    await server.kill();
    await server.start();
    gate.open();
    await putting;
    assert.deepEqual(await bytesOf(target, "app"), bytes);
    await target.delete("app");
  }
});

test("sftp() whose server dies for good shows nothing incomplete, and a later write sweeps", async (scene) => {
  const { server, folder, store } = scene;
  const gate = gated(noise(9 * MIB), 6 * MIB);
  const putting = store({ retries: 1 }).put("app", gate.body);
  await gate.reached;
  await server.kill();
  gate.open();
  await assert.rejects(putting, (error) => error instanceof StoreError && error.retryable);
  await server.start();
  const target = store();
  assert.deepEqual(await keysOf(target), []);
  const [temp, ...others] = readdirSync(folder);
  assert.match(temp!, /^\.app\.tmp-/);
  assert.deepEqual(others, []);
  await target.put("young", noise(1));
  assert.ok(readdirSync(folder).includes(temp!), "a file that may be in use was swept");
  const old = Date.now() / 1000 - 25 * 60 * 60;
  utimesSync(join(folder, temp!), old, old);
  await store().put("next", noise(1));
  assert.deepEqual(readdirSync(folder).sort(), ["next", "young"]);
});

for (
  const [what, spoil] of [
    ["zeros", (file: string): void => void writeSync(openSync(file, "r+"), new Uint8Array(1000), 0, 1000, 5)],
    ["a shorter file", (file: string): void => truncateSync(file, 100)],
  ] as const
) {
  test(`sftp() notices that a server lost what it had confirmed: ${what}`, async ({ server, folder, store }) => {
    const gate = gated(noise(9 * MIB), 6 * MIB);
    const putting = store({ retries: 20 }).put("app", gate.body);
    await gate.reached;
    await server.kill();
    spoil(join(folder, readdirSync(folder)[0]!)); // as after a power cut
    await server.start();
    gate.open();
    await assert.rejects(putting, /the server lost what was written before the connection broke\. Run again/);
    assert.deepEqual(readdirSync(folder), []);
  });
}

test("sftp() goes on reading where the connection broke, and never mixes two objects", async (scene) => {
  const { server, folder, store } = scene;
  const bytes = noise(12 * MIB, 3);
  await store().put("app", bytes);
  for (const replaced of [false, true]) {
    const first = relay(server.port);
    const port = Number(first.endpoint.split(":")[2]);
    const reader = (await store({ port, retries: 20 }).get("app")).getReader();
    const chunks: U8[] = [(await reader.read()).value!];
    await first.cut();
    if (replaced) {
      const { mtime } = Deno.statSync(join(folder, "app"));
      await store().put("app", noise(12 * MIB, 4));
      utimesSync(join(folder, "app"), mtime!, mtime!); // as within one second
    }
    const second = await relayAgain(server.port, port);
    try {
      const rest = async (): Promise<void> => {
        for (let next = await reader.read(); !next.done; next = await reader.read()) chunks.push(next.value);
      };
      if (replaced) await assert.rejects(rest(), /it was replaced while it was read/);
      else await rest();
    } finally {
      await second.cut();
    }
    if (!replaced) assert.deepEqual(concat(chunks), bytes);
  }
});

test("sftp() gives up on a server that falls silent", async ({ server, store }) => {
  const target = store({ stallMs: 1500, connectMs: 1500, retries: 1 });
  await target.put("app", noise(10));
  const mine = server.sessions();
  assert.ok(mine.length > 0);
  for (const pid of mine) Deno.kill(pid, "SIGSTOP");
  try {
    // Its next connection gets another session, which answers.
    assert.equal((await target.head("app"))?.bytes, 10);
    const stuck = store({ stallMs: 1000, retries: 0 });
    await stuck.head("app");
    for (const pid of server.sessions()) {
      if (mine.includes(pid)) continue;
      Deno.kill(pid, "SIGSTOP");
      mine.push(pid);
    }
    await assert.rejects(
      stuck.head("app"),
      /the server gave no answer for 1 s\. Look at the network and the server/,
    );
  } finally {
    for (const pid of mine) Deno.kill(pid, "SIGCONT");
  }
});

test("sftp() closes an idle connection and makes a new one, and keeps no process alive", async (scene) => {
  const { server, folder, store } = scene;
  const short = store({ idleMs: 50 });
  await short.put("app", noise(10));
  while (!/Connection closed|Disconnected|disconnected/.test(server.log())) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.equal((await short.head("app"))?.bytes, 10);
  const program = `
    import { sftp } from ${
    JSON.stringify(fileURLToPath(new URL("../../src/store/sftp.ts", import.meta.url)))
  };
    const store = sftp({ host: "127.0.0.1", port: ${server.port}, user: "${server.user}", path: "${folder}",
      knownHosts: "${server.knownHosts}", privateKey: () => Deno.readTextFileSync("${server.keyFile}"), idleMs: 1e9 });
    console.log((await store.head("app")).bytes);`;
  const child = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "--ext=ts", "-"],
    cwd: fileURLToPath(new URL("../../", import.meta.url)),
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
    signal: AbortSignal.timeout(120_000),
  }).spawn();
  const input = child.stdin.getWriter();
  await input.write(new TextEncoder().encode(program));
  await input.close();
  const { code, stdout } = await child.output();
  assert.equal(code, 0);
  assert.equal(new TextDecoder().decode(stdout).trim(), "10");
});
