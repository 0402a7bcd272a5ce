/** What an ordinary user's restore does with modes that forbid; run as one, with read and write permission only. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { extract, recover } from "../../src/collect/extract.ts";
import { register } from "../../src/collect/registry.ts";
import { readMounts, stage } from "../../src/collect/staging.ts";
import { commit, planSwap } from "../../src/collect/swap.ts";
import { testContext } from "../support.ts";
import { archive, dir, failure, file, link } from "../collect/extract_support.ts";

const [top] = Deno.args;
const home = `${top}/home`;

async function restore(entries: Parameters<typeof archive>[0], want: Record<string, unknown>): Promise<void> {
  await extract(archive(entries), testContext({ want }));
}

const forbidding = [
  dir("ro", 0o555, { uid: 0, gid: 0, uname: "root" }),
  dir("ro/deep", 0o500),
  file("ro/deep/f", "new", { mode: 0o400 }),
  file("secret", "x", { mode: 0 }),
  file("setuid", "x", { mode: 0o4755 }),
  link("l", "x"),
];
await restore(forbidding, { into: `${home}/a` });
assert.equal(fs.statSync(`${home}/a/ro`).mode & 0o7777, 0o555);
assert.equal(fs.statSync(`${home}/a/setuid`).mode & 0o7777, 0o755);
assert.equal(fs.statSync(`${home}/a/secret`).mode & 0o7777, 0);

// Replaces a folder that forbids everything by a file, and moves folders that forbid everything in.
await restore([file("ro", "now a file")], { into: `${home}/a`, conflict: "overwrite" });
assert.equal(fs.readFileSync(`${home}/a/ro`, "utf8"), "now a file");
fs.mkdirSync(`${home}/b`);
fs.writeFileSync(`${home}/b/other`, "");
await restore(forbidding, { into: `${home}/b` });
assert.equal(fs.statSync(`${home}/b/ro`).mode & 0o7777, 0o555);

// What it replaces cannot be read back by its owner, and is replaced all the same.
await restore([file("secret", "y", { mode: 0 })], { into: `${home}/b`, conflict: "overwrite" });
// Folders that forbid it are removed all the same when a restore fails.
await failure(
  extract(archive(forbidding, { end: new Error("cut") }), testContext({ want: { into: `${home}/c` } })),
);

// A merge into a folder that forbids it is refused, and taken back.
const refused = await failure(
  restore([file("first"), dir("ro"), file("ro/x"), file("zz")], { into: `${home}/b` }),
);
assert.match(refused.message, /EACCES|permission denied/i);
assert.deepEqual(fs.readdirSync(`${home}/b`).sort(), ["l", "other", "ro", "secret", "setuid"]);

// A swap that dies when a folder it has moved things into already forbids it is taken back.
fs.mkdirSync(`${home}/d/ro`, { recursive: true });
fs.writeFileSync(`${home}/d/ro/mine`, "mine");
const mounts = readMounts();
const staging = stage(`${home}/d`, mounts);
fs.mkdirSync(`${staging.path}/new/ro`, { recursive: true });
fs.writeFileSync(`${staging.path}/new/ro/f`, "new");
fs.chmodSync(`${staging.path}/new/ro`, 0o555);
const plan = planSwap(staging, { conflict: "overwrite", asked: () => true, mounts, owners: false });
assert.throws(() =>
  commit([staging], [plan], (what) => {
    if (what === "done") throw new Error("dead");
  }), /dead/);
assert.equal(fs.statSync(`${home}/d/ro`).mode & 0o7777, 0o555);
staging.release();
const context = testContext();
await register(context.state, [staging.path]);
assert.deepEqual((await recover(context)).rolledBack, [`${home}/d`]);
assert.deepEqual(fs.readdirSync(`${home}/d`), ["ro"]);
assert.deepEqual(fs.readdirSync(`${home}/d/ro`), ["mine"]);
assert.equal(fs.statSync(`${home}/d/ro`).mode & 0o7777, 0o755);

// A parent that cannot be written: inside the target where there is one, a clear sentence where not.
const none = await failure(restore([file("f")], { into: `${top}/elsewhere` }));
assert.match(none.message, /a staging folder cannot be made there \(EACCES\)/);
fs.mkdirSync(`${home}/parent/out`, { recursive: true });
fs.chmodSync(`${home}/parent`, 0o555);
await restore([file("f", "fine")], { into: `${home}/parent/out` });
assert.deepEqual(fs.readdirSync(`${home}/parent/out`), ["f"]);

assert.deepEqual(fs.readdirSync(home).filter((name) => !name.startsWith("cache")).sort(), [
  "a",
  "b",
  "d",
  "parent",
]);
await Deno.stdout.write(new TextEncoder().encode("all fine\n"));
