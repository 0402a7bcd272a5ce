import assert from "node:assert/strict";
import * as fs from "node:fs";
import { ExistsError, NotFoundError } from "../../src/errors.ts";
import type { Entry, Files, ProgressUpdate, RestoreAction, State, Want } from "../../src/stage.ts";
import { noise, scratch, sh, testContext } from "../support.ts";
import {
  archive,
  dir,
  failure,
  file,
  hard,
  leftovers,
  link,
  restore,
  streamed,
  TIME,
  treeOf,
} from "./extract_support.ts";

Deno.test("extract() writes every kind with content, mode and time", async () => {
  using tmp = scratch();
  const into = tmp.join("out");
  await restore([
    dir("app", 0o750),
    file("app/a", "hello", { mode: 0o640 }),
    file("app/empty", ""),
    hard("app/h", "app/a"),
    link("app/l", "nowhere/at all"),
    dir("app/sub", 0o500, { mtimeMs: -86_400_123 }),
    streamed("app/sub/big", [noise(1 << 20), noise(77)], { mtimeMs: 1_600_000_000_999, mode: 0o4755 }),
    file("app/sub/old", "x", { mtimeMs: -1_500 }),
  ], { into });
  const at = (path: string): fs.Stats => fs.lstatSync(`${into}/${path}`);
  assert.equal(fs.readFileSync(`${into}/app/a`, "utf8"), "hello");
  assert.equal(at("app").mode & 0o7777, 0o750);
  assert.equal(at("app/a").mode & 0o7777, 0o640);
  assert.equal(at("app/a").mtimeMs, TIME);
  assert.equal(at("app").mtimeMs, TIME);
  assert.equal(at("app/l").mtimeMs, TIME);
  assert.equal(at("app/h").ino, at("app/a").ino);
  assert.equal(fs.readlinkSync(`${into}/app/l`), "nowhere/at all");
  assert.equal(at("app/sub").mode & 0o7777, 0o500);
  assert.equal(at("app/sub").mtimeMs, -86_400_123);
  assert.equal(at("app/sub/big").mode & 0o7777, 0o4755);
  assert.equal(at("app/sub/big").mtimeMs, 1_600_000_000_999);
  assert.equal(at("app/sub/big").size, (1 << 20) + 77);
  assert.equal(at("app/sub/old").mtimeMs, -1_500);
  assert.equal(fs.lstatSync(into).mode & 0o7777, 0o755);
  assert.deepEqual(leftovers(tmp.path), []);
});

Deno.test("extract() sets times to the millisecond, also those that a double holds a little below", async () => {
  using tmp = scratch();
  const into = tmp.join("out");
  const times = [2_163_382_090_186, ...Array.from({ length: 500 }, (_, i) => 7_919_317_331 * i + i)];
  const entries = times.flatMap((mtimeMs, i) => [
    dir(`${i}`, 0o755, { mtimeMs }),
    file(`${i}/file`, "", { mtimeMs }),
    link(`${i}/link`, "file", { mtimeMs }),
  ]);
  await restore(entries, { into });
  for (const { path, mtimeMs } of entries) {
    assert.equal(fs.lstatSync(`${into}/${path}`).mtimeMs, mtimeMs, path);
  }
});

/** What stands at the target, and what an archive brings, for each pair of kinds. */
const kinds = ["file", "directory", "symlink"] as const;

function stand(path: string, kind: typeof kinds[number]): void {
  if (kind === "file") fs.writeFileSync(path, "old");
  else if (kind === "symlink") fs.symlinkSync("old", path);
  else {
    fs.mkdirSync(path);
    fs.writeFileSync(`${path}/kept`, "old");
  }
}

const bring = (kind: typeof kinds[number]): Entry[] =>
  kind === "file"
    ? [file("x", "new")]
    : kind === "symlink"
    ? [link("x", "new")]
    : [dir("x", 0o700), file("x/in", "new")];

for (const there of kinds) {
  for (const comes of kinds) {
    for (const conflict of ["error", "skip", "overwrite"] as const) {
      Deno.test(`extract() of a ${comes} onto a ${there} with conflict "${conflict}"`, async () => {
        for (const index of [false, true]) {
          using tmp = scratch();
          const into = tmp.join("out");
          fs.mkdirSync(into);
          stand(`${into}/x`, there);
          fs.writeFileSync(`${into}/other`, "other");
          const before = treeOf(into);
          const merges = there === "directory" && comes === "directory";
          const files = archive([...bring(comes), file("y", "y")], { index });
          if (conflict === "error" && !merges) {
            const error = await failure(restore(files, { into, conflict }));
            assert.ok(error instanceof ExistsError);
            assert.match(error.message, /this exists already: "x"\. Nothing was changed\. Use --conflict/);
            assert.equal(treeOf(into), before);
          } else {
            const { actions } = await restore(files, { into, conflict });
            const stat = fs.lstatSync(`${into}/x`);
            const is = stat.isFile() ? "file" : stat.isDirectory() ? "directory" : "symlink";
            assert.equal(is, conflict === "skip" ? there : comes);
            if (merges) {
              assert.deepEqual(fs.readdirSync(`${into}/x`).sort(), ["in", "kept"]);
              assert.equal(stat.mode & 0o777, conflict === "overwrite" ? 0o700 : 0o755);
            } else if (is === "directory" && conflict === "overwrite") {
              assert.deepEqual(fs.readdirSync(`${into}/x`), ["in"]);
            } else if (is === "file") {
              assert.equal(fs.readFileSync(`${into}/x`, "utf8"), conflict === "skip" ? "old" : "new");
            } else if (is === "symlink") {
              assert.equal(fs.readlinkSync(`${into}/x`), conflict === "skip" ? "old" : "new");
            }
            assert.equal(fs.readFileSync(`${into}/other`, "utf8"), "other");
            assert.equal(fs.readFileSync(`${into}/y`, "utf8"), "y");
            const expected: [string, string][] = comes === "directory"
              ? [["x/in", there === "directory" || conflict === "overwrite" ? "create" : "skip"]]
              : [];
            if (!merges || conflict === "overwrite") expected.unshift(["x", conflict]);
            assert.deepEqual(actions.sort(), [...expected, ["y", "create"]].sort());
          }
          assert.deepEqual(leftovers(tmp.path), []);
          assert.deepEqual(fs.readdirSync(tmp.path), ["out"]);
        }
      });
    }
  }
}

Deno.test("extract() names the first five conflicts and counts the rest", async () => {
  using tmp = scratch();
  fs.mkdirSync(tmp.join("out"));
  for (let i = 0; i < 8; i++) fs.writeFileSync(tmp.join("out", `f${i}`), "");
  const entries = Array.from({ length: 8 }, (_, i) => file(`f${i}`));
  for (const index of [false, true]) {
    const { message } = await failure(restore(archive(entries, { index }), { into: tmp.join("out") }));
    assert.match(message, /8 things exist already: "f0", "f1", "f2", "f3", "f4" and 3 more\./);
  }
});

Deno.test("extract() finds conflicts by the index before it reads the archive", async () => {
  using tmp = scratch();
  fs.mkdirSync(tmp.join("out"));
  fs.writeFileSync(tmp.join("out", "f"), "");
  const files = archive([file("f")], { index: true });
  const entries = (): never => assert.fail("was read");
  const error = await failure(restore({ ...files, entries }, { into: tmp.join("out") }));
  assert.ok(error instanceof ExistsError);
});

Deno.test("extract() changes nothing when the archive fails at its end", async () => {
  for (const old of [undefined, {}, { "f": "old" }]) {
    using tmp = scratch();
    const into = tmp.join("a", "b", "out");
    if (old) fs.mkdirSync(into, { recursive: true });
    if (old && "f" in old) fs.writeFileSync(`${into}/f`, old.f!);
    const before = treeOf(tmp.path, false);
    const files = archive([file("f"), dir("d", 0o500), file("d/x")], { end: new Error("digest differs") });
    const error = await failure(restore(files, { into, conflict: "overwrite" }));
    assert.equal(error.message, "digest differs");
    assert.equal(treeOf(tmp.path, false), before);
  }
});

Deno.test("extract() stops when it is cancelled, and closes its source", async () => {
  using tmp = scratch();
  const stop = new AbortController();
  let closed = false;
  const files: Files = {
    ...archive([]),
    entries: async function* (): AsyncGenerator<Entry> {
      try {
        for (let i = 0;; i++) {
          if (i === 500) stop.abort();
          yield await file(`f${i}`);
        }
      } finally {
        closed = true;
      }
    },
  };
  const context = testContext({ want: { into: tmp.join("out") }, signal: stop.signal });
  const error = await failure(restore(files, {}, [], context));
  assert.equal(error.name, "AbortError");
  assert.ok(closed);
  assert.deepEqual(fs.readdirSync(tmp.path), []);
});

Deno.test("extract() makes the folders above a target that is not there yet, all in one step", async () => {
  using tmp = scratch();
  await restore([file("f", "x")], { into: tmp.join("a", "b", "c") });
  assert.equal(fs.readFileSync(tmp.join("a", "b", "c", "f"), "utf8"), "x");
  assert.equal(fs.statSync(tmp.join("a")).mode & 0o7777, 0o755);
  assert.deepEqual(leftovers(tmp.path), []);
});

Deno.test("extract() follows a symlink to the target itself", async () => {
  using tmp = scratch();
  fs.mkdirSync(tmp.join("real"));
  fs.symlinkSync("real", tmp.join("out"));
  await restore([file("f")], { into: tmp.join("out") });
  assert.deepEqual(fs.readdirSync(tmp.join("real")), ["f"]);
  assert.ok(fs.lstatSync(tmp.join("out")).isSymbolicLink());
});

Deno.test("extract() keeps the mode and owner of an empty target", async () => {
  using tmp = scratch();
  fs.mkdirSync(tmp.join("out"));
  fs.chownSync(tmp.join("out"), 1234, 2345);
  fs.chmodSync(tmp.join("out"), 0o2770);
  await restore([file("f")], { into: tmp.join("out") });
  const { mode, uid, gid } = fs.statSync(tmp.join("out"));
  assert.deepEqual([mode & 0o7777, uid, gid], [0o2770, 1234, 2345]);
  assert.equal(fs.statSync(tmp.join("out", "f")).gid, 0);
});

Deno.test("extract() refuses a target that is a file, and requests that make no sense", async () => {
  using tmp = scratch();
  fs.writeFileSync(tmp.join("f"), "x");
  const cases: [Partial<Want>, RegExp][] = [
    [{ into: tmp.join("f"), conflict: "overwrite" }, /not a folder/],
    [{ into: tmp.join("f", "g") }, /not a folder/],
    [{ into: "relative" }, /absolute/],
    [{}, /no target/],
    [{ into: tmp.join("x"), inPlace: true }, /in place with/],
    [{ strip: 1, inPlace: true }, /in place with/],
    [{ inPlace: true }, /does not say where it came from/],
  ];
  for (const [want, says] of cases) assert.match((await failure(restore([file("a")], want))).message, says);
  assert.deepEqual(fs.readdirSync(tmp.path), ["f"]);
});

const SAMPLE: Entry[] = [
  dir("app", 0o700),
  dir("app/conf", 0o750),
  file("app/conf/a.toml"),
  file("app/conf/b[1].txt"),
  dir("app/data", 0o711),
  file("app/data/.hidden"),
  file("app/data/x.log"),
  file("app/readme"),
  file("other"),
];

const selections: [Partial<Want>, string[]][] = [
  [{ only: ["app/conf"] }, ["app", "app/conf", "app/conf/a.toml", "app/conf/b[1].txt"]],
  [{ only: ["app/conf/"] }, ["app", "app/conf", "app/conf/a.toml", "app/conf/b[1].txt"]],
  [{ only: ["app/conf/b[1].txt"] }, ["app", "app/conf", "app/conf/b[1].txt"]],
  [{ only: ["**/*.log"] }, ["app", "app/data", "app/data/x.log"]],
  [{ only: ["app/data/*"] }, ["app", "app/data", "app/data/.hidden", "app/data/x.log"]],
  [{ only: ["*/readme", "other"] }, ["app", "app/readme", "other"]],
  [{ only: ["app"] }, SAMPLE.map(({ path }) => path).filter((path) => path !== "other")],
  [{ strip: 1 }, ["conf", "conf/a.toml", "conf/b[1].txt", "data", "data/.hidden", "data/x.log", "readme"]],
  [{ strip: 2 }, [".hidden", "a.toml", "b[1].txt", "x.log"]],
  [{ strip: 1, only: ["app/conf"] }, ["conf", "conf/a.toml", "conf/b[1].txt"]],
];

for (const [want, expected] of selections) {
  Deno.test(`extract() with ${JSON.stringify(want)} restores just that`, async () => {
    for (const index of [false, true]) {
      using tmp = scratch();
      const into = tmp.join("out");
      const dry = await restore(archive(SAMPLE, { index }), { into, ...want, dryRun: true });
      assert.deepEqual(fs.readdirSync(tmp.path), []);
      const { actions } = await restore(archive(SAMPLE, { index }), { into, ...want });
      const found = fs.readdirSync(into, { recursive: true }).map(String).sort();
      assert.deepEqual(found, expected.toSorted());
      const parents = new Set(["app", "app/conf", "app/data"]);
      const asked = (all: [string, RestoreAction][]): string[] =>
        all.map(([path]) => path).filter((path) => !parents.has(path)).sort();
      assert.deepEqual(asked(dry.actions), asked(actions));
      // A folder made on the way is as the archive says, too.
      if (found.includes("app/conf")) assert.equal(fs.statSync(`${into}/app/conf`).mode & 0o777, 0o750);
      assert.equal(fs.statSync(into).mode & 0o777, want.strip === 1 && !want.only ? 0o700 : 0o755);
    }
  });
}

Deno.test("extract() throws NotFoundError when nothing matches, and warns when one of two globs does not", async () => {
  using tmp = scratch();
  const into = tmp.join("out");
  for (const index of [false, true]) {
    for (const want of [{ only: ["nope"] }, { strip: 9 }, { only: ["nope"], dryRun: true }]) {
      const error = await failure(restore(archive(SAMPLE, { index }), { into, ...want }));
      assert.ok(error instanceof NotFoundError, error.message);
    }
    assert.deepEqual(fs.readdirSync(tmp.path), []);
    const { seen } = await restore(archive(SAMPLE, { index }), {
      into,
      only: ["nope", "other"],
      conflict: "skip",
    });
    assert.deepEqual(seen.warnings, [{ kind: "unmatched", message: 'Nothing in the backup matches "nope"' }]);
    fs.rmSync(into, { recursive: true });
  }
});

Deno.test("extract() with only does not give an existing folder above the mode of the archive's", async () => {
  using tmp = scratch();
  fs.mkdirSync(tmp.join("out", "app"), { recursive: true });
  await restore(SAMPLE, { into: tmp.join("out"), only: ["app/readme"], conflict: "overwrite" });
  assert.equal(fs.statSync(tmp.join("out", "app")).mode & 0o777, 0o755);
});

Deno.test("extract() keeps hard links when the first name is left out, by the index", async () => {
  using tmp = scratch();
  const entries = [
    file("a/f", "content"),
    dir("b"),
    hard("b/h", "a/f"),
    hard("b/i", "a/f"),
    hard("c", "a/f"),
  ];
  await restore(archive(entries, { index: true }), { into: tmp.join("one"), only: ["b", "c"] });
  assert.deepEqual(fs.readdirSync(tmp.join("one")).sort(), ["b", "c"]);
  assert.equal(fs.readFileSync(tmp.join("one", "b", "h"), "utf8"), "content");
  assert.equal(fs.statSync(tmp.join("one", "b", "i")).nlink, 3);
  // Strip drops the first name; it strips the targets as well.
  const deep = [file("f", "content"), file("x/g", "g"), hard("x/h", "f"), hard("x/i", "x/g")];
  await restore(archive(deep, { index: true }), { into: tmp.join("two"), strip: 1 });
  assert.deepEqual(fs.readdirSync(tmp.join("two")).sort(), ["g", "h", "i"]);
  assert.equal(fs.readFileSync(tmp.join("two", "h"), "utf8"), "content");
  assert.equal(fs.statSync(tmp.join("two", "g")).nlink, 2);
});

Deno.test("extract() under skip keeps the content of a hard link whose first name stays as it is", async () => {
  using tmp = scratch();
  fs.mkdirSync(tmp.join("out"));
  fs.writeFileSync(tmp.join("out", "a"), "old");
  await restore([file("a", "new"), hard("b", "a")], { into: tmp.join("out"), conflict: "skip" });
  assert.equal(fs.readFileSync(tmp.join("out", "a"), "utf8"), "old");
  assert.equal(fs.readFileSync(tmp.join("out", "b"), "utf8"), "new");
});

Deno.test("extract() dry run writes nothing, reports, and finds conflicts", async () => {
  using tmp = scratch();
  const into = tmp.join("out");
  fs.mkdirSync(`${into}/app/conf`, { recursive: true });
  fs.writeFileSync(`${into}/app/conf/a.toml`, "old");
  fs.writeFileSync(`${into}/app/data`, "in the way");
  const before = treeOf(tmp.path);
  for (const index of [false, true]) {
    const files = archive(SAMPLE, { index });
    assert.match(
      (await failure(restore(files, { into, dryRun: true }))).message,
      /2 things exist already: "app\/conf\/a.toml", "app\/data"/,
    );
    const over = await restore(files, { into, dryRun: true, conflict: "overwrite" });
    assert.deepEqual(over.actions, [
      ["app", "overwrite"],
      ["app/conf", "overwrite"],
      ["app/conf/a.toml", "overwrite"],
      ["app/conf/b[1].txt", "create"],
      ["app/data", "overwrite"],
      ["app/data/.hidden", "create"],
      ["app/data/x.log", "create"],
      ["app/readme", "create"],
      ["other", "create"],
    ]);
    const skip = await restore(files, { into, dryRun: true, conflict: "skip" });
    assert.deepEqual(skip.actions.filter(([, action]) => action === "create").map(([path]) => path), [
      "app/conf/b[1].txt",
      "app/readme",
      "other",
    ]);
    assert.equal(treeOf(tmp.path), before);
  }
  const real = await restore(SAMPLE, { into, conflict: "overwrite" });
  const dry = SAMPLE.map(({ path }) => path);
  assert.deepEqual(real.actions.map(([path]) => path).sort(), dry.sort());
});

Deno.test("extract() in place puts each root where it came from, all or none", async () => {
  using tmp = scratch();
  const roots = [
    { path: "app", source: tmp.join("srv", "app") },
    { path: "hosts", source: tmp.join("etc", "hosts") },
    { path: "new", source: tmp.join("not", "yet", "there") },
  ];
  const entries = [
    dir("app", 0o711),
    file("app/f", "new"),
    file("hosts", "new hosts"),
    dir("new"),
    hard("new/h", "app/f"),
  ];
  fs.mkdirSync(tmp.join("srv", "app"), { recursive: true });
  fs.mkdirSync(tmp.join("etc"));
  fs.writeFileSync(tmp.join("srv", "app", "f"), "old");
  fs.writeFileSync(tmp.join("srv", "app", "extra"), "stays");
  fs.writeFileSync(tmp.join("etc", "hosts"), "old hosts");
  const before = treeOf(tmp.path, false);
  assert.match(
    (await failure(restore(entries, { inPlace: true }, roots))).message,
    /2 things exist already: "app\/f", "hosts"/,
  );
  assert.equal(treeOf(tmp.path, false), before);

  const unknown = await failure(
    restore([...entries, file("zzz")], { inPlace: true, conflict: "overwrite" }, roots),
  );
  assert.match(unknown.message, /"zzz" in place: the backup does not say where it came from/);
  assert.equal(treeOf(tmp.path, false), before);

  const { actions } = await restore(entries, { inPlace: true, conflict: "overwrite" }, roots);
  assert.deepEqual(actions.sort(), [["app", "overwrite"], ["app/f", "overwrite"], ["hosts", "overwrite"], [
    "new",
    "create",
  ], ["new/h", "create"]]);
  assert.equal(fs.readFileSync(tmp.join("srv", "app", "f"), "utf8"), "new");
  assert.equal(fs.readFileSync(tmp.join("srv", "app", "extra"), "utf8"), "stays");
  assert.equal(fs.readFileSync(tmp.join("etc", "hosts"), "utf8"), "new hosts");
  assert.equal(fs.statSync(tmp.join("not", "yet", "there", "h")).nlink, 2);
  assert.equal(fs.statSync(tmp.join("srv", "app")).mode & 0o777, 0o711);
  assert.deepEqual(leftovers(tmp.path), []);
});

Deno.test("extract() in place takes the first root back when a later one cannot be swapped", async () => {
  using tmp = scratch();
  const roots = ["a", "b"].map((path) => ({ path, source: tmp.join(path) }));
  fs.mkdirSync(tmp.join("a"));
  fs.writeFileSync(tmp.join("a", "f"), "old");
  const before = treeOf(tmp.path, false);
  const files = archive([file("a/f", "new"), file("b/f", "new")]);
  // Something appears at the last moment, after the plan was made: the registry is renewed between plan and swap.
  const context = testContext({ want: { inPlace: true, conflict: "overwrite" } });
  let gets = 0;
  const state: State = {
    put: context.state.put,
    get: (key) => {
      if (fs.readdirSync(tmp.path).length > 1 && ++gets === 2) fs.writeFileSync(tmp.join("b"), "sudden");
      return context.state.get(key);
    },
  };
  const error = await failure(restore(files, {}, roots, { ...context, state }));
  assert.match(
    error.message,
    /"b" appeared while the restore was under way. Everything was taken back|b" appeared/,
  );
  fs.rmSync(tmp.join("b"));
  assert.equal(treeOf(tmp.path, false), before);
});

Deno.test("extract() reports progress and every entry's bytes", async () => {
  using tmp = scratch();
  const seen: ProgressUpdate[] = [];
  const context = {
    ...testContext({ want: { into: tmp.join("out") } }),
    progress: (update: ProgressUpdate): void => void seen.push(update),
  };
  await restore(
    [streamed("a", Array.from({ length: 5 }, () => noise(1 << 20))), file("b", "xyz")],
    {},
    [],
    context,
  );
  assert.ok(seen.length >= 5);
  assert.deepEqual(seen.at(-1), { phase: "restore", bytes: 5 * (1 << 20) + 3, entries: 2 });
});

Deno.test("extract() gives files away by name where the host knows it, else by number", async () => {
  using tmp = scratch();
  await restore([
    file("a", "", { uid: 4242, gid: 4343, uname: "no such user", gname: "nor group" }),
    file("b", "", { uid: 4242, gid: 4343, uname: "nobody", gname: "daemon", mode: 0o6755 }),
    link("c", "x", { uid: 4242, gid: 4343 }),
    dir("d", 0o2750, { uid: 4242, gid: 4343 }),
  ], { into: tmp.join("out") });
  const lines = sh("stat -c '%n %u:%g %U %G %a' a b c d", { cwd: tmp.join("out") });
  const [a, b, c, d] = new TextDecoder().decode(lines).trim().split("\n");
  assert.match(a!, /^a 4242:4343 /);
  assert.match(b!, /^b \d+:\d+ nobody daemon 6755$/);
  assert.match(c!, /^c 4242:4343 /);
  assert.match(d!, /^d 4242:4343 .* 2750$/);
});

Deno.test("extract() does not take over the group of a set-gid folder", async () => {
  using tmp = scratch();
  fs.mkdirSync(tmp.join("shared"));
  fs.chownSync(tmp.join("shared"), 0, 2345);
  fs.chmodSync(tmp.join("shared"), 0o2775);
  await restore([file("f"), dir("d")], { into: tmp.join("shared", "out") });
  for (const path of ["out/f", "out/d"]) assert.equal(fs.statSync(tmp.join("shared", path)).gid, 0, path);
  assert.equal(fs.statSync(tmp.join("shared", "out")).mode & 0o7777, 0o755);
});

Deno.test("extract() writes its line in the registry again when another process's write lost it", async () => {
  using tmp = scratch();
  const context = testContext({ want: { into: tmp.join("out") } });
  const texts: string[] = [];
  const state: State = {
    get: (key) => texts.length === 1 ? Promise.resolve(undefined) : context.state.get(key),
    put: (key, value) => {
      texts.push(new TextDecoder().decode(value));
      return context.state.put(key, value);
    },
  };
  await restore([file("f")], {}, [], { ...context, state });
  assert.equal(texts.length, 3);
  assert.equal(texts[0], texts[1]);
  assert.match(texts[0]!, /\.out\.holdfast-[0-9a-f]{16}"\]$/);
  assert.equal(texts[2], "[]");
});
