/** A restore that is killed, runs out of disk, or may not write, leaves the old tree or the new one. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { extract, recover } from "../../src/collect/extract.ts";
import { readMounts } from "../../src/collect/staging.ts";
import { StoreError } from "../../src/errors.ts";
import type { Entry } from "../../src/stage.ts";
import { noise, scratch, sh, testContext } from "../support.ts";
import {
  archive,
  dir,
  failure,
  file,
  hard,
  leftovers,
  restore,
  streamed,
  treeOf,
} from "../collect/extract_support.ts";
import { folderState, newTree, oldTree } from "./restore_child.ts";

const ROOT = Deno.uid() === 0;
const KILLS = Deno.env.get("HOLDFAST_SOAK") === "1" ? 400 : 100;

/** So many at a time, each with targets of its own: a kill is mostly waiting. */
const LANES = 2;

Deno.test("restore killed at 100 random moments leaves the old tree or the new, after the next start", async () => {
  using tmp = scratch();
  const lanes = Array.from({ length: LANES }, (_, lane) => kills(tmp.join(`lane${lane}`), lane));
  const all = await Promise.all(lanes);
  const sum = (key: keyof Counts): number => all.reduce((sum, counts) => sum + counts[key], 0);
  assert.ok(sum("old") > 0 && sum("rolledBack") + sum("removed") > 0, JSON.stringify(all));
  if (Deno.env.get("HOLDFAST_SOAK") === "1") {
    await Deno.stderr.write(new TextEncoder().encode(JSON.stringify(all) + "\n"));
  }
});

/** What the kills of one lane came upon. */
type Counts = Record<"rolledBack" | "finished" | "removed" | "old" | "new", number>;

/** Runs a restore in a process; gives how long it took from when it said that it begins. */
async function run(
  state: string,
  targets: readonly string[],
  killAfterMs: number | undefined,
): Promise<number> {
  const child = new URL("./restore_child.ts", import.meta.url).pathname;
  const process = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "--no-prompt", child, state, ...targets],
    stdout: "piped",
  }).spawn();
  const kill = (): void => {
    try {
      process.kill("SIGKILL");
    } catch { /* it was quicker */ }
  };
  const reader = process.stdout.getReader();
  await reader.read();
  const start = performance.now();
  let timer: ReturnType<typeof setTimeout> | undefined;
  if (killAfterMs !== undefined) timer = setTimeout(kill, killAfterMs);
  await process.status;
  clearTimeout(timer);
  await reader.cancel();
  return performance.now() - start;
}

/** The kills of one lane, in a folder of its own. */
async function kills(folder: string, lane: number): Promise<Counts> {
  const targets = [`${folder}/one`, `${folder}/two`];
  const state = `${folder}/state`;
  const look = (): string => targets.map((target) => treeOf(target)).join("\n");
  function reset(): void {
    for (const target of targets) fs.rmSync(target, { recursive: true, force: true });
    targets.forEach(oldTree);
  }
  fs.mkdirSync(folder);
  reset();
  const before = look();
  const wholeMs = await run(state, targets, undefined);
  const after = look();
  assert.notEqual(after, before);
  const context = { ...testContext(), state: folderState(state) };
  const counts: Counts = { rolledBack: 0, finished: 0, removed: 0, old: 0, new: 0 };
  const random = noise(KILLS * 4, 42);
  for (let i = lane; i < KILLS; i += LANES) {
    reset();
    const fraction = new DataView(random.buffer).getUint32(i * 4) / 2 ** 32;
    await run(state, targets, fraction * wholeMs);
    const found = await recover(context);
    for (const key of ["rolledBack", "finished", "removed"] as const) {
      counts[key] += found[key].length > 0 ? 1 : 0;
    }
    const now = look();
    assert.ok(
      now === before || now === after,
      `kill ${i} after ${(fraction * wholeMs).toFixed(1)} ms of ${wholeMs.toFixed(1)}`,
    );
    counts[now === before ? "old" : "new"]++;
    // What the state could not know yet lies beside the target, and the next restore there takes it away.
    await recover(context, targets);
    assert.deepEqual(leftovers(folder), []);
  }
  return counts;
}

/** Runs work on a fresh tmpfs of this many bytes; needs root. */
function onTmpfs(name: string, size: string, work: (mount: string, outside: string) => Promise<void>): void {
  Deno.test({
    name: ROOT ? name : `${name} [needs root to mount a tmpfs]`,
    ignore: !ROOT,
    fn: async () => {
      using tmp = scratch();
      fs.mkdirSync(tmp.join("mnt"));
      sh(`mount -t tmpfs -o size=${size},mode=0755 tmpfs '${tmp.join("mnt")}'`);
      try {
        await work(tmp.join("mnt"), tmp.path);
      } finally {
        sh(`umount -l '${tmp.join("mnt")}'`);
      }
    },
  });
}

onTmpfs("restore into a mount point stages inside it and merges", "8m", async (mount, outside) => {
  fs.writeFileSync(`${mount}/old`, "old");
  fs.utimesSync(mount, 1_400_000_000, 1_400_000_000);
  const before = treeOf(mount);
  await failure(restore(archive([file("f")], { end: new Error("cut") }), { into: mount }));
  assert.equal(treeOf(mount), before);
  let staged: string[] = [];
  const entries = archive([file("f"), dir("d"), file("d/x")]);
  const spied = {
    ...entries,
    entries: async function* (): AsyncGenerator<Entry> {
      yield* entries.entries();
      staged = leftovers(outside);
    },
  };
  await restore(spied, { into: mount });
  assert.equal(staged.length, 1);
  assert.ok(staged[0]!.startsWith(`${mount}/.holdfast-`), staged[0]);
  assert.deepEqual(fs.readdirSync(mount).sort(), ["d", "f", "old"]);
  assert.deepEqual(leftovers(outside), []);
});

onTmpfs("restore into an empty mount point works", "8m", async (mount) => {
  await restore([file("f"), dir("d", 0o700)], { into: mount });
  assert.deepEqual(fs.readdirSync(mount).sort(), ["d", "f"]);
});

onTmpfs("restore into a bind mount of the same file system works", "8m", async (mount) => {
  fs.mkdirSync(`${mount}/real`);
  fs.mkdirSync(`${mount}/bound`);
  sh(`mount --bind '${mount}/real' '${mount}/bound'`);
  try {
    assert.equal(readMounts().isMount(`${mount}/bound`), true);
    await restore([file("f")], { into: `${mount}/bound` });
    fs.writeFileSync(`${mount}/real/g`, "old");
    await restore([file("g", "new")], { into: `${mount}/bound`, conflict: "overwrite" });
    assert.equal(fs.readFileSync(`${mount}/real/g`, "utf8"), "new");
  } finally {
    sh(`umount '${mount}/bound'`);
  }
});

onTmpfs(
  "restore across a mount point inside the target is refused before anything changes",
  "8m",
  async (mount, outside) => {
    fs.writeFileSync(`${mount}/precious`, "p");
    const before = treeOf(outside, false);
    for (const conflict of ["error", "overwrite"] as const) {
      const error = await failure(restore([dir("mnt"), file("mnt/f")], { into: outside, conflict }));
      assert.match(error.message, /another file system/);
    }
    // A file where the mount point is: moving it aside, and then removing it, would empty the other file system.
    const error = await failure(restore([file("mnt")], { into: outside, conflict: "overwrite" }));
    assert.match(error.message, /is a mount point\. Unmount it first/);
    fs.mkdirSync(`${outside}/up`);
    assert.equal(treeOf(outside, false).replace(/^d .* up -> \n/m, ""), before);
  },
);

onTmpfs("restore onto a full disk says so, and leaves the target as it was", "2m", async (mount, outside) => {
  fs.mkdirSync(`${mount}/out`);
  fs.writeFileSync(`${mount}/out/f`, "old");
  const before = treeOf(`${mount}/out`);
  const big = [file("f", "new"), streamed("big", Array.from({ length: 4 }, () => noise(1 << 20)))];
  const full = await failure(restore(archive(big), { into: `${mount}/out`, conflict: "overwrite" }));
  assert.ok(full instanceof StoreError);
  assert.match(full.message, /"big": the disk is full\. The target is as it was/);
  const many = Array.from({ length: 600 }, (_, i) => file(`s${i}`, noise(5000)));
  assert.match((await failure(restore(archive(many), { into: `${mount}/out` }))).message, /the disk is full/);
  // With an index it is known before the first byte.
  const early = await failure(
    restore(archive(big, { index: true }), { into: `${mount}/out`, conflict: "overwrite" }),
  );
  assert.match(early.message, /4\.0 MiB are needed and .* are free/);
  // Not a byte is left: not even for the folder that it would be put together in.
  assert.throws(() => fs.writeFileSync(`${mount}/fill`, noise(3 << 20)), /ENOSPC/);
  const none = await failure(restore([file("x")], { into: `${mount}/fresh` }));
  assert.match(none.message, /fresh": the disk is full\. The target is as it was; free space/);
  assert.equal(treeOf(`${mount}/out`), before);
  assert.deepEqual(leftovers(outside), []);
});

onTmpfs(
  "restore in place over two file systems takes both back when one fails",
  "2m",
  async (mount, outside) => {
    const roots = [{ path: "a", source: `${outside}/a` }, { path: "b", source: `${mount}/b` }];
    oldTree(`${outside}/a`);
    oldTree(`${mount}/b`);
    const look = (): string => treeOf(`${outside}/a`) + treeOf(`${mount}/b`);
    const before = look();
    const entries = [...newTree("a"), ...newTree("b"), file("b/huge", noise(3 << 20))];
    assert.match(
      (await failure(restore(entries, { inPlace: true, conflict: "overwrite" }, roots))).message,
      /disk is full/,
    );
    assert.equal(look(), before);
    await restore(
      [...newTree("a", 20), ...newTree("b", 20)],
      { inPlace: true, conflict: "overwrite" },
      roots,
    );
    assert.equal(fs.readFileSync(`${mount}/b/swap`, "utf8"), "a file now");
    assert.equal(fs.readFileSync(`${outside}/a/swap`, "utf8"), "a file now");
    assert.deepEqual(leftovers(outside), []);
  },
);

Deno.test({
  name: ROOT ? "restore as an ordinary user" : "restore as an ordinary user [needs root to become one]",
  ignore: !ROOT,
  fn: () => {
    using tmp = scratch();
    fs.chmodSync(tmp.path, 0o755);
    const child = new URL("./restore_user.ts", import.meta.url).pathname;
    // The bundle spares the user the right to read this folder and the package cache.
    sh(
      `'${Deno.execPath()}' bundle -q --no-check --platform deno --external ssh2 -o '${
        tmp.join("user.js")
      }' '${child}'`,
    );
    sh(`cp '${Deno.execPath()}' '${tmp.join("deno")}'`);
    // Without all permissions the mount table cannot be read, and staging folders are made inside.
    for (const flags of ["--allow-read --allow-write", "-A"]) {
      sh(
        `rm -rf '${tmp.join("home")}' && mkdir -m 755 '${tmp.join("home")}' && chown 65534:65534 '${
          tmp.join("home")
        }'`,
      );
      const out = sh(
        `cd / && HOME='${tmp.join("home")}' DENO_DIR='${tmp.join("home", "cache")}' ` +
          "setpriv --reuid=65534 --regid=65534 --clear-groups " +
          `'${tmp.join("deno")}' run ${flags} --no-prompt --cached-only --no-remote '${
            tmp.join("user.js")
          }' '${tmp.path}' 2>&1 || true`,
      );
      assert.match(new TextDecoder().decode(out), /all fine/);
    }
  },
});

Deno.test("restore beside a leftover of a dead restore takes it away", async () => {
  using tmp = scratch();
  const dead = tmp.join(".out.holdfast-00000000000000aa");
  fs.mkdirSync(`${dead}/new`, { recursive: true });
  fs.chmodSync(dead, 0o700);
  fs.writeFileSync(`${dead}/owner`, JSON.stringify({ target: tmp.join("out"), lead: dead, pid: 1 }));
  await extract(archive([file("f"), hard("g", "f")]), testContext({ want: { into: tmp.join("out") } }));
  assert.deepEqual(fs.readdirSync(tmp.path), ["out"]);
});
