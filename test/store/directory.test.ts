import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chownSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { ExistsError, NotFoundError, StoreError } from "../../src/errors.ts";
import { directory } from "../../src/store/mod.ts";
import { type Link, publish } from "../../src/store/publish.ts";
import { toBytes } from "../../src/bytes.ts";
import type { U8 } from "../../src/stage.ts";
import { bytesOf, keysOf } from "../contract/store.ts";
import { inChunks, judged, noise, scratch, sh } from "../support.ts";

const MIB = 1024 * 1024;
const CHILD = new URL("./child.ts", import.meta.url).pathname;

Deno.test("directory() needs a path", () => {
  for (const path of ["", "a\0b"]) assert.throws(() => directory(path), TypeError);
});

Deno.test("directory() makes its folder with the first write, for its owner only", async () => {
  using dir = scratch();
  const store = directory(dir.join("store"));
  assert.equal(store.url, dir.join("store"));
  assert.equal(existsSync(dir.join("store")), false);
  await store.put("a/app", noise(10));
  for (const [path, mode] of [["store", 0o700], ["store/a", 0o700], ["store/a/app", 0o600]] as const) {
    assert.equal(statSync(dir.join(path)).mode & 0o777, mode, path);
  }
});

Deno.test("directory() says that its folder, or the one above it, is missing", async () => {
  using dir = scratch();
  const deep = directory(dir.join("mnt", "store"));
  await assert.rejects(
    deep.put("app", noise(1)),
    /neither the store folder ".*mnt\/store" nor the folder above/,
  );
  await assert.rejects(deep.lock!("app.lease", "me"), /nor the folder above it exists\. Mount it/);
  const strict = directory(dir.join("store"), { create: false });
  await assert.rejects(strict.put("app", noise(1)), /the store folder ".*store" does not exist\. Mount it/);
  await assert.rejects(keysOf(strict), /does not exist/);
  assert.deepEqual(readdirSync(dir.path), []);
  writeFileSync(dir.join("file"), "");
  await assert.rejects(directory(dir.join("file")).put("app", noise(1)), StoreError);
  await assert.rejects(directory(dir.join("file")).head("app"), /is not a folder/);
});

Deno.test("directory() does not make its folder anew once it has been there", async () => {
  using dir = scratch();
  const store = directory(dir.join("store"));
  await store.put("app", noise(1));
  renameSync(dir.join("store"), dir.join("gone"));
  await assert.rejects(store.put("app2", noise(1)), /was there and is gone/);
  assert.equal(existsSync(dir.join("store")), false);
});

Deno.test("directory() put says that its folder went while it was writing", async () => {
  using dir = scratch();
  const store = directory(dir.join("store"));
  await store.put("old", noise(1));
  const body = toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
    yield noise(10);
    await Promise.resolve(rmSync(dir.join("store"), { recursive: true }));
  });
  await assert.rejects(store.put("app", body, { ifAbsent: true }), /was there and is gone/);
});

Deno.test("directory() shows and follows only regular files of a possible key", async () => {
  using dir = scratch();
  const store = directory(dir.path);
  await store.put("app", noise(10));
  mkdirSync(dir.join("folder"));
  mkdirSync(dir.join("lost+found"));
  writeFileSync(dir.join("lost+found", "app"), "x");
  symlinkSync(dir.join("app"), dir.join("link"));
  symlinkSync(dir.path, dir.join("loop"));
  symlinkSync("/nowhere", dir.join("broken"));
  sh("mkfifo pipe; touch $'\\xff\\xfe' $'line\\nbreak' 'back\\slash'", { cwd: dir.path });
  assert.deepEqual(await keysOf(store), ["app"]);
  for (const key of ["folder", "link", "broken", "pipe", "loop"]) {
    assert.equal(await store.head(key), undefined, key);
    await assert.rejects(store.get(key), NotFoundError, key);
    await store.delete(key);
    await assert.rejects(store.put(key, noise(1), { ifAbsent: true }), ExistsError, key);
  }
  await assert.rejects(store.put("folder", noise(1)), /stands in the way/);
  await assert.rejects(store.put("app/b", noise(1)), /stands in the way/);
  await assert.rejects(store.put("lost+found/app", noise(1)), TypeError);
  assert.equal(readdirSync(dir.path).length, 10);
});

Deno.test("directory() hides temporary files, and removes them a day later with the next write", async () => {
  using dir = scratch();
  const names = [
    ".app.tmp-0123456789abcdef",
    ".app.tmp-fedcba9876543210",
    ".mine.tmp-1",
    "app.tmp-0123456789abcdef",
  ];
  for (const name of names) writeFileSync(dir.join(name), "x");
  const old = new Date(Date.now() - 25 * 3600 * 1000);
  for (const name of names.filter((name) => !name.includes("fed"))) utimesSync(dir.join(name), old, old);
  const store = directory(dir.path);
  assert.deepEqual(await keysOf(store), [".mine.tmp-1", "app.tmp-0123456789abcdef"]);
  assert.equal(readdirSync(dir.path).length, 4);
  await store.put("app", noise(1));
  assert.deepEqual(readdirSync(dir.path).sort(), [...names.slice(1), "app"].sort());
});

Deno.test("directory() put flushes a large object on the way and stores it whole", async () => {
  using dir = scratch();
  const store = directory(dir.path);
  const bytes = noise(40 * MIB + 3);
  await store.put("app", inChunks(bytes, MIB), { ifAbsent: true });
  assert.ok(indexOfDifference(await bytesOf(store, "app"), bytes) === -1);
});

Deno.test("directory() put does not wait for ever for a source that cannot be cancelled", async () => {
  using dir = scratch();
  const stuck = Promise.withResolvers<void>();
  const started = Promise.withResolvers<void>();
  const body = toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
    yield noise(10);
    started.resolve();
    await stuck.promise;
  });
  const controller = new AbortController();
  const putting = directory(dir.path).put("app", body, { signal: controller.signal });
  await started.promise;
  controller.abort(new Error("Cancelled by the test"));
  await assert.rejects(putting, /Cancelled by the test/);
  assert.deepEqual(readdirSync(dir.path), []);
  stuck.resolve();
});

Deno.test("directory() get says that a file was cut while it was read", async () => {
  using dir = scratch();
  const store = directory(dir.path);
  await store.put("app", noise(3 * MIB));
  const reader = (await store.get("app")).getReader();
  await reader.read();
  truncateSync(dir.join("app"), MIB + 5);
  await assert.rejects(
    reader.read(),
    /Cannot read "app": the file was cut while it was read: it ends at byte 1048581/,
  );
});

Deno.test("directory() lock is taken over from a file that a dead run left", async () => {
  using dir = scratch();
  writeFileSync(dir.join("app.lease"), "a much longer text of a run that died");
  const lock = await directory(dir.path).lock!("app.lease", "me");
  assert.ok(lock.held);
  assert.deepEqual(await directory(dir.path).lock!("app.lease", "you"), { held: false, holder: "me" });
  await lock.release();
  assert.equal(existsSync(dir.join("app.lease")), false);
});

Deno.test("directory() lock is never held twice while holders come and go", async () => {
  using dir = scratch();
  let holders = 0;
  let wins = 0;
  await Promise.all(Array.from({ length: 8 }, async (_, i) => {
    const store = directory(dir.path);
    for (let round = 0; round < 40; round++) {
      const lock = await store.lock!("app.lease", `run ${i}`);
      if (!lock.held) continue;
      assert.equal(++holders, 1);
      wins++;
      await new Promise((resolve) => setTimeout(resolve, 1));
      assert.equal(holders--, 1);
      await lock.release();
    }
  }));
  assert.ok(wins >= 8, `${wins} wins`);
});

/** What a file system without hard links answers. */
function noLinks(code: string): Link {
  return () => Promise.reject(Object.assign(new Error("made to fail"), { code }));
}

Deno.test("publish() without hard links lets exactly one of many win", async () => {
  using dir = scratch();
  const root = { path: dir.path, create: true, seen: true };
  for (const code of ["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"]) {
    const names = Array.from({ length: 16 }, (_, i) => `${code}-${i}`);
    for (const name of names) writeFileSync(dir.join(name), name);
    const results = await Promise.all(
      names.map((name) => publish(root, dir.join(name), dir.join(code), true, noLinks(code))),
    );
    assert.equal(results.filter((result) => result === "done").length, 1);
    const winner = names[results.indexOf("done")]!;
    assert.equal(Deno.readTextFileSync(dir.join(code)), winner);
    writeFileSync(dir.join("again"), winner);
    assert.equal(await publish(root, dir.join("again"), dir.join(code), true, noLinks(code)), "done");
  }
  const shown = await keysOf(directory(dir.path));
  assert.deepEqual(shown.filter((key) => key.includes("lease")), []);
  await assert.rejects(publish(root, dir.join("again"), dir.join("x"), true, noLinks("EIO")), /made to fail/);
});

Deno.test("publish() whose answer got lost finds its own file and succeeds", async () => {
  using dir = scratch();
  const root = { path: dir.path, create: true, seen: true };
  writeFileSync(dir.join("temp"), noise(2 * MIB));
  const lossy: Link = (from, to) => {
    linkSync(from, to);
    return Promise.resolve(linkSync(from, to));
  };
  assert.equal(await publish(root, dir.join("temp"), dir.join("app"), true, lossy), "done");
  writeFileSync(dir.join("other"), noise(2 * MIB, 7));
  assert.equal(await publish(root, dir.join("other"), dir.join("app"), true, lossy), "exists");
});

Deno.test("directory() put with ifAbsent has one winner across processes", async () => {
  using dir = scratch();
  const start = Date.now() + 1500;
  const children = Array.from({ length: 3 }, (_, i) =>
    new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-prompt", CHILD, "race", dir.path, String(i + 1), String(start)],
      stdout: "piped",
      stderr: "inherit",
    }).output());
  const won = (await Promise.all(children)).map(({ stdout }) =>
    new TextDecoder().decode(stdout).trim().split(" ")
  );
  const store = directory(dir.path);
  for (let round = 0; round < 20; round++) {
    const winners = won.flatMap((words, i) => words[round] === "won" ? [i + 1] : []);
    assert.equal(winners.length, 1, `round ${round}: ${JSON.stringify(won.map((words) => words[round]))}`);
    assert.deepEqual(await bytesOf(store, `app${round}`), noise(200_000, winners[0]));
  }
  assert.deepEqual(readdirSync(dir.path).filter((name) => name.startsWith(".")), []);
});

Deno.test("directory() works with permissions for its folder alone", () => {
  using dir = scratch();
  const allow = [`--allow-read=${dir.path}`, `--allow-write=${dir.path}`];
  const out = execFileSync(Deno.execPath(), ["run", "--no-prompt", ...allow, CHILD, "narrow", dir.path]);
  assert.equal(new TextDecoder().decode(out).trim(), "app 1000 undefined");
});

asRoot("directory() put on a full disk says so and leaves nothing behind", ["mount", "umount"], async () => {
  await onTmpfs("size=8m", async (path) => {
    const store = directory(path);
    await store.put("old", noise(MIB));
    for (const ifAbsent of [true, false]) {
      for (const size of [7 * MIB + 1, 20 * MIB, 40 * MIB]) {
        await assert.rejects(store.put("app", inChunks(noise(size), MIB), { ifAbsent }), (error) => {
          assert.ok(error instanceof StoreError);
          assert.equal(error.retryable, false);
          assert.match(
            error.message,
            /^Cannot write "app": no space left on ".*"\. Free some space there, or prune$/,
          );
          return true;
        });
        assert.deepEqual(readdirSync(path), ["old"]);
      }
    }
    assert.deepEqual(await bytesOf(store, "old"), noise(MIB));
    assert.equal(await store.space!(), 7 * MIB);
    writeFileSync(`${path}/filler`, noise(7 * MIB));
    const lock = await store.lock!("app.lease", "a prune must be able to begin");
    assert.ok(lock.held);
    await lock.release();
    await store.delete("old");
  });
});

asRoot("directory() on a read-only file system says so", ["mount", "umount"], async () => {
  await onTmpfs("size=1m", async (path) => {
    const store = directory(path);
    await store.put("app", noise(10));
    execFileSync("mount", ["-o", "remount,ro", path]);
    await assert.rejects(
      store.put("app2", noise(1)),
      /Cannot write "app2": ".*" is mounted read-only\. Mount it/,
    );
    await assert.rejects(store.delete("app"), /Cannot delete "app": ".*" is mounted read-only/);
    await assert.rejects(
      store.lock!("app.lease", "me"),
      /Cannot lock "app\.lease": ".*" is mounted read-only/,
    );
    assert.deepEqual(await bytesOf(store, "app"), noise(10));
  });
});

asRoot("directory() says that the system denies access", ["setpriv"], () => {
  using dir = scratch();
  // Root without its capabilities is a user like any other: a file of someone else's is closed to it.
  writeFileSync(dir.join("app"), "x", { mode: 0o600 });
  chownSync(dir.join("app"), 65534, 65534);
  const args = ["--inh-caps=-all", "--bounding-set=-all", Deno.execPath(), "run", "-A", "--no-prompt"];
  const out = execFileSync("setpriv", [...args, CHILD, "denied", dir.path]);
  assert.match(
    new TextDecoder().decode(out),
    /^Cannot read "app": the system denies it\. Give this user read and write access to ".*"\n$/,
  );
});

/** A test that needs root: without it, it fails in CI and is reported as ignored elsewhere. */
function asRoot(name: string, tools: readonly string[], run: () => void | Promise<void>): void {
  if (Deno.uid() === 0 || Deno.env.get("CI") !== undefined) judged(name, tools, run);
  else Deno.test({ name: `${name} [needs root]`, ignore: true, fn: run });
}

/** Runs a test on a small file system of its own. */
async function onTmpfs(options: string, run: (path: string) => Promise<void>): Promise<void> {
  using dir = scratch();
  execFileSync("mount", ["-t", "tmpfs", "-o", options, "tmpfs", dir.path], { stdio: "pipe" });
  try {
    await run(dir.path);
  } finally {
    execFileSync("umount", [dir.path]);
  }
}

function indexOfDifference(a: U8, b: U8): number {
  return a.length === b.length ? a.findIndex((byte, i) => byte !== b[i]) : Math.min(a.length, b.length);
}
