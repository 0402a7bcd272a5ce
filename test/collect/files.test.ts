import assert from "node:assert/strict";
import * as fs from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { files } from "../../src/collect/mod.ts";
import { findError, NotFoundError, StageError } from "../../src/errors.ts";
import { hasTool, judged, noise, scratch, type Seen, sh, testContext } from "../support.ts";
import { byPath, contentOf, digest, openIn, paths, plant, readEntries } from "./files_support.ts";

function seen(): Seen {
  return { warnings: [], infos: [] };
}

Deno.test("files() stores a root under its base name, with content, mode, time and owner", async () => {
  using dir = scratch();
  const big = noise(3 * 1024 * 1024 + 17);
  plant(dir.path, { "app/a.txt": "alpha", "app/sub/big.bin": big, "app/sub/empty": "", "app/void/": "" });
  fs.chmodSync(dir.join("app/a.txt"), 0o4751);
  fs.utimesSync(dir.join("app/a.txt"), 1_234_567_890.123, 1_234_567_890.123);
  fs.chmodSync(dir.join("app/void"), 0o1777);
  fs.symlinkSync("../nowhere", dir.join("app/link"));
  const stage = files(dir.join("app"));
  const built = await stage.run(undefined, testContext());
  assert.throws(() => built.facts(), /before the last one/);
  const all = await readEntries(built);
  assert.deepEqual(all.map(({ path, kind }) => [path, kind]), [
    ["app", "directory"],
    ["app/a.txt", "file"],
    ["app/link", "symlink"],
    ["app/sub", "directory"],
    ["app/sub/big.bin", "file"],
    ["app/sub/empty", "file"],
    ["app/void", "directory"],
  ]);
  const at = byPath(all);
  const a = at.get("app/a.txt")!;
  assert.deepEqual([a.mode, a.mtimeMs, a.bytes], [0o4751, 1_234_567_890_123, 5]);
  const stat = fs.statSync(dir.join("app/a.txt"));
  assert.deepEqual([a.uid, a.gid], [stat.uid, stat.gid]);
  if (stat.uid === 0) assert.equal(a.uname, "root");
  assert.equal(at.get("app/void")!.mode, 0o1777);
  assert.equal(at.get("app/link")!.target, "../nowhere");
  assert.equal(at.get("app/link")!.bytes, 0);
  const stored = at.get("app/sub/big.bin")!;
  assert.equal(stored.bytes, big.length);
  assert.equal(typeof stored.body, "function");
  assert.equal(digest(stored.content), digest(big));
  const [source] = built.facts().sources;
  assert.match(source!.cutAt, /^\d{4}-\d\d-\d\dT.*Z$/);
  assert.deepEqual(source!.facts, {
    roots: 1,
    entries: 7,
    files: 3,
    directories: 3,
    symlinks: 1,
    hardlinks: 0,
    bytes: 5 + big.length,
    warnings: {},
  });
  assert.deepEqual(built.notes!(), { roots: [{ path: "app", source: dir.join("app") }], warnings: [] });
});

Deno.test("files() stores several roots in order, by base name or by given name", async () => {
  using dir = scratch();
  plant(dir.path, { "b/app/x": "1", "c/app/y": "2", "app-data/z": "3", "single.txt": "4" });
  const roots = [dir.join("single.txt"), dir.join("app-data"), dir.join("b/app")];
  const listed = await paths(await files(roots).run(undefined, testContext()));
  assert.deepEqual(listed, ["app/", "app/x", "app-data/", "app-data/z", "single.txt"]);
  const named = files({ two: dir.join("c/app"), one: dir.join("b/app"), text: dir.join("single.txt") });
  assert.deepEqual(await paths(await named.run(undefined, testContext())), [
    "one/",
    "one/x",
    "text",
    "two/",
    "two/y",
  ]);
});

Deno.test("files() resolves a relative root when the stage is made, and follows a root that is a link", async () => {
  using dir = scratch();
  plant(dir.path, { "real/x": "1" });
  fs.symlinkSync("real", dir.join("current"));
  const before = Deno.cwd();
  try {
    Deno.chdir(dir.path);
    const stage = files("./current/");
    Deno.chdir("/");
    const built = await stage.run(undefined, testContext());
    assert.deepEqual(await paths(built), ["current/", "current/x"]);
    assert.deepEqual(built.notes!().roots, [{ path: "current", source: dir.join("real") }]);
  } finally {
    Deno.chdir(before);
  }
});

Deno.test("files() refuses roots that make no sense when it is made", () => {
  assert.throws(() => files([]), { name: "TypeError", message: /no path/ });
  assert.throws(() => files(""), { name: "TypeError", message: /not a path/ });
  assert.throws(() => files("a\0b"), { name: "TypeError" });
  assert.throws(() => files("/"), {
    name: "TypeError",
    message: /has no base name. Name it: \{ system: "\/" \}/,
  });
  assert.throws(() => files(["/a/x", "/b/x"]), { name: "TypeError", message: /both as "x". Name them/ });
  assert.throws(() => files({ "a/b": "/x" }), { name: "TypeError", message: /one name without slashes/ });
  assert.throws(() => files({ "..": "/x" }), { name: "TypeError" });
  assert.throws(() => files({ "": "/x" }), { name: "TypeError" });
  assert.doesNotThrow(() => files({ system: "/" }));
});

Deno.test("files() refuses wrong globs and ignore file names when it is made", () => {
  assert.throws(() => files("/x", { exclude: ["!keep"] }), { name: "TypeError", message: /negated/ });
  for (const glob of ["", "/", "./", ".//", 1 as never]) {
    assert.throws(() => files("/x", { include: [glob] }), { name: "TypeError", message: /not a glob/ });
  }
  const long = { name: "TypeError", message: /longer than 65000 characters/ };
  assert.throws(() => files("/x", { exclude: ["x".repeat(65_001)] }), long);
  for (const exclude of ["secret", new Set(["secret"])]) {
    assert.throws(() => files("/x", { exclude: exclude as never }), {
      name: "TypeError",
      message: /a list of globs/,
    });
  }
  assert.throws(() => files("/x", { exclude: ["/"] }), { name: "TypeError" });
  assert.throws(() => files("/x", { ignoreFiles: ["a/.gitignore"] }), {
    name: "TypeError",
    message: /ignoreFiles/,
  });
});

Deno.test("files() run throws NotFoundError for a missing root, and so does the walk when it goes later", async () => {
  using dir = scratch();
  plant(dir.path, { "app/x": "1" });
  const missing = files([dir.join("app"), dir.join("gone")]);
  await assert.rejects(async () => await missing.run(undefined, testContext()), (error) => {
    assert.ok(error instanceof NotFoundError);
    assert.match(error.message, /^Cannot back up ".*gone": it does not exist. Check the path$/);
    return true;
  });
  const built = await files(dir.join("app")).run(undefined, testContext());
  fs.rmSync(dir.join("app"), { recursive: true });
  await assert.rejects(readEntries(built), (error) => {
    assert.ok(error instanceof StageError && error.stage === "files");
    assert.ok(findError(error, NotFoundError));
    return true;
  });
  assert.throws(() => built.facts());
});

Deno.test("files() refuses a root that is a socket", async () => {
  using dir = scratch();
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(dir.join("sock"), resolve));
  try {
    const built = await files(dir.join("sock")).run(undefined, testContext());
    await assert.rejects(readEntries(built), /Cannot back up ".*sock"/);
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
});

Deno.test("files() keeps hard links, the first name as the file, across roots", async () => {
  using dir = scratch();
  plant(dir.path, { "one/b": "shared", "two/": "" });
  fs.linkSync(dir.join("one/b"), dir.join("one/a"));
  fs.linkSync(dir.join("one/b"), dir.join("two/c"));
  fs.linkSync(dir.join("one/b"), dir.join("outside"));
  const built = await files([dir.join("one"), dir.join("two")]).run(undefined, testContext());
  const all = await readEntries(built);
  assert.deepEqual(all.map(({ path, kind, target, bytes }) => [path, kind, target, bytes]), [
    ["one", "directory", undefined, 0],
    ["one/a", "file", undefined, 6],
    ["one/b", "hardlink", "one/a", 0],
    ["two", "directory", undefined, 0],
    ["two/c", "hardlink", "one/a", 0],
  ]);
});

Deno.test("files() leaves out sockets and pipes with a warning, without waiting for a pipe", async () => {
  using dir = scratch();
  plant(dir.path, { "app/x": "1" });
  sh(`mkfifo "${dir.join("app/pipe")}"`);
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(dir.join("app/sock"), resolve));
  try {
    const saw = seen();
    const built = await files(dir.join("app"), { strict: true }).run(undefined, testContext({ seen: saw }));
    assert.deepEqual(await paths(built), ["app/", "app/x"]);
    assert.deepEqual(saw.warnings.map(({ kind }) => kind), ["special", "special"]);
    assert.match(saw.warnings[0]!.message, /"app\/pipe": it is a socket, a pipe or a device/);
    assert.deepEqual(built.facts().sources[0]!.facts.warnings, { special: 2 });
    assert.deepEqual(built.notes!().warnings, [["special", "app/pipe"], ["special", "app/sock"]]);
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
});

Deno.test("files() opens no pipe that took a file's place", async () => {
  using dir = scratch();
  plant(dir.path, { "app/a": "1", "app/b": "2" });
  const saw = seen();
  const built = await files(dir.join("app")).run(undefined, testContext({ seen: saw }));
  const got: string[] = [];
  for await (const entry of built.entries()) {
    got.push(entry.path);
    if (entry.path === "app/a") {
      fs.rmSync(dir.join("app/b"));
      sh(`mkfifo "${dir.join("app/b")}"`);
    }
  }
  assert.deepEqual(got, ["app", "app/a"]);
  assert.deepEqual(saw.warnings.map(({ kind }) => kind), ["changed"]);
});

Deno.test("files() does not follow a link that took a file's or a folder's place", async () => {
  using dir = scratch();
  plant(dir.path, { "app/a": "1", "app/b": "2", "app/c/x": "3", "secret/x": "no", "secret.txt": "no" });
  const saw = seen();
  const built = await files(dir.join("app")).run(undefined, testContext({ seen: saw }));
  const got: string[] = [];
  for await (const entry of built.entries()) {
    got.push(entry.path);
    if (entry.path !== "app/a") continue;
    fs.rmSync(dir.join("app/b"));
    fs.symlinkSync(dir.join("secret.txt"), dir.join("app/b"));
    fs.rmSync(dir.join("app/c"), { recursive: true });
    fs.symlinkSync(dir.join("secret"), dir.join("app/c"));
  }
  assert.deepEqual(got, ["app", "app/a"]);
  assert.deepEqual(saw.warnings.map(({ kind }) => kind), ["changed", "changed"]);
});

Deno.test("files() warns about what vanishes and stores the rest; strict fails", async () => {
  for (const strict of [false, true]) {
    using dir = scratch();
    plant(dir.path, { "app/a": "1", "app/b": "2", "app/d/x": "3", "app/e": "4" });
    const saw = seen();
    const built = await files(dir.join("app"), { strict }).run(undefined, testContext({ seen: saw }));
    const got: string[] = [];
    const walk = async (): Promise<void> => {
      for await (const entry of built.entries()) {
        got.push(entry.path);
        if (entry.path !== "app/a") continue;
        fs.rmSync(dir.join("app/b"));
        fs.rmSync(dir.join("app/d"), { recursive: true });
      }
    };
    if (strict) {
      await assert.rejects(
        walk(),
        /Cannot back up "app\/b": it vanished during the backup. Nothing is stored/,
      );
      assert.deepEqual(got, ["app", "app/a"]);
      assert.throws(() => built.facts());
    } else {
      await walk();
      assert.deepEqual(got, ["app", "app/a", "app/e"]);
      assert.deepEqual(built.facts().sources[0]!.facts.warnings, { vanished: 2 });
      assert.deepEqual(built.notes!().warnings, [["vanished", "app/b"], ["vanished", "app/d"]]);
    }
  }
});

const MIB = 1024 * 1024;

Deno.test("files() fills a large file that shrinks with zeros, and says so; strict fails", async () => {
  for (const strict of [false, true]) {
    using dir = scratch();
    const content = noise(5 * MIB);
    plant(dir.path, { "app/log": content, "app/z": "last" });
    const saw = seen();
    const built = await files(dir.join("app"), { strict }).run(undefined, testContext({ seen: saw }));
    let got: Uint8Array[] = [];
    const walk = async (): Promise<void> => {
      for await (const entry of built.entries()) {
        if (entry.path !== "app/log") continue;
        assert.equal(entry.bytes, 5 * MIB);
        got = [];
        for await (const chunk of (entry.body as () => ReadableStream<Uint8Array>)()) {
          if (got.length === 0) fs.truncateSync(dir.join("app/log"), 2 * MIB + 7);
          got.push(chunk);
        }
      }
    };
    if (strict) {
      await assert.rejects(walk(), /Cannot back up "app\/log": it changed while it was read/);
      assert.throws(() => built.facts());
      continue;
    }
    await walk();
    const all = Uint8Array.from(got.flatMap((chunk) => [...chunk]));
    assert.equal(all.length, 5 * MIB);
    const expected = new Uint8Array(5 * MIB);
    expected.set(content.subarray(0, 2 * MIB + 7));
    assert.equal(digest(all), digest(expected));
    assert.deepEqual(saw.warnings.map(({ kind }) => kind), ["changed"]);
    assert.match(saw.warnings[0]!.message, /stored as zeros/);
    assert.deepEqual(built.facts().sources[0]!.facts.warnings, { changed: 1 });
  }
});

Deno.test("files() stores a large file that grows at the length it had, and says so", async () => {
  using dir = scratch();
  const content = noise(2 * MIB + 5);
  plant(dir.path, { log: content });
  const saw = seen();
  const built = await files(dir.join("log")).run(undefined, testContext({ seen: saw }));
  for await (const entry of built.entries()) {
    fs.appendFileSync(dir.join("log"), "more");
    assert.equal(digest(await contentOf(entry)), digest(content));
  }
  assert.deepEqual(saw.warnings.map(({ kind }) => kind), ["changed"]);
  assert.match(saw.warnings[0]!.message, /"log": it changed while it was read$/);
});

Deno.test("files() sees a large file that is rewritten in place at the same length", async () => {
  using dir = scratch();
  plant(dir.path, { log: noise(2 * MIB) });
  fs.utimesSync(dir.join("log"), 1000, 1000);
  const saw = seen();
  const built = await files(dir.join("log")).run(undefined, testContext({ seen: saw }));
  for await (const entry of built.entries()) {
    const fd = fs.openSync(dir.join("log"), "r+");
    fs.writeSync(fd, new Uint8Array(10), 0, 10, 0);
    fs.closeSync(fd);
    await contentOf(entry);
  }
  assert.deepEqual(saw.warnings.map(({ kind }) => kind), ["changed"]);
});

Deno.test("files() closes a large file whose body is skipped, given up, or read late", async () => {
  using dir = scratch();
  plant(dir.path, { "app/a": noise(2 * MIB), "app/b": noise(2 * MIB), "app/c": noise(2 * MIB) });
  const built = await files(dir.join("app")).run(undefined, testContext());
  let late: (() => ReadableStream<Uint8Array>) | undefined;
  for await (const entry of built.entries()) {
    const body = entry.body as undefined | (() => ReadableStream<Uint8Array>);
    if (entry.path === "app/a") late = body;
    if (entry.path === "app/b") {
      const reader = body!().getReader();
      await reader.read();
      await reader.cancel();
    }
    if (entry.path === "app/c") break;
  }
  await assert.rejects(contentOf({ body: late } as never), /the walk has gone on/);
  assert.deepEqual(openIn(dir.path), []);
});

Deno.test("files() warns about a SQLite database with a log beside it, and stores both", async () => {
  using dir = scratch();
  const header = "SQLite format 3\0" + "x".repeat(84);
  plant(dir.path, {
    "app/live.db": header,
    "app/live.db-wal": "log",
    "app/calm.db": header,
    "app/text": "no database",
    "app/text-wal": "",
  });
  const saw = seen();
  const built = await files(dir.join("app"), { strict: true }).run(undefined, testContext({ seen: saw }));
  assert.equal((await paths(built)).length, 6);
  assert.deepEqual(saw.warnings.map(({ kind }) => kind), ["sqlite"]);
  assert.match(saw.warnings[0]!.message, /"app\/live.db": .*collect\.sqlite/);
  const alone = seen();
  const one = await files(dir.join("app/live.db")).run(undefined, testContext({ seen: alone }));
  await readEntries(one);
  assert.deepEqual(alone.warnings.map(({ kind }) => kind), ["sqlite"]);
});

judged("files() warns about a real SQLite database in use", ["sqlite3"], async () => {
  using dir = scratch();
  const script =
    `PRAGMA journal_mode=WAL; CREATE TABLE t(x); INSERT INTO t VALUES (1);\n.shell cp -r ${dir.path} ${dir.path}.copy`;
  sh(`sqlite3 live.db`, { cwd: dir.path, input: new TextEncoder().encode(script) });
  try {
    const saw = seen();
    const built = await files(`${dir.path}.copy`).run(undefined, testContext({ seen: saw }));
    await readEntries(built);
    assert.deepEqual(saw.warnings.map(({ kind }) => kind), ["sqlite"]);
  } finally {
    fs.rmSync(`${dir.path}.copy`, { recursive: true, force: true });
  }
});

Deno.test("files() never reads a file whose name is not UTF-8, nor another one in its place", async () => {
  using dir = scratch();
  plant(dir.path, { "app/a\ufffdc": "true name", "app/link-": "" });
  // The first is listed exactly like the good one; the others have no twin.
  sh(
    `printf twin > $'a\\xffc'; printf bad > $'b\\xc3'; mkdir $'d\\xfe'; printf deep > $'d\\xfe/x'; ln -s $'t\\xff' link`,
    {
      cwd: dir.join("app"),
    },
  );
  const saw = seen();
  const built = await files(dir.join("app"), { metadata: "basic" }).run(
    undefined,
    testContext({ seen: saw }),
  );
  const all = byPath(await readEntries(built));
  assert.deepEqual([...all.keys()], ["app", "app/a\ufffdc", "app/link-"]);
  assert.equal(new TextDecoder().decode(all.get("app/a\ufffdc")!.content), "true name");
  assert.deepEqual(saw.warnings.map(({ kind }) => kind), ["name", "name", "name", "name"]);
  const strict = await files(dir.join("app"), { strict: true, metadata: "basic" }).run(
    undefined,
    testContext(),
  );
  await assert.rejects(readEntries(strict), /its name is not UTF-8/);
});

Deno.test("files() warns about what may not be read and stores the rest; strict fails", () => {
  using dir = scratch();
  plant(dir.path, { "app/a": "1", "app/closed/x": "2", "app/secret": "3", "app/z": "4" });
  const mod = new URL("../../src/collect/mod.ts", import.meta.url).href;
  const support = new URL("../support.ts", import.meta.url).href;
  fs.writeFileSync(
    dir.join("main.ts"),
    `import { files } from ${JSON.stringify(mod)};
     import { testContext } from ${JSON.stringify(support)};
     const seen = { warnings: [], infos: [] };
     const got = [];
     try {
       const built = await files(Deno.args[0], { strict: Deno.args[1] === "strict" }).run(undefined, testContext({ seen }));
       for await (const { path } of built.entries()) got.push(path);
     } catch (error) { got.push(error.message); }
     console.log(JSON.stringify({ got, kinds: seen.warnings.map((w) => w.kind + " " + w.message) }));`,
  );
  const run = (mode: string): { got: string[]; kinds: string[] } => {
    const deny = `--deny-read=${dir.join("app/secret")},${dir.join("app/closed")}`;
    const config = `--config=${new URL("../../deno.json", import.meta.url).pathname}`;
    const args = [
      "run",
      "-A",
      "--no-prompt",
      "--no-lock",
      config,
      deny,
      dir.join("main.ts"),
      dir.join("app"),
      mode,
    ];
    const out = new Deno.Command(Deno.execPath(), { args, env: { NO_COLOR: "1" } }).outputSync();
    assert.ok(out.success, new TextDecoder().decode(out.stderr));
    return JSON.parse(new TextDecoder().decode(out.stdout));
  };
  const { got, kinds } = run("");
  assert.deepEqual(got, ["app", "app/a", "app/z"]);
  assert.equal(kinds.length, 2);
  assert.match(kinds[0]!, /^unreadable "app\/closed": it cannot be read/);
  assert.match(kinds[1]!, /^unreadable "app\/secret": it cannot be read/);
  assert.match(run("strict").got.at(-1)!, /Cannot back up "app\/closed": it cannot be read/);
});

Deno.test({
  name: "files() warns when the system cannot read a file or says a wrong length (bind mounts, as root)",
  ignore: Deno.build.os !== "linux" || Deno.uid() !== 0 || !canMount(),
  fn: async () => {
    using dir = scratch();
    plant(dir.path, { "app/mem": "", "app/ok": "1", "app/size": "" });
    sh(`mount --bind /proc/self/mem app/mem && mount --bind /proc/version app/size`, { cwd: dir.path });
    try {
      const saw = seen();
      const built = await files(dir.join("app")).run(undefined, testContext({ seen: saw }));
      assert.deepEqual(await paths(built), ["app/", "app/ok", "app/size"]);
      assert.deepEqual(saw.warnings.map(({ kind }) => kind), ["unreadable", "changed"]);
      const strict = await files(dir.join("app"), { strict: true }).run(undefined, testContext());
      await assert.rejects(readEntries(strict), /"app\/mem": it cannot be read \(E[A-Z]+\)/);
    } finally {
      sh(`umount app/mem app/size`, { cwd: dir.path });
    }
  },
});

Deno.test({
  name:
    "files() fills a large file with zeros that fails while it is read, and says so (a broken ext2, as root)",
  ignore: Deno.build.os !== "linux" || Deno.uid() !== 0 || !canMount() || !hasTool("debugfs"),
  fn: async () => {
    using dir = scratch();
    plant(dir.path, { "app/": "" });
    const content = noise(3 * MIB);
    fs.writeFileSync(dir.join("content"), content);
    // The block that lists all blocks after the twelfth points outside the file system.
    sh(
      `truncate -s 16M image && mkfs.ext2 -q -b 4096 image && mount -o loop image app && cp content app/broken && umount app &&
       debugfs -w -R "set_inode_field broken block[IND] 99999999" image 2>&1 && mount -o loop,ro image app`,
      { cwd: dir.path },
    );
    try {
      const saw = seen();
      const built = await files(dir.join("app"), { exclude: ["lost+found"] }).run(
        undefined,
        testContext({ seen: saw }),
      );
      const broken = byPath(await readEntries(built)).get("app/broken")!;
      assert.equal(broken.content.length, content.length);
      assert.equal(digest(broken.content.subarray(0, 48 * 1024)), digest(content.subarray(0, 48 * 1024)));
      assert.ok(broken.content.subarray(MIB).every((byte) => byte === 0));
      assert.deepEqual(saw.warnings.map(({ kind }) => kind), ["unreadable"]);
      assert.match(saw.warnings[0]!.message, /cannot be read \(EIO\)/);
      const strict = await files(dir.join("app"), { strict: true }).run(undefined, testContext());
      await assert.rejects(readEntries(strict), /"app\/broken": it cannot be read \(EIO\)/);
    } finally {
      sh(`umount app`, { cwd: dir.path });
    }
  },
});

Deno.test({
  name: "files() with oneFileSystem stores a mount point as an empty folder (tmpfs, as root)",
  ignore: Deno.build.os !== "linux" || Deno.uid() !== 0 || !canMount(),
  fn: async () => {
    using dir = scratch();
    plant(dir.path, { "app/m/": "", "app/x": "1" });
    sh(`mount -t tmpfs none app/m && echo 2 > app/m/inside`, { cwd: dir.path });
    try {
      const all = files(dir.join("app"));
      const one = files(dir.join("app"), { oneFileSystem: true });
      assert.deepEqual(await paths(await all.run(undefined, testContext())), [
        "app/",
        "app/m/",
        "app/m/inside",
        "app/x",
      ]);
      assert.deepEqual(await paths(await one.run(undefined, testContext())), ["app/", "app/m/", "app/x"]);
    } finally {
      sh(`umount app/m`, { cwd: dir.path });
    }
  },
});

function canMount(): boolean {
  using dir = scratch();
  try {
    sh(`mount -t tmpfs none "${dir.path}" && umount "${dir.path}"`);
    return true;
  } catch {
    return false;
  }
}

Deno.test("files() stops at an abort between entries and between chunks", async () => {
  using dir = scratch();
  plant(dir.path, { "app/a": noise(4 * MIB), "app/b": "2" });
  for (const when of ["entry", "chunk"]) {
    const stop = new AbortController();
    const built = await files(dir.join("app")).run(undefined, testContext({ signal: stop.signal }));
    const walk = async (): Promise<void> => {
      for await (const entry of built.entries()) {
        if (entry.path !== "app/a") continue;
        if (when === "entry") stop.abort();
        for await (const _ of (entry.body as () => ReadableStream<Uint8Array>)()) stop.abort();
      }
    };
    await assert.rejects(walk(), { name: "AbortError" });
    assert.throws(() => built.facts());
  }
});

Deno.test("files() lets a timer cancel a walk whose consumer never waits", async () => {
  using dir = scratch();
  for (let i = 0; i < 40; i++) plant(dir.path, { [`app/${i}/x`]: "1" });
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), 1);
  const context = testContext({ signal: stop.signal });
  const slow = async (): Promise<void> => {
    for await (const _ of (await files(dir.join("app")).run(undefined, context)).entries()) {
      const until = performance.now() + 60;
      while (performance.now() < until);
    }
  };
  await assert.rejects(slow(), { name: "AbortError" });
  clearTimeout(timer);
});

Deno.test("files() counts progress to the last byte", async () => {
  using dir = scratch();
  plant(dir.path, { "app/a": noise(3 * MIB + 1), "app/b": "12345" });
  const updates: number[] = [];
  const context = { ...testContext(), progress: ({ bytes }: { bytes: number }) => void updates.push(bytes) };
  await readEntries(await files(dir.join("app")).run(undefined, context));
  assert.equal(updates.at(-1), 3 * MIB + 6);
  updates.reduce((last, next) => (assert.ok(next >= last && next - last <= MIB), next), 0);
});

Deno.test("files() keeps the first 10,000 names behind warnings", async () => {
  using dir = scratch();
  plant(dir.path, { "app/": "" });
  sh(`for i in $(seq 1 10050); do echo p$i; done | xargs mkfifo`, { cwd: dir.join("app") });
  const built = await files(dir.join("app")).run(undefined, testContext());
  await readEntries(built);
  assert.equal((built.notes!().warnings as unknown[]).length, 10_000);
  assert.deepEqual(built.facts().sources[0]!.facts.warnings, { special: 10_050 });
});

Deno.test("files() stores a sparse file as what it reads as", async () => {
  using dir = scratch();
  fs.writeFileSync(dir.join("sparse"), "head");
  fs.truncateSync(dir.join("sparse"), 3 * MIB);
  const [entry] = await readEntries(await files(dir.join("sparse")).run(undefined, testContext()));
  assert.equal(entry!.bytes, 3 * MIB);
  assert.equal(digest(entry!.content), digest(fs.readFileSync(dir.join("sparse"))));
});

Deno.test("files() of a chain of links that loops stores the links", async () => {
  using dir = scratch();
  plant(dir.path, { "app/d/": "" });
  fs.symlinkSync(".", dir.join("app/self"));
  fs.symlinkSync("b", dir.join("app/a"));
  fs.symlinkSync("a", dir.join("app/b"));
  fs.symlinkSync(join("..", "..", "app"), dir.join("app/d/up"));
  const listed = await paths(await files(dir.join("app")).run(undefined, testContext()));
  assert.deepEqual(listed, ["app/", "app/a", "app/b", "app/d/", "app/d/up", "app/self"]);
});
