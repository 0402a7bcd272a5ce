/** When a run goes on from the one before, and when it must not: lost and damaged copies, other plans, clocks, forged times, kill -9. */
import { strict as assert } from "node:assert";
import * as fs from "node:fs";
import { fileURLToPath } from "node:url";
import { collect, store } from "../../mod.ts";
import { readCopy, writeCopy } from "../../src/collect/since/copy.ts";
import type { Line } from "../../src/collect/since/line.ts";
import { isIncrement } from "../../src/layers.ts";
import { restore } from "../../src/restore.ts";
import type { BackupResult } from "../../src/run.ts";
import { watched } from "../engine/support.ts";
import * as child from "./child_key.ts";
import { type Scene, scene, shape, START } from "./support.ts";

const LONG = { fullShare: 1000 };

/** The latest backup comes back as the tree is. */
async function comesBack(at: Scene, options: Parameters<Scene["plan"]>[0] = {}): Promise<void> {
  const into = at.join(crypto.randomUUID());
  await restore(at.plan(options), { into });
  assert.deepEqual(shape(`${into}/app`), shape(at.src));
  fs.rmSync(into, { recursive: true });
}

function copyOf(at: Scene, { receipt }: BackupResult): string {
  const name = fs.readdirSync(at.index).find((name) => name.includes(receipt.run));
  return `${at.index}/${name}`;
}

/** What the host remembers of a run. */
function linesOf(at: Scene, last: BackupResult): Line[] {
  const copy = readCopy(keyOf(at, last), last.receipt.run);
  assert.ok(typeof copy === "object");
  return [...copy.lines];
}

function keyOf(at: Scene, last: BackupResult): { folder: string; plan: string } {
  return { folder: at.index, plan: copyOf(at, last).slice(at.index.length + 1).split("_")[0]! };
}

/** Writes the host's copy of the last run's index anew, each line made another. */
function recast(at: Scene, last: BackupResult, change: (line: Line) => Line): void {
  const key = keyOf(at, last);
  const lines = linesOf(at, last);
  fs.rmSync(copyOf(at, last));
  const writer = writeCopy(key, last.receipt.run);
  for (const line of lines) writer.add(change(line));
  writer.finish();
}

/** As if it had been stored long after it was last touched, and not been touched since: only metadata, length and inode can tell. */
function asUntouched(at: Scene, last: BackupResult): void {
  recast(at, last, (line) => {
    const { ctimeMs } = fs.lstatSync(`${at.src}${line.path.slice("app".length)}`);
    return line.sha256 === "" ? line : { ...line, doubtful: false, changed: Math.floor(ctimeMs / 1000) };
  });
}

Deno.test("the host's copy is for its owner alone; of old ones only the one it went on from is kept", async () => {
  using at = scene();
  for (let i = 0; i < 4; i++) await at.run(LONG);
  assert.equal(fs.statSync(at.index).mode & 0o777, 0o700);
  const names = fs.readdirSync(at.index);
  assert.equal(names.length, 2, names.join()); // the newest, and the one it went on from
  for (const name of names) assert.equal(fs.statSync(`${at.index}/${name}`).mode & 0o777, 0o600);
});

Deno.test("a copy that is lost, damaged anywhere, or another plan's: a full backup, and it is said", async () => {
  using at = scene();
  fs.writeFileSync(`${at.src}/file`, "x".repeat(5000));
  let last = await at.run(LONG);
  const damage: [RegExp, (path: string) => void][] = [
    [/this host keeps no index of/, (path) => fs.rmSync(path)],
    [/is damaged/, (path) => fs.truncateSync(path, fs.statSync(path).size - 1)],
    [/is damaged/, (path) => fs.truncateSync(path, 0)],
    [/is damaged/, (path) => flip(path, 0)],
    [/is damaged/, (path) => flip(path, fs.statSync(path).size >> 1)],
    [/is damaged/, (path) => flip(path, fs.statSync(path).size - 1)],
  ];
  for (const [said, work] of damage) {
    work(copyOf(at, last));
    last = await at.run(LONG);
    assert.ok(!isIncrement(last.receipt));
    assert.match(at.said.join("\n"), said);
    assert.equal(last.status, "complete");
    await comesBack(at);
    last = await at.run(LONG);
    assert.ok(isIncrement(last.receipt));
  }
});

function flip(path: string, at: number): void {
  const bytes = fs.readFileSync(path);
  bytes[at]! ^= 1;
  fs.writeFileSync(path, bytes);
}

Deno.test("a backup made without since is none to go on from, and that is the reason that is given", async () => {
  using at = scene();
  fs.writeFileSync(`${at.src}/file`, "x");
  const first = await at.run({ whole: true });
  assert.ok(!isIncrement((await at.run(LONG)).receipt));
  assert.match(at.said.join("\n"), new RegExp(`A full backup: "${first.id}", the newest .* without "since"`));
  assert.ok(isIncrement((await at.run(LONG)).receipt));
  await at.run({ whole: true }); // one in between ends the chain
  const next = await at.run(LONG);
  assert.ok(!isIncrement(next.receipt));
  assert.match(at.said.join("\n"), /A full backup: .* without "since"/);
  await comesBack(at);
});

Deno.test("two plans with one name do not go on from each other", async () => {
  using at = scene();
  fs.writeFileSync(`${at.src}/file`, "one");
  const other = at.join("other");
  fs.mkdirSync(other);
  fs.writeFileSync(`${other}/file`, "two");
  fs.utimesSync(`${other}/file`, 1, 1);
  fs.utimesSync(`${at.src}/file`, 1, 1);
  await at.run(LONG);
  const theirs = await at.run({ ...LONG, src: other });
  assert.ok(!isIncrement(theirs.receipt));
  const mine = await at.run(LONG);
  assert.ok(!isIncrement(mine.receipt));
  await comesBack(at);
});

Deno.test("a full backup is made every so many, and when the increments outgrow the last full one", async () => {
  using at = scene();
  fs.writeFileSync(`${at.src}/file`, crypto.getRandomValues(new Uint8Array(20_000)));
  const kinds: boolean[] = [];
  for (let i = 0; i < 7; i++) kinds.push(isIncrement((await at.run({ ...LONG, fullEvery: 3 })).receipt));
  assert.deepEqual(kinds, [false, true, true, false, true, true, false]);
  const grown: boolean[] = [];
  for (let i = 0; i < 6; i++) {
    fs.writeFileSync(`${at.src}/more`, crypto.getRandomValues(new Uint8Array(8_000)));
    grown.push(isIncrement((await at.run({ fullShare: 0.7 })).receipt));
  }
  // 20 kB, then 8 kB each: the third is made at 16 of 20, and the next would go on from that. A full one has 28 kB.
  assert.deepEqual(grown, [true, true, false, true, true, true]);
  assert.match((await at.run({ fullShare: 0.7 }), at.said.join("\n")), /take \d+ % of what that took/);
});

Deno.test("what cannot be a base in every store is none: a target that missed it, or is new", async () => {
  using at = scene();
  fs.writeFileSync(`${at.src}/file`, "x");
  const [one, two] = [store.directory(at.join("store")), store.directory(at.join("two"))];
  await at.run({ ...LONG, to: [one, two] });
  assert.ok(isIncrement((await at.run({ ...LONG, to: [one, two] })).receipt));
  // The second target fails once; what it lacks is not built on there.
  const failing = watched(two, { failAt: 1, only: "put" });
  const alone = await at.run({ ...LONG, to: [one, failing] });
  assert.equal(alone.status, "warnings");
  assert.ok(isIncrement(alone.receipt));
  fs.writeFileSync(`${at.src}/file`, "another");
  const both = await at.run({ ...LONG, to: [one, two] });
  assert.ok(!isIncrement(both.receipt));
  assert.match(at.said.join("\n"), /there is no backup yet that is the newest in every store/);
  for (const to of [one, two]) await comesBack(at, { to });
});

Deno.test("content changed at the same length and time is found by the inode's time, and by rehash", async () => {
  using at = scene();
  const path = `${at.src}/file`;
  const forge = (text: string): void => {
    fs.writeFileSync(path, text);
    fs.utimesSync(path, 1_000_000_000, 1_000_000_000);
  };
  forge("one");
  assert.deepEqual(linesOf(at, await at.run(LONG)).map(({ doubtful }) => doubtful), [false, true]);
  // Most likely within the same second: what was stored so soon after a change is read again.
  forge("two");
  let last = await at.run(LONG);
  await comesBack(at);
  recast(at, last, (line) => ({ ...line, doubtful: false, changed: line.changed - 10 }));
  forge("six");
  last = await at.run(LONG);
  await comesBack(at);
  forge("ten");
  asUntouched(at, last);
  last = await at.run(LONG);
  assert.equal(last.receipt.contents.bytes, 0); // it was not read
  asUntouched(at, last);
  const { receipt } = await at.run({ ...LONG, rehash: true });
  assert.equal(receipt.contents.bytes, 3);
  await comesBack(at);
});

Deno.test("a file that was only touched is read, and not stored again", async () => {
  using at = scene();
  fs.writeFileSync(`${at.src}/file`, "one");
  const last = await at.run(LONG);
  recast(at, last, (line) => ({ ...line, doubtful: false, changed: line.changed - 10 }));
  const { receipt } = await at.run(LONG);
  assert.deepEqual([receipt.contents.entries, receipt.contents.bytes], [1, 0]);
});

Deno.test("another file of the same name, length and times is another inode", async () => {
  using at = scene();
  const path = `${at.src}/file`;
  fs.writeFileSync(path, "one");
  fs.writeFileSync(at.join("spare"), "two");
  for (const one of [path, at.join("spare")]) fs.utimesSync(one, 1_000_000_000, 1_000_000_000);
  const last = await at.run(LONG);
  fs.renameSync(at.join("spare"), path);
  asUntouched(at, last);
  assert.equal((await at.run(LONG)).receipt.contents.bytes, 3);
  await comesBack(at);
});

Deno.test("an inode that is used again for another file, of another length or time, is another file", async () => {
  using at = scene();
  const path = `${at.src}/file`;
  for (const [text, ms] of [["one", 0], ["three", 0], ["seven", 5000], ["seven", 6000]] as const) {
    fs.rmSync(path, { force: true }); // the file system gives the inode to the next one, as a rule
    fs.writeFileSync(path, text);
    fs.utimesSync(path, new Date(ms), new Date(ms));
    const last = await at.run(LONG);
    await comesBack(at);
    asUntouched(at, last);
  }
});

Deno.test("of a tree that has not changed nothing is stored but an empty list; hard links are recognised", async () => {
  using at = scene();
  for (let i = 0; i < 50; i++) fs.writeFileSync(`${at.src}/${i}`, "x".repeat(i));
  fs.linkSync(`${at.src}/1`, `${at.src}/a`);
  asUntouched(at, await at.run(LONG));
  const { receipt } = await at.run(LONG);
  assert.deepEqual([receipt.contents.entries, receipt.contents.bytes], [1, 0]);
  assert.deepEqual(receipt.sources[0]!.facts.tree, { entries: 52, bytes: 50 * 49 / 2 });
  await comesBack(at);
});

Deno.test("a file that becomes a folder, and goes", async () => {
  using at = scene();
  fs.writeFileSync(`${at.src}/file`, "x");
  await at.run(LONG);
  fs.rmSync(`${at.src}/file`);
  fs.mkdirSync(`${at.src}/file`);
  fs.writeFileSync(`${at.src}/file/inner`, "y");
  await at.run(LONG);
  await comesBack(at);
  fs.rmSync(`${at.src}/file`, { recursive: true });
  await at.run(LONG);
  await comesBack(at);
});

Deno.test("a clock that is set back makes no wrong backup", async () => {
  using at = scene();
  for (const [i, hour] of [10, 5, 7, 3, 12].entries()) {
    fs.writeFileSync(`${at.src}/file${i}`, `text ${i}`);
    fs.rmSync(`${at.src}/file${i - 2}`, { force: true });
    const { id } = await at.run({ ...LONG, now: new Date(START + hour * 3_600_000) });
    const into = at.join(`out${i}`);
    await restore(at.plan(), { id, into });
    assert.deepEqual(shape(`${into}/app`), shape(at.src));
  }
});

Deno.test("kill -9 anywhere: the next run goes on from the newest whole backup, and is right", async () => {
  using at = scene();
  const key = { ...LONG, recipient: child.recipient, identities: () => child.identity };
  fs.writeFileSync(`${at.src}/file`, "0");
  let last = (await at.run(key)).id;
  let hours = 10;
  for (const point of ["during .age", "before .receipt.json", "after .receipt.json", "after .index"]) {
    fs.writeFileSync(`${at.src}/${point}`, point);
    fs.rmSync(`${at.src}/file`, { force: true });
    const now = START + 3_600_000 * hours++;
    const script = fileURLToPath(new URL("child.ts", import.meta.url));
    const { signal } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", script, at.src, at.index, at.join("store"), String(now), point],
    }).output();
    assert.equal(signal, "SIGKILL");
    fs.writeFileSync(`${at.src}/file`, point);
    fs.rmSync(`${at.src}/${point}`);
    const next = await at.run({ ...key, now: new Date(START + 3_600_000 * hours++) });
    const { builtOn } = next.receipt.sources[0]!.facts;
    if (point === "after .receipt.json") assert.equal(builtOn, `app_${stamp(now)}.tar.zst.age`);
    else assert.equal(builtOn, last);
    await comesBack(at, key);
    last = next.id;
    assert.deepEqual(fs.readdirSync(at.index).filter((name) => name.endsWith(".part")), []);
  }
});

function stamp(ms: number): string {
  return new Date(ms).toISOString().slice(0, 19).replaceAll(":", "-") + "Z";
}

Deno.test("a copy that cannot be kept is a warning, and the backup is whole", async () => {
  using at = scene();
  fs.writeFileSync(at.index, "a file where the folder should be");
  fs.writeFileSync(`${at.src}/file`, "x");
  const { status, warnings } = await at.run();
  assert.deepEqual([status, warnings], ["warnings", { since: 1 }]);
  assert.match(
    at.said.join("\n"),
    /since: The next backup is a full one: this host cannot keep its copy of the index/,
  );
  await comesBack(at);
});

Deno.test("the host's copies are never stored", async () => {
  using at = scene();
  const { index } = at;
  fs.symlinkSync(index, at.join("way"));
  const plan = { ...LONG, src: at.join(".") };
  await at.run(plan);
  const { receipt, status } = await at.run(plan);
  assert.equal(status, "complete", at.said.join("\n"));
  assert.ok(isIncrement(receipt));
  assert.match(
    at.said.join("\n"),
    /Left out "app\/since": it is where this host keeps its copy of the index/,
  );
});

Deno.test("options that make no sense are refused when the stage is made", () => {
  for (
    const options of [
      { rehash: true },
      { fullEvery: 3 },
      { fullShare: 1 },
      { indexDir: "x" },
      { since: "yesterday" as "latest" },
      { since: "latest" as const, fullEvery: 0 },
      { since: "latest" as const, fullEvery: 1.5 },
      { since: "latest" as const, fullShare: 0 },
      { since: "latest" as const, fullShare: NaN },
    ]
  ) {
    assert.throws(() => collect.files("/tmp", options), /since|fullEvery|fullShare/);
  }
  assert.throws(() => collect.files({ "~holdfast-gone": "/tmp" }, { since: "latest" }), /has that name/);
});
