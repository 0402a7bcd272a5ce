/** Roots that are replaced as a whole, and who has the last word before the old ones are dropped. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { recover } from "../../src/collect/recover.ts";
import { register } from "../../src/collect/registry.ts";
import { type Mounts, readMounts, stage, type Staging } from "../../src/collect/staging.ts";
import { commit, type Plan, planSwap } from "../../src/collect/swap.ts";
import { scratch, testContext } from "../support.ts";
import { dir, failure, file, leftovers, restore, treeOf } from "./extract_support.ts";

const ENTRIES = [dir("data", 0o750), file("data/a", "new"), dir("data/d"), file("data/d/x", "new")];

/** A folder with things of both kinds: some that the backup has as well, some that it has not. */
function plant(at: string): void {
  fs.mkdirSync(join(at, "d/deep"), { recursive: true });
  fs.mkdirSync(join(at, "gone/more"), { recursive: true });
  for (const name of ["a", "d/x", "d/y", "d/deep/z", "gone/more/f", "stale"]) {
    fs.writeFileSync(join(at, name), "old");
    fs.utimesSync(join(at, name), 1_500_000_000, 1_500_000_000);
  }
  fs.utimesSync(at, 1_500_000_000, 1_500_000_000); // whole seconds: what is set back is exact to the millisecond
}

const IN_PLACE = { inPlace: true, conflict: "overwrite", replace: true } as const;

Deno.test("a replaced root has nothing but what the backup has; one that is taken back is as it was", async () => {
  using tmp = scratch();
  const live = tmp.join("live");
  plant(live);
  const roots = [{ path: "data", source: live }];
  const before = treeOf(live);
  const seen: string[] = [];
  const confirm = (): Promise<void> => {
    seen.push(fs.readFileSync(join(live, "a"), "utf8"));
    return Promise.reject(new Error("the other half says no"));
  };
  const error = await failure(restore(ENTRIES, { ...IN_PLACE, confirm }, roots));
  assert.match(error.message, /the other half says no/);
  assert.deepEqual(seen, ["new"]);
  assert.equal(treeOf(live), before);
  assert.deepEqual(leftovers(tmp.path), []);
  await restore(ENTRIES, { ...IN_PLACE, confirm: () => Promise.resolve(void seen.push("yes")) }, roots);
  assert.deepEqual(seen, ["new", "yes"]);
  assert.deepEqual(fs.readdirSync(live, { recursive: true }).sort(), ["a", "d", "d/x"]);
  assert.equal(fs.statSync(live).mode & 0o777, 0o750);
  assert.deepEqual(leftovers(tmp.path), []);
});

Deno.test("replace means nothing where folders are not overwritten", async () => {
  using tmp = scratch();
  const live = tmp.join("live");
  plant(live);
  const roots = [{ path: "data", source: live }];
  await restore(ENTRIES, { ...IN_PLACE, conflict: "skip" }, roots);
  assert.equal(fs.readFileSync(join(live, "stale"), "utf8"), "old");
});

/** A staging folder inside its target, as in a mount point, planned to replace what is there. */
function inside(root: string): { target: string; before: string; staging: Staging; plans: Plan[] } {
  const target = join(root, "t");
  plant(target);
  fs.mkdirSync(join(target, "lost+found"));
  fs.utimesSync(target, 1_500_000_000, 1_500_000_000);
  const before = treeOf(target);
  const mounts: Mounts = { ...readMounts(), isMount: (path) => path === target };
  const staging = stage(target, mounts);
  fs.mkdirSync(join(staging.path, "new/d"), { recursive: true });
  fs.writeFileSync(join(staging.path, "new/a"), "new");
  fs.writeFileSync(join(staging.path, "new/d/x"), "new");
  const plans = [
    planSwap(staging, { conflict: "overwrite", replace: true, asked: () => true, mounts, owners: true }),
  ];
  return { target, before, staging, plans };
}

class Death extends Error {}

Deno.test("a replaced mount point is taken back after death at any step, with what was put there meanwhile", async () => {
  let finished = false;
  for (let n = 0; !finished; n++) {
    using tmp = scratch();
    const context = testContext();
    const { target, before, staging, plans } = inside(tmp.path);
    await register(context.state, [staging.path]);
    let count = 0;
    try {
      commit([staging], plans, () => {
        if (++count > n) throw new Death();
      });
      finished = true;
    } catch (error) {
      if (!(error instanceof Death)) throw error;
    }
    // The service was started on trial and made a folder where an old file had been.
    const meddled = !finished && !fs.existsSync(join(target, "stale"));
    if (meddled) fs.mkdirSync(join(target, "stale/by-the-service"), { recursive: true });
    staging.release();
    await recover(context);
    assert.deepEqual(leftovers(tmp.path), []);
    if (finished) {
      assert.equal(n, 8);
      assert.deepEqual(fs.readdirSync(target, { recursive: true }).sort(), ["a", "d", "d/x", "lost+found"]);
    } else assert.equal(treeOf(target), before, `died at step ${n}`);
  }
});

Deno.test({
  name: "restore replaces a real mount point child by child",
  ignore: Deno.uid() !== 0,
  fn: async () => {
    using tmp = scratch();
    const live = tmp.join("live");
    fs.mkdirSync(live);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=8m,mode=0755", "tmpfs", live]);
    try {
      plant(live);
      const before = treeOf(live);
      const roots = [{ path: "data", source: live }];
      const confirm = (): Promise<void> => Promise.reject(new Error("no"));
      await failure(restore(ENTRIES, { ...IN_PLACE, confirm }, roots));
      assert.equal(treeOf(live), before);
      await restore(ENTRIES, IN_PLACE, roots);
      assert.deepEqual(fs.readdirSync(live, { recursive: true }).sort(), ["a", "d", "d/x"]);
      assert.equal(fs.statSync(live).mode & 0o777, 0o750);
    } finally {
      execFileSync("umount", ["-l", live]);
    }
  },
});
