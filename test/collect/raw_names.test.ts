/** Names that are not UTF-8, restored as their bytes: fresh, over what stands there, taken back, and not at all without the C library. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { openDisk, plainDisk } from "../../src/collect/disk.ts";
import { readJournal, rollBack } from "../../src/collect/journal.ts";
import { recover } from "../../src/collect/recover.ts";
import { readMounts, removeStaging, stage } from "../../src/collect/staging.ts";
import { commit, planSwap } from "../../src/collect/swap.ts";
import { namesFor } from "../../src/collect/names.ts";
import { bytesOf, nameOf } from "../../src/raw_name.ts";
import type { Entry } from "../../src/stage.ts";
import { scratch, type Seen, testContext } from "../support.ts";
import { dir, failure, file, hard, leftovers, link, restore } from "./extract_support.ts";

const latin = (text: string): string => nameOf(Uint8Array.from(text, (one) => one.charCodeAt(0)));
const CAFE = latin("caf\xe9");
const DIR = latin("d\xff");

/** Everything below a folder, names as bytes: kind, mode, whole seconds, links, name, target, content. */
function look(path: string): string {
  return execFileSync("/bin/bash", [
    "-c",
    `cd "$1" && find . -mindepth 1 -printf '%y %m %Ts %n %P -> %l' \\( -type f -exec cat {} \\; -o -true \\) -printf '\\n' | LC_ALL=C sort`,
    "-",
    path,
  ], { encoding: "latin1" });
}

const ENTRIES: readonly Entry[] = [
  dir("t", 0o755),
  file(`t/${CAFE}`, "coffee", { mode: 0o600 }),
  dir(`t/${DIR}`, 0o555),
  file(`t/${DIR}/${latin("\x80")}`, "deep"),
  file(`t/${DIR}/plain`, "plain"),
  hard("t/h", `t/${CAFE}`),
  hard(`t/${latin("h\xfe")}`, `t/${CAFE}`),
  link("t/l", CAFE),
  link(`t/${latin("l\xe9")}`, "h"),
  file("t/z", "z"),
];

Deno.test("extract() writes names that are not UTF-8 as their bytes", async () => {
  using tmp = scratch();
  const { seen } = await restore(ENTRIES, { into: tmp.join("o") });
  assert.deepEqual(seen.warnings, []);
  const found = look(tmp.join("o"));
  assert.equal(
    found,
    [
      "d 555 1700000000 2 t/d\xff -> ",
      "d 755 1700000000 3 t -> ",
      "f 600 1700000000 3 t/caf\xe9 -> coffee",
      "f 600 1700000000 3 t/h -> coffee",
      "f 600 1700000000 3 t/h\xfe -> coffee",
      "f 644 1700000000 1 t/d\xff/plain -> plain",
      "f 644 1700000000 1 t/d\xff/\x80 -> deep",
      "f 644 1700000000 1 t/z -> z",
      "l 777 1700000000 1 t/l -> caf\xe9",
      "l 777 1700000000 1 t/l\xe9 -> h",
    ].map((line) => line + "\n").join(""),
  );
  assert.deepEqual(leftovers(tmp.path), []);
});

Deno.test("extract() over a tree with such names: conflicts are seen, what stands there is replaced or kept", async () => {
  using tmp = scratch();
  const into = tmp.join("o");
  await restore(ENTRIES, { into });
  const before = look(into);
  const error = await failure(restore(ENTRIES, { into }));
  assert.match(error.message, /"t\/caf\\xE9"/);
  assert.equal(look(into), before);
  const newer = ENTRIES.map((one) =>
    one.path.endsWith("\u0080") || !one.body ? one : file(one.path, "new", { mode: one.mode })
  );
  const { actions } = await restore(newer, { into, conflict: "skip" });
  assert.ok(actions.every(([, action]) => action === "skip"));
  assert.equal(look(into), before);
  const again = await restore(newer, { into, conflict: "overwrite" });
  assert.deepEqual(again.seen.warnings, []);
  assert.ok(again.actions.some(([path, action]) => path === `t/${CAFE}` && action === "overwrite"));
  assert.equal(
    look(into),
    before.replaceAll(/(coffee|plain|deep|> z)$/gm, (end) => end === "> z" ? "> new" : "new"),
  );
  assert.deepEqual(leftovers(tmp.path), []);
});

Deno.test("--only takes such a name as it is shown, and a look at what would happen changes nothing", async () => {
  using tmp = scratch();
  const dry = await restore(ENTRIES, { into: tmp.join("o"), only: ["t/caf\\xE9"], dryRun: true });
  assert.deepEqual(dry.actions, [[`t/${CAFE}`, "create"]]);
  await restore(ENTRIES, { into: tmp.join("o"), only: ["t/caf\\xE9"] });
  assert.match(look(tmp.join("o")), /^f 600 \d+ 1 t\/caf\xe9 -> coffee$/m);
});

Deno.test("a swap of such names is taken back after death at any step, and not by who cannot reach them", async () => {
  for (let n = 1, finished = false; !finished; n++) {
    using tmp = scratch();
    using disk = openDisk();
    const into = tmp.join("o");
    await restore([dir("d", 0o755), file(CAFE, "old"), dir(DIR, 0o700), file(`${DIR}/x`, "old x")], { into });
    const before = look(into);
    const staging = stage(into, readMounts());
    const staged = `${staging.path}/new`;
    await restore([file(CAFE, "new"), dir(DIR, 0o750), file(`${DIR}/x`, "new x"), file(`${DIR}/y`, "y")], {
      into: staged,
    });
    fs.chmodSync(staged, 0o755);
    const context = testContext();
    const plan = planSwap(staging, {
      conflict: "overwrite",
      asked: () => true,
      mounts: readMounts(),
      owners: false,
      disk,
    });
    let count = 0;
    try {
      commit([staging], [plan], () => {
        if (++count > n) throw new Error("dead");
      }, disk);
      finished = true;
    } catch (error) {
      assert.equal((error as Error).message, "dead");
    }
    if (finished) {
      assert.match(look(into), /caf\xe9 -> new\n[^]*d\xff\/x -> new x\n[^]*d\xff\/y -> y/);
      removeStaging(staging, false);
    } else {
      assert.throws(
        () => rollBack(readJournal(staging.path)!, undefined, plainDisk),
        /"[^"]*\\x[^"]*" has a name that is not UTF-8/,
      );
      staging.release();
      assert.deepEqual((await recover(context, [into])).rolledBack, [into]);
      assert.equal(look(into), before, `died at step ${n}`);
    }
    assert.deepEqual(leftovers(tmp.path), []);
  }
});

Deno.test("without the C library things with such names are left out, counted and named once", () => {
  const seen: Seen = { warnings: [], infos: [] };
  const names = namesFor(false, testContext({ seen }).log);
  assert.equal(names.takes({ path: "ü" }), true);
  for (const entry of ENTRIES) if (!names.takes(entry)) names.leave(entry);
  names.report();
  assert.equal(seen.warnings.length, 1);
  assert.match(
    seen.warnings[0]!.message,
    /^Left out 8 things whose name, or what it points to, is not UTF-8, such as "t\/caf\\xE9"/,
  );
});

Deno.test("two texts for one name are refused: one file would take the other's place", async () => {
  using tmp = scratch();
  // U+00E9 in UTF-8, its two bytes said one by one.
  const twin = String.fromCodePoint(0x10ffc3, 0x10ffa9);
  assert.deepEqual([...bytesOf(twin)], [0xc3, 0xa9]);
  const error = await failure(restore([file("\u00e9", "good"), file(twin, "evil")], { into: tmp.join("o") }));
  assert.match(error.message, /not in canonical form/);
  assert.ok(!fs.existsSync(tmp.join("o")));
});
