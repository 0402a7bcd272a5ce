/** Whoever unpacks and decrypts, the system's libraries or Deno's workers: the same files, the same errors, the same promises. */
import { strict as assert } from "node:assert";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { backup, restore, store } from "../../mod.ts";
import { toBytes } from "../../src/bytes.ts";
import { expand } from "../../src/compress/expand.ts";
import { zstd } from "../../src/compress/zstd.ts";
import { age } from "../../src/encrypt/age.ts";
import type { U8 } from "../../src/stage.ts";
import { all, LIMITS, lines, pack } from "../compress/support.ts";
import { alice, archiveOf, sealedOf } from "../encrypt/support.ts";
import { identity, planOf } from "../engine/support.ts";
import { killLater, noise, scratch, testContext } from "../support.ts";

const MIB = 1024 * 1024;
const ROOT = join(import.meta.dirname!, "../..");
/** With and without the system's libraries. */
const MODES = [[], ["--deny-ffi"]];

async function failureOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    return String(error);
  }
  return assert.fail("nothing was refused");
}

Deno.test("damage in a zstd object is told the same whoever unpacks it", async () => {
  const object = await pack(zstd(), lines(9 * MIB));
  for (const at of [0.3, 0.5, 0.7, 0.9].map((part) => Math.floor(part * object.length))) {
    const damaged = object.slice();
    damaged[at]! ^= 0x55;
    const read = (): ReturnType<typeof toBytes> =>
      toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
        for (let from = 0; from < damaged.length; from += MIB) yield damaged.slice(from, from + MIB);
      });
    const told = await failureOf(all(expand({ read }, { limits: LIMITS }).read()));
    assert.match(told, /frame \d+ \(at byte \d+\) is damaged/);
    for (const workers of [0, 2]) {
      const pool = { workers, inlineBytes: 0, awaitStart: true };
      assert.equal(
        await failureOf(all(expand({ read }, { limits: LIMITS, pool }).read())),
        told,
        `byte ${at}`,
      );
    }
  }
});

Deno.test("damage in an age object is told past its first 4 MiB as before them", async () => {
  const plain = noise(6 * MIB, 3);
  const stage = age({ recipients: [alice.recipient], identities: () => alice.identity });
  const sealed = await all((await stage.run(archiveOf(plain), testContext())).body.read());
  const opened = async (bytes: U8): Promise<U8> =>
    await all((await stage.undo(sealedOf(bytes), testContext())).body.read());
  assert.deepEqual(await opened(sealed), plain);
  const chunk = 64 * 1024 + 16;
  const start = sealed.length - 96 * chunk;
  for (const number of [1, 63, 64, 65, 94, 95]) {
    const damaged = sealed.slice();
    damaged[start + number * chunk + 77]! ^= 1;
    assert.match(
      await failureOf(opened(damaged)),
      new RegExp(`it is damaged, cut or was changed after its first ${number * 64 * 1024} bytes`),
    );
  }
  assert.match(await failureOf(opened(sealed.subarray(0, -chunk))), /it is cut short after its first/);
});

/** A backup of 16 MiB, half of which can be packed. */
async function stored(folder: string): Promise<void> {
  mkdirSync(join(folder, "src"));
  writeFileSync(join(folder, "src/log"), lines(9 * MIB));
  writeFileSync(join(folder, "src/noise"), noise(7 * MIB, 1));
  writeFileSync(join(folder, "src/small"), "small");
  writeFileSync(join(folder, "key"), `${identity}\n`);
  await backup(planOf(join(folder, "src"), store.directory(join(folder, "store"))));
}

function restoring(folder: string, into: string, mode: readonly string[]): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", ...mode, "--no-check", "--no-prompt", "tasks/restore.ts", "latest", "--name", "app"]
      .concat("--from", join(folder, "store"), "--identity", join(folder, "key"))
      .concat("--into", into, "--conflict", "overwrite", "--quiet"),
    cwd: ROOT,
    stdout: "null",
    stderr: "null",
    env: { XDG_STATE_HOME: join(folder, "state"), XDG_CONFIG_HOME: join(folder, "config"), NO_COLOR: "1" },
  }).spawn();
}

function isWhole(folder: string, into: string): boolean {
  const names = readdirSync(into, { recursive: true, encoding: "utf8" });
  return ["log", "noise", "small"].every((name) => {
    const found = names.find((path) => path.endsWith(name));
    return found !== undefined &&
      readFileSync(join(into, found)).equals(readFileSync(join(folder, "src", name)));
  });
}

for (const mode of MODES) {
  const how = mode.length === 0 ? "with the system's libraries" : "without FFI, by workers";
  Deno.test(`a restore ${how} gives the files; killed at any moment it leaves the old ones or the new`, async () => {
    using tmp = scratch();
    await stored(tmp.path);
    const into = tmp.join("into");
    const started = performance.now();
    assert.equal((await restoring(tmp.path, into, mode).status).code, 0);
    const wholeMs = performance.now() - started;
    assert.ok(isWhole(tmp.path, into));
    for (const part of [0.5, 0.65, 0.8, 0.95]) {
      rmSync(into, { recursive: true });
      mkdirSync(into);
      writeFileSync(join(into, "old"), "old");
      const child = restoring(tmp.path, into, mode);
      killLater(child, part * wholeMs);
      const { success } = await child.status;
      // The next command takes back, or ends, what the dead one left.
      assert.equal((await restoring(tmp.path, into, mode).status).code, 0, `after ${part}, ${success}`);
      assert.ok(isWhole(tmp.path, into), `killed at ${part}`);
      assert.equal(readFileSync(join(into, "old"), "utf8"), "old");
      assert.deepEqual(readdirSync(tmp.path).filter((name) => name.includes(".holdfast-")), []);
    }
  });
}

Deno.test("a restore that is cancelled midway leaves nothing, and nothing goes on", async () => {
  using tmp = scratch();
  await stored(tmp.path);
  const plan = planOf(tmp.join("src"), store.directory(tmp.join("store")));
  const stop = new AbortController();
  const progress = ({ phase, bytes }: { phase: string; bytes: number }): void => {
    if (phase === "restore" && bytes > 4 * MIB) stop.abort();
  };
  const told = await failureOf(restore(plan, { into: tmp.join("into"), signal: stop.signal, progress }));
  assert.match(told, /AbortError/);
  assert.ok(!existsSync(tmp.join("into")));
  assert.deepEqual(readdirSync(tmp.path).filter((name) => name.includes(".holdfast-")), []);
  await restore(plan, { into: tmp.join("into") });
  assert.ok(isWhole(tmp.path, tmp.join("into")));
});
