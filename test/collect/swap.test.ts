/** A swap that dies at any step, and a roll back that dies at any step, end with the old tree or the new. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { join } from "node:path";
import { readJournal, rollBack } from "../../src/collect/journal.ts";
import { recover } from "../../src/collect/recover.ts";
import { register } from "../../src/collect/registry.ts";
import { openDisk } from "../../src/collect/disk.ts";
import { readMounts, removeStaging, stage, type Staging } from "../../src/collect/staging.ts";
import { commit, type Plan, planSwap } from "../../src/collect/swap.ts";
import type { Context } from "../../src/stage.ts";
import { scratch, type Seen, testContext } from "../support.ts";
import { leftovers, treeOf } from "./extract_support.ts";

class Death extends Error {}

/** Writes files ("a/b": text), folders ("a/": mode) and links ("a -> b"); every time is a whole number of seconds. */
function plant(top: string, things: Readonly<Record<string, string | number>>): void {
  fs.mkdirSync(top, { recursive: true });
  const names = Object.keys(things);
  for (const name of names) {
    const path = join(top, name);
    if (name.endsWith("/")) fs.mkdirSync(path, { recursive: true });
    else if (typeof things[name] === "string" && things[name].startsWith("-> ")) {
      fs.symlinkSync(things[name].slice(3), path);
    } else fs.writeFileSync(path, String(things[name]));
  }
  let time = 1_600_000_000;
  for (const name of names.toReversed()) {
    const path = join(top, name);
    if (name.endsWith("/")) fs.chmodSync(path, things[name] as number);
    fs.lutimesSync(path, ++time, time);
  }
  fs.utimesSync(top, 1_500_000_000, 1_500_000_000);
}

const OLD = {
  "both/": 0o750,
  "both/keep": "old keep",
  "both/file": "old file",
  "both/deep/": 0o700,
  "both/deep/file": "old deep",
  "folder/": 0o711,
  "folder/x": "old x",
  "folder/y/": 0o700,
  "file": "old",
  "link": "-> both/file",
  "only-old": "stays",
};

const NEW = {
  "both/": 0o705,
  "both/file": "new file",
  "both/deep/": 0o555,
  "both/deep/file": "new deep",
  "both/deep/more/": 0o755,
  "both/deep/more/f": "new",
  "folder": "now a file",
  "file/": 0o755,
  "file/inside": "now a folder",
  "link/": 0o755,
  "link/f": "no longer a link",
  "only-new/": 0o700,
  "only-new/f": "1",
  "z": "2",
};

interface Scene {
  readonly context: Context;
  readonly targets: string[];
  readonly stagings: Staging[];
  readonly plans: Plan[];
}

type Old = Readonly<Record<string, string | number>> | undefined;

/** One or two places, staged and planned. */
function scene(root: string, olds: readonly Old[], registerIt = true): Promise<Scene> {
  const mounts = readMounts();
  const context = testContext();
  const targets = olds.map((_, i) => join(root, `t${i}`));
  const stagings: Staging[] = [];
  olds.forEach((old, i) => {
    if (old) plant(targets[i]!, old);
    const staging = stage(targets[i]!, mounts, stagings[0]?.path);
    plant(join(staging.path, "new"), NEW);
    fs.chmodSync(join(staging.path, "new"), 0o775);
    stagings.push(staging);
  });
  const plans = stagings.map((one) =>
    planSwap(one, { conflict: "overwrite", asked: () => true, mounts, owners: true })
  );
  const ready = { context, targets, stagings, plans };
  return registerIt
    ? register(context.state, stagings.map(({ path }) => path)).then(() => ready)
    : Promise.resolve(ready);
}

/** Dies before the n-th step. */
function dyingAt(n: number): (what: string) => void {
  let count = 0;
  return () => {
    if (++count > n) throw new Death(`step ${n}`);
  };
}

function dies(work: () => void): boolean {
  try {
    work();
    return false;
  } catch (error) {
    if (!(error instanceof Death)) throw error;
    return true;
  }
}

const looks = (targets: readonly string[]): string => targets.map((target) => treeOf(target)).join("\n");

const scenes: Record<string, readonly Old[]> = {
  "a merge": [OLD],
  "an absent target": [undefined],
  "an empty target": [{}],
  "two places": [OLD, undefined],
  "three places": [{}, OLD, OLD],
};

/** Without the C library, and with it. */
const ways = { "": undefined, ", by exchanges": openDisk } as const;

for (const [name, olds, how, open] of scenesBothWays()) {
  Deno.test(`swap of ${name} is taken back after death at any step${how}`, async () => {
    using disk = open?.();
    let after = "";
    let finished = false;
    for (let n = 0; !finished; n += olds.length > 2 ? 4 : 1) {
      using tmp = scratch();
      const { context, targets, stagings, plans } = await scene(tmp.path, olds);
      const before = looks(targets);
      finished = !dies(() => commit(stagings, plans, dyingAt(n), disk));
      for (const staging of stagings) staging.release();
      const found = await recover(context);
      if (finished) {
        assert.ok(n >= 2, `${n} steps`);
        assert.deepEqual(found.finished, [targets[0]]);
        after = looks(targets);
        assert.notEqual(after, before);
      } else {
        assert.deepEqual(found.rolledBack, [targets[0]]);
        assert.equal(looks(targets), before, `died at step ${n}`);
      }
      assert.deepEqual(leftovers(tmp.path), []);
      assert.deepEqual(await recover(context), { rolledBack: [], finished: [], removed: [] });
    }
    assert.match(after, /only-new/);
  });
}

function* scenesBothWays(): Generator<[string, readonly Old[], string, typeof openDisk | undefined]> {
  for (const [name, olds] of Object.entries(scenes)) {
    for (const [how, open] of Object.entries(ways)) {
      if (open === undefined || olds.includes(OLD) && olds.length < 3) yield [name, olds, how, open];
    }
  }
}

Deno.test("swap by exchanges: at every step each thing that is replaced stands in its place, the old one or the new", async () => {
  using tmp = scratch();
  using disk = openDisk();
  assert.ok(disk.raw, "the C library cannot be opened");
  const { targets, stagings, plans } = await scene(tmp.path, [OLD]);
  const replaced = plans.flatMap(({ moves }) =>
    moves.flatMap(({ to, old }) => old === undefined ? [] : [to])
  );
  assert.deepEqual(replaced.map((path) => path.slice(targets[0]!.length)).sort(), [
    "/both/deep/file",
    "/both/file",
    "/file",
    "/folder",
    "/link",
  ]);
  const present = (what: string): void => {
    for (const path of replaced) {
      assert.ok(fs.lstatSync(path, { throwIfNoEntry: false }), `${path} at ${what}`);
    }
  };
  let exchanges = 0;
  const counting = {
    ...disk,
    exchange: (one: string, other: string): boolean => {
      exchanges++;
      return disk.exchange(one, other);
    },
  };
  commit(stagings, plans, present, counting);
  assert.equal(exchanges, replaced.length);
  assert.equal(fs.readFileSync(join(targets[0]!, "folder"), "utf8"), "now a file");
  // And back: a look between any two steps finds them all as well.
  rollBack(readJournal(stagings[0]!.path)!, present, disk);
  assert.equal(fs.readFileSync(join(targets[0]!, "folder", "x"), "utf8"), "old x");
  assert.equal(exchanges, replaced.length);
  for (const staging of stagings) removeStaging(staging, true);
});

Deno.test("an exchange that died is taken back by who cannot exchange, and never by guess", async () => {
  for (const foreign of [false, true]) {
    using tmp = scratch();
    using disk = openDisk();
    const { context, targets, stagings, plans } = await scene(tmp.path, [OLD]);
    const before = looks(targets);
    let dead = false;
    const dying = (what: string): void => {
      if (what.startsWith("aside")) dead = true;
      if (dead) throw new Death(what);
    };
    assert.ok(dies(() => commit(stagings, plans, dying, disk)));
    const one = plans[0]!.moves.find(({ inodes }) => inodes)!;
    stagings[0]!.release();
    if (foreign) {
      // The old thing's inode is another: on a file system whose numbers do not last, nothing tells which is which.
      fs.renameSync(one.from!, tmp.join("kept"));
      fs.writeFileSync(one.from!, "not what was there");
      await assert.rejects(recover(context, targets), /neither the old thing nor the new one/);
      fs.renameSync(tmp.join("kept"), one.from!);
    }
    assert.deepEqual((await recover(context)).rolledBack, targets);
    assert.equal(looks(targets), before);
  }
});

Deno.test("swap is taken back although taking back dies at any step as well", async () => {
  using disk = openDisk();
  const all = { "a merge": [OLD], "an empty target": [{}], "a merge by exchanges": [OLD] } as typeof scenes;
  for (const [name, olds] of Object.entries(all)) {
    const how = name.endsWith("exchanges") ? disk : undefined;
    for (let n = how ? 2 : 1; n < 40; n += how ? 6 : 2) {
      let whole = false;
      for (let m = 0; !whole; m += 3) {
        using tmp = scratch();
        const { context, targets, stagings, plans } = await scene(tmp.path, olds);
        const before = looks(targets);
        const died = dies(() => commit(stagings, plans, dyingAt(n), how));
        for (const staging of stagings) staging.release();
        if (!died) break;
        for (let again = 0; again < 2; again++) {
          try {
            await recover(context, targets, dyingAt(m));
            whole = true;
          } catch (error) {
            if (!(error instanceof Death)) throw error;
          }
        }
        await recover(context);
        assert.equal(looks(targets), before, `${name}: died at ${n}, then at ${m}`);
        assert.deepEqual(leftovers(tmp.path), []);
      }
    }
  }
});

Deno.test("recover() finds a leftover beside the target that this host's state does not know", async () => {
  using tmp = scratch();
  const { context, targets, stagings, plans } = await scene(tmp.path, [OLD], false);
  const before = looks(targets);
  assert.ok(dies(() => commit(stagings, plans, dyingAt(4))));
  stagings[0]!.release();
  assert.deepEqual((await recover(context)).rolledBack, []);
  assert.deepEqual((await recover(context, targets)).rolledBack, targets);
  assert.equal(looks(targets), before);
});

Deno.test("recover() leaves a restore alone whose process lives", async () => {
  using tmp = scratch();
  const { context, targets, stagings, plans } = await scene(tmp.path, [OLD]);
  assert.ok(dies(() => commit(stagings, plans, dyingAt(4))));
  const half = looks(targets);
  assert.deepEqual(await recover(context, targets), { rolledBack: [], finished: [], removed: [] });
  assert.equal(looks(targets), half);
  stagings[0]!.release();
  assert.deepEqual((await recover(context, targets)).rolledBack, targets);
});

Deno.test("recover() removes what was only staged", async () => {
  using tmp = scratch();
  const { context, targets, stagings } = await scene(tmp.path, [OLD, OLD]);
  const before = looks(targets);
  for (const staging of stagings) staging.release();
  assert.deepEqual((await recover(context)).removed, targets);
  assert.equal(looks(targets), before);
  assert.deepEqual(leftovers(tmp.path), []);
});

Deno.test("recover() copes with a death between any two calls that make a staging folder", async () => {
  using tmp = scratch();
  const target = tmp.join("t");
  const name = tmp.join(".t.holdfast-0123456789abcdef");
  fs.mkdirSync(name, 0o700);
  await recover(testContext(), [target]);
  assert.deepEqual(leftovers(tmp.path), []);
  for (const text of ["", '{"tar']) {
    fs.mkdirSync(name, 0o700);
    fs.writeFileSync(join(name, "owner"), text);
    await recover(testContext(), [target]);
    assert.deepEqual(leftovers(tmp.path), []);
  }
});

Deno.test("recover() does not believe an unknown journal that reaches beyond its target", async () => {
  for (const hostile of ["to", "from", "old", "folder", "stagings", "dots"]) {
    using tmp = scratch();
    plant(tmp.join("victim"), { secret: "s" });
    const { targets, stagings, plans } = await scene(tmp.path, [OLD], false);
    const seen: Seen = { warnings: [], infos: [] };
    dies(() => commit(stagings, plans, dyingAt(3)));
    const file = join(stagings[0]!.path, "journal");
    const lines = fs.readFileSync(file, "utf8").trimEnd().split("\n").map((line) => JSON.parse(line));
    const victim = tmp.join("victim");
    if (hostile === "stagings") lines[0].stagings.push(victim);
    else if (hostile === "folder") lines.at(-1).folder = victim;
    else if (hostile === "dots") lines[1].to = `${targets[0]}/../victim/secret`;
    else lines[1][hostile] = join(victim, "secret");
    fs.writeFileSync(file, lines.map((line) => JSON.stringify(line) + "\n").join(""));
    stagings[0]!.release();
    const before = treeOf(tmp.path);
    await recover(testContext({ seen }), targets);
    assert.equal(treeOf(tmp.path), before, hostile);
    assert.deepEqual(seen.warnings.map(({ kind }) => kind), ["leftover"]);
  }
});

Deno.test("recover() keeps the old things of a staging folder whose journal is out of reach", async () => {
  using tmp = scratch();
  const { context, stagings, plans } = await scene(tmp.path, [{}, OLD]);
  assert.ok(dies(() => commit(stagings, plans, dyingAt(6))));
  for (const staging of stagings) staging.release();
  fs.renameSync(stagings[0]!.path, tmp.join("unmounted"));
  const second = join(stagings[1]!.path, "old");
  const olds = fs.readdirSync(second);
  assert.ok(olds.length > 0);
  await recover(context);
  assert.deepEqual(fs.readdirSync(second), olds);
});

Deno.test("recover() says so when a journal is damaged, and removes nothing", async () => {
  for (const [cut, short] of [[-1, undefined], [undefined, -40], [0, undefined]]) {
    using tmp = scratch();
    const { context, targets, stagings, plans } = await scene(tmp.path, [OLD]);
    dies(() => commit(stagings, plans, dyingAt(5)));
    stagings[0]!.release();
    const file = join(stagings[0]!.path, "journal");
    const lines = fs.readFileSync(file, "utf8").trimEnd().split("\n");
    fs.writeFileSync(file, lines.slice(0, cut).join("\n").slice(0, short));
    const before = treeOf(tmp.path);
    // Only a restore into that very target is stopped by it.
    const seen: Seen = { warnings: [], infos: [] };
    await recover({ ...testContext({ seen }), state: context.state }, [tmp.join("elsewhere")]);
    assert.match(seen.warnings[0]!.message, /journal is damaged/);
    await assert.rejects(recover(context, targets), /journal is damaged/);
    assert.equal(treeOf(tmp.path), before);
  }
});

Deno.test("commit() refuses when something appears at a target after the plan was made", async () => {
  using tmp = scratch();
  const { context, targets, stagings, plans } = await scene(tmp.path, [OLD]);
  fs.writeFileSync(join(targets[0]!, "z"), "somebody else's");
  assert.throws(() => commit(stagings, plans), /appeared while the restore was under way/);
  stagings[0]!.release();
  await recover(context);
  assert.equal(fs.readFileSync(join(targets[0]!, "z"), "utf8"), "somebody else's");
  assert.equal(fs.readFileSync(join(targets[0]!, "file"), "utf8"), "old");
});

Deno.test("removeStaging() that dies at any step never turns a finished restore into one to take back", async () => {
  for (const finished of [true, false]) {
    let whole = false;
    for (let n = 0; !whole; n++) {
      using tmp = scratch();
      const { context, targets, stagings, plans } = await scene(tmp.path, [OLD]);
      const [staging] = stagings;
      const before = looks(targets);
      if (finished) commit(stagings, plans);
      else {
        dies(() => commit(stagings, plans, dyingAt(6)));
        rollBack(readJournal(staging!.path)!);
      }
      const after = looks(targets);
      assert.equal(after === before, !finished);
      whole = !dies(() => removeStaging(staging!, !finished, dyingAt(n)));
      staging!.release();
      await recover(context, targets);
      assert.equal(looks(targets), after, `finished: ${finished}, died at ${n}`);
      assert.deepEqual(leftovers(tmp.path), []);
    }
  }
});

Deno.test("recover() ends a restore of two places when it comes across the second one first", async () => {
  using tmp = scratch();
  const { context, targets, stagings, plans } = await scene(tmp.path, [OLD, OLD], false);
  const before = looks(targets);
  dies(() => commit(stagings, plans, dyingAt(15)));
  for (const staging of stagings) staging.release();
  await register(context.state, [stagings[1]!.path]);
  await recover(context);
  assert.equal(looks(targets), before);
  assert.deepEqual(leftovers(tmp.path), []);
});

Deno.test("recover() leaves alone what another user, or an open folder, puts beside a target", async () => {
  for (
    const change of [
      (path: string) => fs.chownSync(path, 65534, 65534),
      (path: string) => fs.chmodSync(path, 0o755),
    ]
  ) {
    using tmp = scratch();
    const { targets, stagings, plans } = await scene(tmp.path, [OLD], false);
    dies(() => commit(stagings, plans, dyingAt(4)));
    stagings[0]!.release();
    change(stagings[0]!.path);
    const before = treeOf(tmp.path);
    const seen: Seen = { warnings: [], infos: [] };
    await recover(testContext({ seen }), targets);
    assert.equal(treeOf(tmp.path), before);
    assert.deepEqual(seen.warnings.map(({ kind }) => kind), ["leftover"]);
  }
});

for (const [how, open] of Object.entries(ways)) {
  Deno.test(`rollBack() of a swap that had ended is taken back to the end, wherever it dies${how}`, async () => {
    using disk = open?.();
    for (let n = 0, whole = false; !whole; n += 2) {
      using tmp = scratch();
      const { context, targets, stagings, plans } = await scene(tmp.path, [OLD]);
      const before = looks(targets);
      commit(stagings, plans);
      whole = !dies(() => rollBack(readJournal(stagings[0]!.path)!, dyingAt(n), disk));
      stagings[0]!.release();
      await recover(context);
      assert.equal(looks(targets), before, `died at ${n}`);
    }
  });
}
