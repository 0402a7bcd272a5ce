import assert from "node:assert/strict";
import * as fs from "node:fs";
import { command } from "../../src/collect/mod.ts";
import { findError, IntegrityError, NotFoundError, StageError } from "../../src/errors.ts";
import type { Entry, Files } from "../../src/stage.ts";
import { judged, noise, scratch, type Seen, sh, testContext } from "../support.ts";
import { digest, type Kept, readEntries } from "./files_support.ts";

const MIB = 1024 * 1024;
const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

async function one(stage: ReturnType<typeof command>): Promise<Kept> {
  const all = await readEntries(await stage.run(undefined, testContext()));
  assert.equal(all.length, 1);
  return all[0]!;
}

/** What comes back from an archive. */
function archived(entries: readonly Partial<Entry>[], fault?: Error): Files {
  return {
    kind: "files",
    entries: async function* (): AsyncGenerator<Entry> {
      for (const entry of entries) {
        const bytes = entry.body instanceof Uint8Array ? entry.body.length : 0;
        yield { ...BLANK, bytes, ...entry } as Entry;
      }
      if (fault) throw fault;
    },
    facts: () => ({ sources: [], stages: [] }),
  };
}

const BLANK = { kind: "file", mode: 0o600, mtimeMs: 0, uid: 0, gid: 0, uname: "", gname: "" } as const;
const body = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);

Deno.test("command() stores what a program prints as one file", async () => {
  const before = Date.now();
  const stage = command(["printf", "%s", "dump"], { path: "db/app.sql" });
  const built = await stage.run(undefined, testContext());
  assert.throws(() => built.facts(), /before its output is read/);
  const [entry] = await readEntries(built);
  assert.deepEqual([entry!.path, entry!.kind, entry!.mode, entry!.bytes], ["db/app.sql", "file", 0o600, 4]);
  assert.equal(decode(entry!.content), "dump");
  assert.ok(entry!.mtimeMs >= before && entry!.mtimeMs <= Date.now());
  const [source] = built.facts().sources;
  assert.equal(source!.tool, "command");
  assert.deepEqual(source!.facts, { bytes: 4 });
});

Deno.test("command() starts nothing before the entries are pulled", async () => {
  using dir = scratch();
  const built = await command(["touch", dir.join("ran")], { path: "x", allowEmpty: true }).run(
    undefined,
    testContext(),
  );
  const entries = built.entries();
  assert.equal(fs.existsSync(dir.join("ran")), false);
  for await (const _ of entries);
  assert.equal(fs.existsSync(dir.join("ran")), true);
});

Deno.test("command() stores large output byte for byte, and leaves no file behind", async () => {
  using dir = scratch();
  const content = noise(9 * MIB + 11);
  fs.writeFileSync(dir.join("in"), content);
  fs.mkdirSync(dir.join("spool"));
  const entry = await one(command(["cat", dir.join("in")], { path: "x", spoolDir: dir.join("spool") }));
  assert.equal(entry.bytes, content.length);
  assert.equal(digest(entry.content), digest(content));
  assert.deepEqual(fs.readdirSync(dir.join("spool")), []);
});

Deno.test("command() gives the program its folder and variables, and an empty stdin", async () => {
  using dir = scratch();
  const stage = command(["sh", "-c", 'cat; pwd; echo "$SECRET"'], {
    path: "x",
    cwd: dir.path,
    env: { SECRET: "s3" },
  });
  assert.equal(decode((await one(stage)).content), `${fs.realpathSync(dir.path)}\ns3\n`);
});

Deno.test("command() throws on a program that fails, with its last words, before anything is given", async () => {
  const given: string[] = [];
  const cases: readonly [argv: readonly string[], message: RegExp][] = [
    [
      ["sh", "-c", "echo half; echo no such database >&2; exit 3"],
      /Cannot back up "app.sql": "sh" ended with exit code 3: no such database\. Nothing was stored; run the program by hand to see why$/,
    ],
    [["sh", "-c", "echo half; kill -9 $$"], /"sh" was ended by SIGKILL/],
    [
      ["sh", "-c", "for i in $(seq 2000); do echo line $i >&2; done; exit 1"],
      /exit code 1: [^]*line 2000\. Nothing was stored/,
    ],
    [["true"], /"true" printed nothing. Set allowEmpty/],
    [["sh", "-c", "echo nothing to do >&2"], /"sh" printed nothing but nothing to do\. Set allowEmpty/],
    [["holdfast-no-such-program"], /Cannot run "holdfast-no-such-program": it is not installed/],
  ];
  for (const [argv, message] of cases) {
    const built = await command(argv, { path: "app.sql" }).run(undefined, testContext());
    await assert.rejects(async () => {
      for await (const { path } of built.entries()) given.push(path);
    }, (error) => {
      assert.ok(error instanceof StageError && error.stage === "command");
      assert.match(error.message, message);
      assert.ok(error.message.length < 2300);
      return true;
    });
    assert.throws(() => built.facts());
  }
  assert.deepEqual(given, []);
});

Deno.test("command() stores empty output where that is allowed", async () => {
  assert.equal((await one(command(["true"], { path: "x", allowEmpty: true }))).bytes, 0);
});

Deno.test("command() refuses wrong options when it is made", () => {
  assert.throws(() => command([], { path: "x" }), { name: "TypeError", message: /"argv" must be a list/ });
  assert.throws(() => command([""], { path: "x" }), { name: "TypeError" });
  assert.throws(() => command(["a\0"], { path: "x" }), { name: "TypeError" });
  assert.throws(() => command(["a"], { path: "x", restore: [] }), {
    name: "TypeError",
    message: /"restore"/,
  });
  for (const path of ["", "/x", "../x", "a//b", "a/./b", "x/", "a\0"]) {
    assert.throws(() => command(["a"], { path }), { name: "TypeError", message: /relative path/ }, path);
  }
});

/** Seconds that no other process on this machine sleeps. */
const NAP = `300.${Deno.pid}`;

/** How many processes have a text in their command line. */
function running(text: string): number {
  return fs.readdirSync("/proc").filter((pid) => {
    try {
      return /^\d+$/.test(pid) && fs.readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(text);
    } catch {
      return false;
    }
  }).length;
}

Deno.test("command() ends its program on an abort, also one that ignores SIGTERM or left its stdout to a child", async () => {
  const cases = [
    ["sh", "-c", `echo started; exec sleep ${NAP}1`],
    ["sh", "-c", `trap '' TERM; echo started; while :; do sleep 0.2; : ${NAP}1; done`],
    ["sh", "-c", `echo started; sleep 4 & exec sleep ${NAP}1`],
  ];
  const times = await Promise.all(cases.map(async (argv) => {
    const stop = new AbortController();
    let bytes = 0;
    const context = {
      ...testContext({ signal: stop.signal }),
      progress: (update: { bytes: number }): void => {
        bytes = update.bytes;
        setTimeout(() => stop.abort(), 50);
      },
    };
    const built = await command(argv, { path: "x" }).run(undefined, context);
    const start = Date.now();
    await assert.rejects(readEntries(built), { name: "AbortError" });
    assert.equal(bytes, 8);
    return Date.now() - start;
  }));
  assert.ok(times[0]! < 3000 && times[2]! < 3000, `SIGTERM is enough: ${times}`);
  assert.ok(times[1]! >= 4900 && times[1]! < 9000, `SIGKILL after 5 s: ${times}`);
  assert.equal(running(`${NAP}1`), 0);
});

Deno.test("command() ends its program when its entries are given up", async () => {
  const built = await command(["sleep", `${NAP}2`], { path: "x" }).run(undefined, testContext());
  const entries = built.entries()[Symbol.asyncIterator]();
  const pending = entries.next();
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(running(`${NAP}2`), 1);
  await entries.return!();
  assert.equal(running(`${NAP}2`), 0);
  await assert.rejects(pending, { name: "AbortError" });
});

Deno.test("command() undo in place feeds the program only after the whole backup has been read soundly", async () => {
  using dir = scratch();
  const out = dir.join("out");
  const stage = command(["true"], { path: "app.sql", restore: ["sh", "-c", `cat > "${out}"`] });
  const want = { inPlace: true };
  const fault = new IntegrityError("Cannot read: the tail is damaged");
  const entry = { path: "app.sql", body: body("select 1;") };
  await assert.rejects(stage.undo(archived([entry], fault), testContext({ want })), fault);
  assert.equal(fs.existsSync(out), false);
  const reported: string[] = [];
  const report = (path: string, action: string): void => void reported.push(`${action} ${path}`);
  await stage.undo(archived([entry]), testContext({ want: { ...want, dryRun: true, report } }));
  assert.equal(fs.existsSync(out), false);
  await stage.undo(archived([entry]), testContext({ want: { ...want, report } }));
  assert.equal(fs.readFileSync(out, "utf8"), "select 1;");
  assert.deepEqual(reported, ["overwrite app.sql", "overwrite app.sql"]);
});

Deno.test("command() undo feeds large content byte for byte", async () => {
  using dir = scratch();
  const content = noise(7 * MIB + 3);
  const stage = command(["true"], { path: "x", restore: ["sh", "-c", `cat > "${dir.join("out")}"`] });
  await stage.undo(archived([{ path: "x", body: content }]), testContext({ want: { inPlace: true } }));
  assert.equal(digest(fs.readFileSync(dir.join("out"))), digest(content));
});

Deno.test("command() undo throws when the program fails or stops reading early", async () => {
  const large = { path: "x", body: noise(2 * MIB) };
  const cases: readonly [argv: readonly string[], message: RegExp][] = [
    [
      ["sh", "-c", "cat > /dev/null; echo syntax error >&2; exit 3"],
      /Cannot restore "x": "sh" ended with exit code 3: syntax error\. What/,
    ],
    [
      ["sh", "-c", "head -c 10 > /dev/null; exit 0"],
      /Cannot restore "x": "sh" ended before it had read all 2097152 bytes/,
    ],
    [["sh", "-c", "echo bad password >&2; exit 2"], /"sh" ended with exit code 2: bad password/],
    [["holdfast-no-such-program"], /Cannot run "holdfast-no-such-program"/],
  ];
  for (const [restore, message] of cases) {
    const stage = command(["true"], { path: "x", restore });
    await assert.rejects(stage.undo(archived([large]), testContext({ want: { inPlace: true } })), message);
  }
});

Deno.test("command() undo refuses what it did not write, twice the same, nothing, and too much", async () => {
  using dir = scratch();
  const stage = command(["true"], { path: "x", restore: ["sh", "-c", `cat > "${dir.join("out")}"`] });
  const undo = (files: Files, want = {}): Promise<void> =>
    stage.undo(files, testContext({ want: { inPlace: true, ...want } }));
  const x = { path: "x", body: body("1") };
  await assert.rejects(
    undo(archived([x, { path: "y", body: body("2") }])),
    /Cannot restore "y" with "sh": only "x"/,
  );
  await assert.rejects(undo(archived([x, x])), /holds it twice/);
  await assert.rejects(undo(archived([])), (error) => findError(error, NotFoundError) !== undefined);
  await assert.rejects(undo(archived([{ ...x, bytes: 9 }])), /1 of 9 bytes came/);
  const limits = { entries: 9, bytes: 0, ratio: 200, pathBytes: 4096 };
  await assert.rejects(undo(archived([x]), { limits }), /larger than 0 bytes/);
  await undo(archived([x]), { only: ["other"] });
  assert.equal(fs.existsSync(dir.join("out")), false);
  await undo(archived([x]), { only: ["[x]"] });
  assert.equal(fs.existsSync(dir.join("out")), true);
});

Deno.test("command() undo ends the reverse program on an abort", async () => {
  const stop = new AbortController();
  const stage = command(["true"], { path: "x", restore: ["sleep", `${NAP}3`] });
  setTimeout(() => stop.abort(), 100);
  const undo = stage.undo(
    archived([{ path: "x", body: noise(2 * MIB) }]),
    testContext({ want: { inPlace: true }, signal: stop.signal }),
  );
  await assert.rejects(undo, { name: "AbortError" });
  assert.equal(running(`${NAP}3`), 0);
});

Deno.test("command() undo into a folder writes the file and runs nothing", async () => {
  using dir = scratch();
  const stage = command(["true"], { path: "db/app.sql", restore: ["touch", dir.join("ran")] });
  const built = archived([{ path: "db/app.sql", body: body("select 1;") }]);
  await stage.undo(built, testContext({ want: { into: dir.join("out") } }));
  assert.equal(fs.readFileSync(dir.join("out/db/app.sql"), "utf8"), "select 1;");
  assert.equal(fs.existsSync(dir.join("ran")), false);
});

Deno.test("command() undo in place without a reverse program says what to do", async () => {
  const stage = command(["true"], { path: "x" });
  const undo = stage.undo(
    archived([{ path: "x", body: body("1") }]),
    testContext({ want: { inPlace: true } }),
  );
  await assert.rejects(undo, /in place.*Use --into/);
});

judged("command() dumps a real database, and its reverse program brings it back", ["sqlite3"], async () => {
  using dir = scratch();
  sh(`sqlite3 old.db "CREATE TABLE t(x); INSERT INTO t VALUES (1), (2), ('three');"`, { cwd: dir.path });
  const stage = command(["sqlite3", "old.db", ".dump"], {
    path: "app.sql",
    cwd: dir.path,
    restore: ["sqlite3", "-bail", "new.db"],
  });
  const built = await stage.run(undefined, testContext());
  const seen: Seen = { warnings: [], infos: [] };
  await stage.undo(built, testContext({ want: { inPlace: true }, seen }));
  assert.equal(
    decode(sh(`sqlite3 new.db "SELECT group_concat(x) FROM t"`, { cwd: dir.path })),
    "1,2,three\n",
  );
  assert.deepEqual(seen.warnings, []);
});
