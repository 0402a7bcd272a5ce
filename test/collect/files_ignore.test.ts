import assert from "node:assert/strict";
import * as fs from "node:fs";
import fc from "fast-check";
import { files, type FilesOptions } from "../../src/collect/mod.ts";
import { judged, scratch, sh, testContext } from "../support.ts";
import { paths, plant } from "./files_support.ts";

const SOAK = Deno.env.get("HOLDFAST_SOAK") === "1";

async function stored(root: string, options: FilesOptions): Promise<string[]> {
  return (await paths(await files(root, options).run(undefined, testContext()))).map((path) =>
    path.slice("app/".length)
  );
}

const TREE = {
  "app/cache/a": "",
  "app/cache/deep/b": "",
  "app/data/cache/c": "",
  "app/data/x.log": "",
  "app/data/.x.json": "",
  "app/x.log": "",
  "app/keep": "",
  "app/empty/": "",
  "app/new\nline/y": "",
};

const ALL = [
  "",
  "cache/",
  "cache/a",
  "cache/deep/",
  "cache/deep/b",
  "data/",
  "data/.x.json",
  "data/cache/",
  "data/cache/c",
  "data/x.log",
  "empty/",
  "keep",
  "new\nline/",
  "new\nline/y",
  "x.log",
];

const TABLE: readonly [options: FilesOptions, left: (path: string) => boolean][] = [
  [{}, () => false],
  [{ exclude: ["cache/**"] }, (path) => /^cache\/./.test(path)],
  [{ exclude: ["cache"] }, (path) => /^(data\/)?cache\//.test(path)],
  [{ exclude: ["/cache"] }, (path) => path.startsWith("cache/")],
  [{ exclude: ["./cache/"] }, (path) => path.startsWith("cache/")],
  [{ exclude: ["*.log"] }, (path) => path.endsWith(".log")],
  [{ exclude: ["/*.log"] }, (path) => path === "x.log"],
  [{ exclude: ["data/*"] }, (path) => /^data\/./.test(path)],
  [{ exclude: ["keep/"] }, () => false],
  [{ exclude: ["empty/", "keep"] }, (path) => path === "empty/" || path === "keep"],
  [{ exclude: ["new*"] }, (path) => path.startsWith("new")],
  [{ exclude: ["new\nline/**"] }, (path) => path === "new\nline/y"],
  [{ exclude: ["**/y"] }, (path) => path === "new\nline/y"],
  [{ exclude: ["**/c"] }, (path) => path === "data/cache/c"],
  [{ exclude: ["{cache,data}"] }, (path) => /^(cache|data)\//.test(path)],
  [{ include: ["*.log"] }, (path) => !["", "data/", "data/x.log", "x.log"].includes(path)],
  [{ include: ["*.json"] }, (path) => !["", "data/", "data/.x.json"].includes(path)],
  [{ include: ["/cache"] }, (path) => path !== "" && !path.startsWith("cache/")],
  [
    { include: ["data"], exclude: ["*.log"] },
    (path) => path !== "" && (!path.startsWith("data/") || path.endsWith(".log")),
  ],
  [{ include: ["nothing"] }, (path) => path !== ""],
];

for (const [options, left] of TABLE) {
  Deno.test(`files() stores the right part with ${JSON.stringify(options)}`, async () => {
    using dir = scratch();
    plant(dir.path, TREE);
    assert.deepEqual(await stored(dir.join("app"), options), ALL.filter((path) => !left(path)));
  });
}

Deno.test("files() excludes apply to what is below each root, and a root is always stored", async () => {
  using dir = scratch();
  plant(dir.path, { "one/cache/x": "", "cache/y": "", "file": "" });
  const stage = files([dir.join("one"), dir.join("cache"), dir.join("file")], { exclude: ["cache", "file"] });
  assert.deepEqual(await paths(await stage.run(undefined, testContext())), [
    "cache/",
    "cache/y",
    "file",
    "one/",
  ]);
});

Deno.test("files() warns about nothing that is excluded", async () => {
  using dir = scratch();
  plant(dir.path, { "app/x": "" });
  sh(`mkfifo app/pipe app/other`, { cwd: dir.path });
  const seen = { warnings: [] as { kind: string; message: string }[], infos: [] };
  const stage = files(dir.join("app"), { exclude: ["pipe"] });
  await paths(await stage.run(undefined, testContext({ seen })));
  assert.deepEqual(seen.warnings.map(({ message }) => message.slice(0, 11)), ['"app/other"']);
});

Deno.test("files() with excludeCaches stores only the tag of a folder with a valid CACHEDIR.TAG", async () => {
  using dir = scratch();
  plant(dir.path, {
    "app/c/CACHEDIR.TAG": "Signature: 8a477f597d28d172789f06886806bc55\n# more",
    "app/c/x/y": "",
    "app/d/CACHEDIR.TAG": "Signature: no",
    "app/d/z": "",
  });
  assert.deepEqual(await stored(dir.join("app"), { excludeCaches: true }), [
    "",
    "c/",
    "c/CACHEDIR.TAG",
    "d/",
    "d/CACHEDIR.TAG",
    "d/z",
  ]);
  assert.equal((await stored(dir.join("app"), {})).length, 8);
});

Deno.test("files() honours several kinds of ignore files, the later named one stronger", async () => {
  using dir = scratch();
  plant(dir.path, {
    "app/.gitignore": "*.o\n*.tmp\n",
    "app/.backupignore": "!keep.o\n",
    "app/keep.o": "",
    "app/x.o": "",
  });
  const both = { ignoreFiles: [".gitignore", ".backupignore"] };
  assert.deepEqual(await stored(dir.join("app"), both), ["", ".backupignore", ".gitignore", "keep.o"]);
  const other = { ignoreFiles: [".backupignore", ".gitignore"] };
  assert.deepEqual(await stored(dir.join("app"), other), ["", ".backupignore", ".gitignore"]);
});

/** What git would take in, against what we store: the judge of ignore semantics. */
async function compareWithGit(root: string): Promise<void> {
  sh(`git init -q . && git config core.excludesFile /dev/null && git config core.ignoreCase false`, {
    cwd: root,
  });
  const listed = sh(`git ls-files -z --others --exclude-standard`, { cwd: root });
  fs.rmSync(`${root}/.git`, { recursive: true });
  const theirs = new TextDecoder().decode(listed).split("\0").filter((path) => path !== "").sort();
  const ours = (await stored(root, { ignoreFiles: [".gitignore"] })).filter((path) =>
    path !== "" && !path.endsWith("/")
  );
  assert.deepEqual(ours.sort(), theirs);
}

judged("files() ignores what git ignores, in nested files with negation", ["git"], async () => {
  using dir = scratch();
  plant(dir.path, {
    "app/.gitignore":
      "# comment\n*.log\n!important.log\n/build\nnode_modules/\ndoc/**/*.pdf\n\\#hash\ntrail\\ \nlog[0-9]\nx/a/\n",
    "app/a.log": "",
    "app/important.log": "",
    "app/build/out": "",
    "app/src/build/out": "",
    "app/node_modules/m/i": "",
    "app/src/node_modules": "a file",
    "app/doc/x.pdf": "",
    "app/doc/a/b/y.pdf": "",
    "app/doc/a/b/y.txt": "",
    "app/#hash": "",
    "app/trail ": "",
    "app/log1": "",
    "app/LOG1": "",
    "app/A.LOG": "",
    "app/sub/.gitignore": "!*.log\nlocal\n/top\n",
    "app/sub/b.log": "",
    "app/sub/local/x": "",
    "app/sub/deeper/local": "",
    "app/sub/deeper/top": "",
    "app/sub/top": "",
    "app/sub/deeper/.gitignore": "b.log\n",
    "app/sub/deeper/b.log": "",
    "app/sub/deeper/c.log": "",
    // A folder that one file leaves out and a deeper one takes back in.
    "app/x/.gitignore": "!a/\n",
    "app/x/a/f": "",
    "app/x/a/g.log": "",
    "app/x/a/deep/h": "",
    "app/all/.gitignore": "*\n!.gitignore\n!*/\n!yes\n",
    "app/all/no": "",
    "app/all/in/yes": "",
    "app/all/in/no": "",
  });
  await compareWithGit(dir.join("app"));
});

judged("files() ignores what git ignores, on random trees and rules", ["git"], async () => {
  // ASCII only: git matches bytes, so "?" is half an "é" to it.
  const part = fc.constantFrom("a", "b", "ab", "c.x", "d.x", "A", "sp ace", "[z]", "*");
  const path = fc.array(part, { minLength: 1, maxLength: 3 }).map((parts) => parts.join("/"));
  const rule = fc.tuple(
    fc.constantFrom("", "", "!"),
    fc.constantFrom("", "", "/", "**/"),
    fc.oneof(
      path,
      fc.constantFrom(
        "*",
        "*.x",
        "a*",
        "?",
        "a/*",
        "*/b",
        "a/**",
        "**/b",
        "[ab]",
        "[!a]",
        "\\*",
        "sp\\ ace",
        "**",
      ),
    ),
    fc.constantFrom("", "", "/"),
  ).map((parts) => parts.join(""));
  const ignoreFile = fc.record({
    at: fc.constantFrom("", "a/", "b/", "a/b/"),
    rules: fc.array(rule, { minLength: 1, maxLength: 4 }),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(path, { minLength: 1, maxLength: 12 }),
      fc.array(ignoreFile, { maxLength: 3 }),
      async (leaves, ignores) => {
        using dir = scratch();
        fs.mkdirSync(dir.join("app"));
        for (const { at, rules } of ignores) {
          plant(dir.path, { [`app/${at}.gitignore`]: rules.join("\n") + "\n" });
        }
        for (const leaf of leaves) {
          try {
            plant(dir.path, { [`app/${leaf}`]: "" });
          } catch {
            // A file stands where this one needs a folder, or the other way round.
          }
        }
        await compareWithGit(dir.join("app"));
      },
    ),
    { numRuns: SOAK ? 3000 : 40, seed: 20_261_120 },
  );
});

Deno.test("files() does not follow an ignore file that is a link, and forgets nothing over many folders", async () => {
  using dir = scratch();
  plant(dir.path, { "rules": "x\n", "app/x": "", "app/y/x": "" });
  fs.symlinkSync("../rules", dir.join("app/.gitignore"));
  assert.deepEqual(await stored(dir.join("app"), { ignoreFiles: [".gitignore"] }), [
    "",
    ".gitignore",
    "x",
    "y/",
    "y/x",
  ]);
});

Deno.test("files() goes by the lists that it was given, whatever becomes of them", async () => {
  using dir = scratch();
  plant(dir.path, { ...TREE, "app/keep": "data\n" });
  const lists = { exclude: ["cache"], ignoreFiles: [".gitignore"] };
  const stage = files(dir.join("app"), lists);
  lists.exclude.push("!data", "keep");
  lists.ignoreFiles.push("keep");
  const found = await paths(await stage.run(undefined, testContext()));
  assert.deepEqual(found, ALL.filter((path) => !path.includes("cache")).map((path) => `app/${path}`));
});
