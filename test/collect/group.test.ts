import assert from "node:assert/strict";
import * as fs from "node:fs";
import { archive, collect } from "../../mod.ts";
import { command, files, group } from "../../src/collect/mod.ts";
import { IntegrityError, NotFoundError, StageError } from "../../src/errors.ts";
import type { Archive, Context, Entry, Files, Stage, Want } from "../../src/stage.ts";
import { judged, noise, scratch, type Seen, sh, testContext } from "../support.ts";
import { paths, plant, readEntries } from "./files_support.ts";

/** What comes back from an archive: the same entries, without an index. */
async function again(files: Files, fault?: Error): Promise<Files> {
  const entries = await readEntries(files);
  const notes = files.notes!();
  return {
    kind: "files",
    entries: async function* (): AsyncGenerator<Entry> {
      for (const { content, ...entry } of entries) {
        yield entry.kind === "file" ? { ...entry, body: new Uint8Array(content) } : entry;
      }
      if (fault) throw fault;
    },
    facts: files.facts,
    notes: () => notes,
  };
}

/** A member of its own kind, which notes what its undo sees. */
function recorder(tell: (text: string) => void, fail?: Error): Stage<void, Files> {
  return {
    name: "recorder",
    run: () =>
      Promise.resolve({
        kind: "files",
        entries: async function* (): AsyncGenerator<Entry> {
          yield { ...BLANK, path: "r", body: new TextEncoder().encode("rec"), bytes: 3 };
        },
        facts: () => ({
          sources: [{ tool: "recorder", cutAt: "2026-11-20T03:00:00Z", facts: {} }],
          stages: [],
        }),
        notes: () => ({ mine: true }),
      }),
    undo: async (stored, { want }) => {
      tell(`want ${want.into} ${want.only.length} ${JSON.stringify(stored.notes?.())}`);
      try {
        for await (const { path, body } of stored.entries()) {
          tell(`entry ${path} ${body instanceof Uint8Array ? body.length : "-"}`);
          if (fail) throw fail;
        }
        tell("commit");
        want.report?.("r", "create");
      } catch (error) {
        tell(`failed ${(error as Error).message}`);
        throw error;
      }
    },
  };
}

const BLANK = { kind: "file", mode: 0o600, mtimeMs: 0, uid: 0, gid: 0, uname: "", gname: "" } as const;

Deno.test("group() stores each member under its folder, in path order", async () => {
  using dir = scratch();
  plant(dir.path, { "etc/conf": "1", "srv/b": "2" });
  fs.linkSync(dir.join("srv/b"), dir.join("srv/c"));
  const stage = group({
    web: files(dir.join("srv")),
    "web-x": command(["echo", "hi"], { path: "out" }),
    conf: files({ all: dir.join("etc") }),
  });
  const built = await stage.run(undefined, testContext());
  assert.throws(() => built.facts());
  const all = await readEntries(built);
  assert.deepEqual(all.map(({ path, kind, target }) => [path, kind, target]), [
    ["conf", "directory", undefined],
    ["conf/all", "directory", undefined],
    ["conf/all/conf", "file", undefined],
    ["web", "directory", undefined],
    ["web/srv", "directory", undefined],
    ["web/srv/b", "file", undefined],
    ["web/srv/c", "hardlink", "web/srv/b"],
    ["web-x", "directory", undefined],
    ["web-x/out", "file", undefined],
  ]);
  assert.equal(all[0]!.mode, 0o755);
  assert.deepEqual(built.facts().sources.map(({ tool }) => tool), ["files", "files", "command"]);
  assert.deepEqual(built.notes!(), {
    conf: { roots: [{ path: "all", source: dir.join("etc") }], warnings: [] },
    web: { roots: [{ path: "srv", source: dir.join("srv") }], warnings: [] },
    "web-x": {},
  });
});

Deno.test("group() names the member in warnings, and adds up progress", async () => {
  using dir = scratch();
  plant(dir.path, { "a/x": noise(2_000_000), "b/y": noise(1_500_000) });
  sh(`mkfifo b/pipe`, { cwd: dir.path });
  const seen: Seen = { warnings: [], infos: [] };
  const bytes: number[] = [];
  const context = {
    ...testContext({ seen }),
    progress: (update: { bytes: number }) => void bytes.push(update.bytes),
  };
  await readEntries(
    await group({ one: files(dir.join("a")), two: files(dir.join("b")) }).run(undefined, context),
  );
  assert.match(seen.warnings[0]!.message, /^two: "b\/pipe"/);
  assert.equal(bytes.at(-1), 3_500_000);
  assert.deepEqual(bytes, [...bytes].sort((a, b) => a - b));
});

Deno.test("group() refuses members that make no sense when it is made", () => {
  assert.throws(() => group({}), { name: "TypeError", message: /no members/ });
  for (const name of ["", ".", "..", "a/b", "a\0"]) {
    assert.throws(() => group({ [name]: files("/x") }), {
      name: "TypeError",
      message: /is not a folder name/,
    }, name);
  }
});

Deno.test("group() run throws NotFoundError for a member's missing root, and a failing member fails the walk", async () => {
  using dir = scratch();
  await assert.rejects(
    async () => await group({ a: files(dir.join("gone")) }).run(undefined, testContext()),
    NotFoundError,
  );
  const built = await group({ a: command(["false"], { path: "x" }) }).run(undefined, testContext());
  await assert.rejects(
    readEntries(built),
    (error) => error instanceof StageError && error.stage === "command",
  );
  assert.throws(() => built.facts());
});

Deno.test("group() undo into a folder writes all members below it, all or none", async () => {
  using dir = scratch();
  plant(dir.path, { "srv/b": "2", "etc/conf": "1" });
  fs.linkSync(dir.join("srv/b"), dir.join("srv/c"));
  const stage = group({
    web: files(dir.join("srv")),
    conf: files(dir.join("etc")),
    db: command(["echo", "dump"], { path: "app.sql", restore: ["touch", dir.join("ran")] }),
  });
  const stored = await again(await stage.run(undefined, testContext()));
  const fault = new IntegrityError("Cannot read: damaged");
  const damaged: Files = { ...stored, entries: (await again(stored, fault)).entries };
  await assert.rejects(stage.undo(damaged, testContext({ want: { into: dir.join("out") } })), /damaged/);
  assert.deepEqual(fs.readdirSync(dir.path).sort(), ["etc", "srv"]);
  await stage.undo(stored, testContext({ want: { into: dir.join("out") } }));
  assert.deepEqual(fs.readdirSync(dir.join("out")), ["conf", "db", "web"]);
  assert.equal(fs.readFileSync(dir.join("out/db/app.sql"), "utf8"), "dump\n");
  assert.equal(fs.readFileSync(dir.join("out/web/srv/c"), "utf8"), "2");
  assert.equal(fs.statSync(dir.join("out/web/srv/c")).nlink, 2);
  assert.equal(fs.existsSync(dir.join("ran")), false);
  const only: Partial<Want> = { into: dir.join("part"), only: ["web/srv/c"] };
  await stage.undo(stored, testContext({ want: { into: dir.join("flat"), strip: 2, only: ["conf"] } }));
  assert.deepEqual(fs.readdirSync(dir.join("flat")), ["conf"]);
  await assert.rejects(
    stage.undo(stored, testContext({ want: { ...only, only: ["nothing"] } })),
    NotFoundError,
  );
});

Deno.test("group() undo in place restores every member to where it was, and feeds commands last", async () => {
  using dir = scratch();
  plant(dir.path, { "srv/b": "2", "etc/conf": "1" });
  const check = `test -e "${dir.join("srv/b")}" && cat > "${dir.join("fed")}"`;
  const stage = group({
    conf: files(dir.join("etc")),
    db: command(["echo", "dump"], { path: "app.sql", restore: ["sh", "-c", check] }),
    inner: group({ web: files(dir.join("srv")) }),
  });
  const stored = await again(await stage.run(undefined, testContext()));
  fs.rmSync(dir.join("srv"), { recursive: true });
  const seen: Seen = { warnings: [], infos: [] };
  const reported: string[] = [];
  const report = (path: string): void => void reported.push(path);
  const want: Partial<Want> = { inPlace: true, conflict: "overwrite", report };
  // Damage at the very end: nothing is fed, nothing is written.
  const damaged: Files = { ...stored, entries: (await again(stored, new IntegrityError("damaged"))).entries };
  await assert.rejects(stage.undo(damaged, testContext({ want })), /damaged/);
  assert.deepEqual(fs.readdirSync(dir.path), ["etc"]);
  // A conflict in the files: nothing is fed.
  await assert.rejects(stage.undo(stored, testContext({ want: { ...want, conflict: "error" } })), {
    name: "ExistsError",
  });
  assert.deepEqual(fs.readdirSync(dir.path), ["etc"]);
  await stage.undo(stored, testContext({ want, seen }));
  assert.equal(fs.readFileSync(dir.join("srv/b"), "utf8"), "2");
  assert.equal(fs.readFileSync(dir.join("fed"), "utf8"), "dump\n");
  assert.ok(reported.includes("db/app.sql"));
  assert.deepEqual(seen.warnings, []);
});

Deno.test("files() undo in place of a group's backup, without its plan, goes by what was recorded", async () => {
  using dir = scratch();
  plant(dir.path, { "srv/b": "2", "etc/conf": "1", "other/x": "" });
  const plan = group({ one: files(dir.join("etc")), two: group({ web: files(dir.join("srv")) }) });
  const stored = await again(await plan.run(undefined, testContext()));
  fs.rmSync(dir.join("srv"), { recursive: true });
  fs.rmSync(dir.join("etc"), { recursive: true });
  await files(dir.join("other")).undo(stored, testContext({ want: { inPlace: true } }));
  assert.deepEqual(fs.readdirSync(dir.path).sort(), ["etc", "other", "srv"]);
  assert.equal(fs.readFileSync(dir.join("srv/b"), "utf8"), "2");
});

Deno.test("group() undo in place without a reverse program says what to do, and touches nothing", async () => {
  using dir = scratch();
  plant(dir.path, { "srv/b": "2" });
  const stage = group({ db: command(["echo", "1"], { path: "x" }), web: files(dir.join("srv")) });
  const stored = await again(await stage.run(undefined, testContext()));
  fs.rmSync(dir.join("srv"), { recursive: true });
  const undo = stage.undo(stored, testContext({ want: { inPlace: true } }));
  await assert.rejects(undo, /Cannot restore "db" in place: .*Use --into/);
  assert.deepEqual(fs.readdirSync(dir.path), []);
});

Deno.test("group() undo in place with a choice touches only what was chosen", async () => {
  const cases: readonly [only: string[], expected: string[]][] = [
    [["web"], ["etc", "srv"]],
    [["db"], ["etc", "fed"]],
    [["db/*.sql", "web/srv/b"], ["etc", "fed", "srv"]],
  ];
  for (const [only, expected] of cases) {
    using dir = scratch();
    plant(dir.path, { "srv/b": "2", "etc/conf": "1" });
    const stage = group({
      conf: files(dir.join("etc")),
      db: command(["echo", "dump"], { path: "app.sql", restore: ["sh", "-c", `cat > "${dir.join("fed")}"`] }),
      web: files(dir.join("srv")),
    });
    const stored = await again(await stage.run(undefined, testContext()));
    fs.rmSync(dir.join("srv"), { recursive: true });
    const seen: Seen = { warnings: [], infos: [] };
    await stage.undo(stored, testContext({ want: { inPlace: true, only }, seen }));
    assert.deepEqual(seen.warnings, []);
    assert.deepEqual(fs.readdirSync(dir.path).sort(), expected, JSON.stringify(only));
  }
});

Deno.test("group() undo hands a member its own entries, and withholds the end until all is verified", async () => {
  for (const fault of [undefined, new IntegrityError("damaged")]) {
    using dir = scratch();
    plant(dir.path, { "srv/b": "2" });
    const told: string[] = [];
    const stage = group({
      a: recorder((text) => told.push(`a ${text}`)),
      b: recorder((text) => told.push(`b ${text}`)),
      c: files(dir.join("srv")),
    });
    const stored = await again(await stage.run(undefined, testContext()), fault);
    const watched: Files = {
      ...stored,
      entries: async function* (): AsyncGenerator<Entry> {
        yield* stored.entries();
        told.push("verified");
      },
    };
    const undo = stage.undo(watched, testContext({ want: { into: dir.join("out") } }));
    const common = [
      `a want ${dir.join("out/a")} 0 {"mine":true}`,
      `b want ${dir.join("out/b")} 0 {"mine":true}`,
      "a entry r 3",
      "b entry r 3",
    ];
    if (fault) {
      await assert.rejects(undo, fault);
      assert.deepEqual(told, [...common, "a failed damaged", "b failed damaged"]);
      assert.equal(fs.existsSync(dir.join("out")), false);
    } else {
      await undo;
      assert.deepEqual(told, [...common, "verified", "a commit", "b commit"]);
      assert.equal(fs.readFileSync(dir.join("out/c/srv/b"), "utf8"), "2");
    }
  }
});

Deno.test("group() undo fails all members when one fails, and stops reading", async () => {
  using dir = scratch();
  plant(dir.path, { "srv/b": "2" });
  const told: string[] = [];
  const stage = group({
    a: recorder((text) => told.push(`a ${text}`)),
    b: recorder((text) => told.push(`b ${text}`), new Error("disk on fire")),
    c: files(dir.join("srv")),
  });
  const stored = await again(await stage.run(undefined, testContext()));
  await assert.rejects(stage.undo(stored, testContext({ want: { into: dir.join("out") } })), (error) => {
    assert.ok(error instanceof StageError && error.stage === "recorder");
    assert.match(error.message, /disk on fire/);
    return true;
  });
  assert.deepEqual(told.slice(2), [
    "a entry r 3",
    "b entry r 3",
    "b failed disk on fire",
    "a failed recorder: disk on fire",
  ]);
  assert.equal(fs.existsSync(dir.join("out")), false);
});

Deno.test("group() undo refuses entries of no member, when members restore on their own", async () => {
  using dir = scratch();
  const told: string[] = [];
  const old = group({ gone: recorder(() => {}), kept: recorder(() => {}) });
  const stored = await again(await old.run(undefined, testContext()));
  const now = group({ kept: recorder((text) => told.push(text)) });
  const undo = now.undo(stored, testContext({ want: { into: dir.join("out") } }));
  await assert.rejects(undo, /Cannot restore "gone": this plan has only "kept"/);
  assert.ok(!told.includes("commit"));
});

Deno.test("group() undo goes on when a member takes no more, and reports paths below its folder", async () => {
  const idle: Stage<void, Files> = { ...recorder(() => {}), undo: () => Promise.resolve() };
  const reported: string[] = [];
  const stage = group({ a: idle, b: recorder(() => {}) });
  const stored = await again(await stage.run(undefined, testContext()));
  const report = (path: string): void => void reported.push(path);
  await stage.undo(stored, testContext({ want: { into: "/nowhere", report } }));
  assert.deepEqual(reported, ["b/r"]);
});

judged("group() through tar and back: GNU tar and undo agree, large bodies and all", ["tar"], async () => {
  using dir = scratch();
  plant(dir.path, {
    "srv/big": noise(3_000_000),
    "srv/é/😀": "x",
    "srv/void/": "",
    "in": noise(6_000_000, 2),
  });
  fs.symlinkSync("big", dir.join("srv/link"));
  fs.linkSync(dir.join("srv/big"), dir.join("srv/same"));
  const out = dir.join("fed");
  const stage = collect.group({
    db: collect.command(["cat", dir.join("in")], { path: "dump", restore: ["sh", "-c", `cat > "${out}"`] }),
    web: collect.files(dir.join("srv")),
  });
  const tar = archive.tar();
  const context: Context = testContext();
  const packed: Archive = await tar.run(await stage.run(undefined, context), context);
  const bytes: Uint8Array[] = [];
  for await (const chunk of packed.body.read()) bytes.push(chunk.slice());
  fs.writeFileSync(dir.join("x.tar"), Buffer.concat(bytes));
  fs.mkdirSync(dir.join("theirs"));
  sh(`tar -xpf ../x.tar`, { cwd: dir.join("theirs") });
  const read = (): ReadableStream<Uint8Array<ArrayBuffer>> =>
    ReadableStream.from([new Uint8Array(fs.readFileSync(dir.join("x.tar")))]);
  const unpack = async (want: Partial<Want>): Promise<void> => {
    const inner = testContext({ want });
    const carrier: Archive = { ...packed, body: { read }, index: undefined };
    await stage.undo(await tar.undo(carrier, inner), inner);
  };
  await unpack({ into: dir.join("ours") });
  sh(`diff -r --no-dereference theirs ours`, { cwd: dir.path });
  // Times are promised to the millisecond.
  const state = (folder: string): string =>
    new TextDecoder().decode(
      sh(`find . -mindepth 1 -printf '%p %m %T@ %n\\n' | sed -E 's/(\\.[0-9]{3})[0-9]+/\\1/' | sort`, {
        cwd: dir.join(folder),
      }),
    );
  assert.equal(state("ours"), state("theirs"));
  fs.rmSync(dir.join("srv"), { recursive: true });
  // Without the index the backup does not say where it was: the plan does.
  await unpack({ inPlace: true });
  sh(`diff -r --no-dereference theirs/web/srv srv && cmp in fed`, { cwd: dir.path });
  assert.equal((await paths(await collect.files(dir.join("srv")).run(undefined, context))).length, 7);
});
