import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { comparePaths } from "../../src/archive/path.ts";
import { reach } from "../../src/libc/open.ts";
import { openReading, type Reading } from "../../src/libc/read.ts";
import { inTurn, listFolder, listLargeFolder, type Node } from "../../src/collect/folder.ts";
import { files } from "../../src/collect/mod.ts";
import { scratch, testContext } from "../support.ts";
import { readEntries } from "./files_support.ts";

const SOAK = Deno.env.get("HOLDFAST_SOAK") === "1";
const MIB = 1024 * 1024;

Deno.test("inTurn() gives each node once, in order and as it was, however many there are", () => {
  const kinds = ["file", "directory", "symlink", "special"] as const;
  const odd = ["\ufeffa", "new\nline", "\ufffd", "😀", "back\\slash", "-", " "];
  for (const count of [0, 1, 4095, 4096, 4097, 8192, 10_001]) {
    const nodes = Array.from({ length: count }, (_, i): Node => {
      return { name: `${odd[i % odd.length]}${i}`, kind: kinds[i % kinds.length]! };
    });
    const wanted = [...nodes];
    const turn = inTurn(nodes);
    const given: Node[] = [];
    for (let next = turn.next(); !next.done; next = turn.next()) given.push(next.value);
    assert.deepEqual(given, wanted);
  }
});

Deno.test("a folder with very many names is listed as a small one is, and stored in order", async () => {
  using dir = scratch();
  // 1,200 names of 240 letters: more than 256 KiB on file systems that say how long a folder's list of names is.
  const long = "n".repeat(230);
  mkdirSync(dir.join("many"));
  for (let i = 0; i < 1200; i++) writeFileSync(dir.join("many", `${(i * 7919) % 1200}-${long}`), `${i}`);
  for (const name of ["\ufffd", "new\nline", "😀", "\uffee"]) writeFileSync(dir.join("many", name), name);
  mkdirSync(dir.join("many", "600-folder"));
  writeFileSync(dir.join("many", "600-folder", "inner"), "x");
  symlinkSync("new\nline", dir.join("many", "link"));

  const path = dir.join("many");
  const small = listFolder(path, assert.fail);
  assert.equal(small.length, 1206);
  assert.deepEqual(await listLargeFolder(path, assert.fail), small);

  const entries = await readEntries(await files(path).run(undefined, testContext()));
  const names = entries.map((entry) => entry.path);
  assert.deepEqual(
    names,
    ["many", ...small.map(({ name }) => `many/${name}`), "many/600-folder/inner"].sort(comparePaths),
  );
});

Deno.test("listLargeFolder() rejects with what the system says", async () => {
  using dir = scratch();
  await assert.rejects(() => listLargeFolder(dir.join("gone"), assert.fail), Deno.errors.NotFound);
});

Deno.test({
  name: "a million files in one folder, and in a thousand, take at most 512 MiB to back up and to restore",
  ignore: !SOAK || !isThere("/dev/shm") || !isThere("/usr/bin/time"),
  fn: () => {
    const root = mkdtempSync("/dev/shm/holdfast-million-");
    try {
      for (const folders of [1, 1000]) {
        const source = join(root, `source-${folders}`);
        for (let d = 0; d < folders; d++) {
          mkdirSync(join(source, `d${d}`), { recursive: true });
          for (let f = 0; f < 1_000_000 / folders; f++) {
            Deno.createSync(join(source, `d${d}`, `f${f}`)).close();
          }
        }
        const store = join(root, `store-${folders}`);
        assert.ok(peak(root, "backup", [source, "--name", "m", "--to", store]) <= 512 * MIB);
        rmSync(source, { recursive: true });
        const into = join(root, "into");
        assert.ok(
          peak(root, "restore", ["latest", "--name", "m", "--from", store, "--into", into]) <= 512 * MIB,
        );
        rmSync(into, { recursive: true });
        assert.ok(
          peak(root, "verify", ["latest", "--level", "full", "--name", "m", "--from", store]) <= 512 * MIB,
        );
      }
    } finally {
      rmSync(root, { recursive: true });
    }
  },
});

function isThere(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** The most resident memory of a task's process, in bytes, by GNU time. */
function peak(home: string, task: string, args: readonly string[]): number {
  const checkout = join(import.meta.dirname!, "../..");
  const deno = [
    "run",
    "-A",
    "--no-prompt",
    "--v8-flags=--max-semi-space-size=1",
    `tasks/${task}.ts`,
    ...args,
    "--quiet",
  ];
  const { status, stderr } = spawnSync("/usr/bin/time", ["-f", "%M", Deno.execPath(), ...deno], {
    cwd: checkout,
    env: {
      ...Deno.env.toObject(),
      INIT_CWD: home,
      XDG_CONFIG_HOME: join(home, "config"),
      XDG_STATE_HOME: join(home, "state"),
    },
    encoding: "utf8",
  });
  assert.equal(status, 0, stderr);
  const bytes = Number(stderr.trim().split("\n").at(-1)) * 1024;
  console.log(`${task}: ${Math.round(bytes / MIB)} MiB`);
  return bytes;
}

Deno.test({
  name:
    "listFolder() by the C library gives what Deno gives, also where the file system does not list what a name stands for",
  ignore: "why" in reach(),
  fn: () => {
    using dir = scratch();
    mkdirSync(dir.join("folder"));
    symlinkSync("nowhere", dir.join("link"));
    for (const name of ["file", "ü", "\u{1f600}", ".hidden"]) writeFileSync(dir.join(name), name);
    const libc = openReading()!;
    try {
      const expected = listFolder(dir.path, assert.fail);
      assert.deepEqual(listFolder(dir.path, assert.fail, libc), expected);
      const list: Reading["list"] = (path) => libc.list(path).map((found) => ({ ...found, kind: undefined }));
      assert.deepEqual(listFolder(dir.path, assert.fail, { ...libc, list }), expected);
    } finally {
      libc.close();
    }
  },
});
