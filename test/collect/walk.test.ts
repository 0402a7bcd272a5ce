import assert from "node:assert/strict";
import * as fs from "node:fs";
import { dirname } from "node:path";
import fc from "fast-check";
import { comparePaths } from "../../src/archive/path.ts";
import { files, type FilesOptions } from "../../src/collect/mod.ts";
import { judged, scratch, sh, testContext } from "../support.ts";
import { digest, type Kept, paths, plant, readEntries } from "./files_support.ts";

const SOAK = Deno.env.get("HOLDFAST_SOAK") === "1";

async function walkAll(root: string, options: FilesOptions = {}): Promise<Kept[]> {
  return await readEntries(await files(root, options).run(undefined, testContext()));
}

// Names that sort differently by UTF-16, by UTF-8 and with or without a slash; and names that break careless code.
const name = fc.oneof(
  fc.constantFrom(
    "a",
    "a b",
    "a-b",
    "a.b",
    "a0",
    "A",
    "-",
    "!",
    "~",
    "é",
    "e\u0301",
    "\ufffd",
    "\ue000",
    "\uffee",
    "😀",
    "𐀀",
  ),
  fc.constantFrom(
    "new\nline",
    "tab\t",
    "q\"'`$x",
    "back\\slash",
    " lead",
    "trail ",
    ".hidden",
    "...",
    "*",
    "[a]",
    "#x",
  ),
  fc.string({ unit: "grapheme", minLength: 1, maxLength: 8 }).filter((text) => {
    return !/[/\0]/.test(text) && text !== "." && text !== ".." && text.isWellFormed();
  }),
);

Deno.test("files() gives any tree in path order, each folder directly before what is in it, nothing lost", async () => {
  const tree = fc.uniqueArray(
    fc.array(name, { minLength: 1, maxLength: 4 }).map((parts) => parts.join("/")),
    {
      maxLength: 25,
    },
  );
  await fc.assert(
    fc.asyncProperty(tree, async (leaves) => {
      using dir = scratch();
      const expected = new Set(["root"]);
      for (const leaf of leaves) {
        // A leaf may be a folder of another one: then it is a folder.
        if (leaves.some((other) => other.startsWith(`${leaf}/`))) continue;
        plant(dir.path, { [`root/${leaf}`]: leaf });
        for (let path = `root/${leaf}`; path !== "root"; path = dirname(path)) expected.add(path);
      }
      fs.mkdirSync(dir.join("root"), { recursive: true });
      const all = await walkAll(dir.join("root"));
      const got = all.map(({ path }) => path);
      assert.deepEqual(got, [...expected].sort(comparePaths));
      for (const { path, kind, content } of all) {
        if (kind === "file") assert.equal(`root/${new TextDecoder().decode(content)}`, path);
      }
    }),
    { numRuns: SOAK ? 2000 : 120, seed: 20_261_120 },
  );
});

judged("files() finds what find finds, with its kind, mode, owner and time", ["find"], async () => {
  using dir = scratch();
  for (let i = 0; i < 60; i++) {
    plant(dir.path, { [`app/d${i % 7}/e${i % 3}/f${i}`]: "x".repeat(i * 50), [`app/empty${i % 5}/`]: "" });
    fs.chmodSync(dir.join(`app/d${i % 7}/e${i % 3}/f${i}`), (i * 73) & 0o7777 | 0o400);
    fs.utimesSync(dir.join(`app/d${i % 7}/e${i % 3}/f${i}`), i * 1e6 + 0.25, i * 1e6 + 0.75);
  }
  fs.utimesSync(dir.join("app/d1/e1/f1"), -86_400.5, -86_400.5);
  fs.symlinkSync("d1", dir.join("app/link"));
  fs.symlinkSync("gone", dir.join("app/dangling"));
  const lines = new TextDecoder().decode(
    sh(`find app -printf '%p|%y|%m|%U|%G|%s|%T@|%l\\n'`, { cwd: dir.path }),
  ).trim();
  const found = lines.split("\n").map((line) => {
    const [path, type, mode, uid, gid, size, time, target] = line.split("|") as string[];
    const bytes = type === "f" ? Number(size) : 0;
    return [
      path,
      type,
      parseInt(mode!, 8),
      Number(uid),
      Number(gid),
      bytes,
      Math.floor(Number(time) * 1000),
      target,
    ];
  });
  const letters = { file: "f", directory: "d", symlink: "l", hardlink: "f" };
  const ours = (await walkAll(dir.join("app"))).map(
    ({ path, kind, mode, uid, gid, bytes, mtimeMs, target }) => {
      return [path, letters[kind], mode, uid, gid, bytes, mtimeMs, target ?? ""];
    },
  );
  const order = (a: unknown[], b: unknown[]): number => comparePaths(String(a[0]), String(b[0]));
  assert.deepEqual(ours, found.sort(order));
});

judged("files() of a tree, written by tar, lists in the same order as a sorted tar", ["tar"], async () => {
  using dir = scratch();
  plant(dir.path, { "t/a/x": "1", "t/a-b/x": "2", "t/a.b": "3", "t/a b/": "", "t/Z/é": "4", "t/Z/z": "5" });
  // GNU tar sorts the names in each folder bytewise in the C locale, and descends before the next.
  const lines = new TextDecoder().decode(
    sh(`LC_ALL=C tar --sort=name --quoting-style=literal -cf - t | tar --quoting-style=literal -tf -`, {
      cwd: dir.path,
    }),
  );
  assert.deepEqual(
    await paths(await files(dir.join("t")).run(undefined, testContext())),
    lines.trim().split("\n"),
  );
});

Deno.test("files() walks a folder of 5,000 files and one of 400 levels", async () => {
  using dir = scratch();
  for (let i = 0; i < 5000; i++) plant(dir.path, { [`wide/f${i}`]: String(i) });
  const all = await walkAll(dir.join("wide"));
  assert.equal(all.length, 5001);
  assert.ok(
    all.every(({ path, content }) =>
      path === "wide" || `wide/f${new TextDecoder().decode(content)}` === path
    ),
  );
  plant(dir.path, { [`deep/${"d/".repeat(400)}x`]: "end" });
  const deep = await walkAll(dir.join("deep"));
  assert.equal(deep.length, 402);
  assert.equal(deep.at(-1)!.path, `deep/${"d/".repeat(400)}x`);
});

Deno.test("files() warns about a path that is too long for the system, and stores the rest", async () => {
  using dir = scratch();
  const long = "n".repeat(250);
  fs.mkdirSync(dir.join("app"));
  sh(`for i in $(seq 1 17); do mkdir ${long} && cd ${long}; done; echo x > x`, { cwd: dir.join("app") });
  plant(dir.path, { "app/z": "1" });
  const seen = { warnings: [] as { kind: string; message: string }[], infos: [] };
  const built = await files(dir.join("app")).run(undefined, testContext({ seen }));
  const listed = await paths(built);
  assert.equal(listed.at(-1), "app/z");
  assert.deepEqual(seen.warnings.map(({ kind }) => kind), ["unreadable"]);
  assert.match(seen.warnings[0]!.message, /ENAMETOOLONG/);
  sh(`rm -rf "${dir.join("app")}"`);
});

Deno.test("files() reads sizes around its limits whole", async () => {
  using dir = scratch();
  const mib = 1024 * 1024;
  const sizes = [0, 1, 65_535, 65_536, 65_537, mib - 1, mib, mib + 1, 2 * mib - 1, 2 * mib, 2 * mib + 1];
  for (const size of sizes) plant(dir.path, { [`s/${size}`]: new Uint8Array(size).fill(size & 255) });
  for (const { path, kind, bytes, body, content } of await walkAll(dir.join("s"))) {
    if (kind !== "file") continue;
    const size = Number(path.slice(2));
    assert.equal(bytes, size);
    assert.equal(content.length, size);
    assert.equal(body instanceof Uint8Array, size <= mib);
    assert.equal(digest(content), digest(new Uint8Array(size).fill(size & 255)));
  }
});

Deno.test("files() gives chunks of at most 1 MiB that own their buffers", async () => {
  using dir = scratch();
  plant(dir.path, { big: new Uint8Array(3 * 1024 * 1024 + 5) });
  const built = await files(dir.join("big")).run(undefined, testContext());
  for await (const entry of built.entries()) {
    const buffers = new Set<ArrayBuffer>();
    for await (const chunk of (entry.body as () => ReadableStream<Uint8Array<ArrayBuffer>>)()) {
      assert.ok(chunk.length <= 1024 * 1024);
      assert.ok(!buffers.has(chunk.buffer));
      buffers.add(chunk.buffer);
      structuredClone(chunk, { transfer: [chunk.buffer] });
    }
    assert.equal(buffers.size, 4);
  }
});
