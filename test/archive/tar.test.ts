import assert from "node:assert/strict";
import { sha256, toBytes, utf8 } from "../../src/bytes.ts";
import { tar } from "../../src/archive/mod.ts";
import type { Bytes, Context, Entry, Files, U8 } from "../../src/stage.ts";
import { noise, testContext } from "../support.ts";
import { archiveOf, entry, filesOf, pack, plain, streamed, unpack } from "./help.ts";

const MIB = 1024 * 1024;

const tree: readonly Entry[] = [
  entry("a", { kind: "directory", mode: 0o1755, mtimeMs: 1_700_000_000_001 }),
  entry("a/empty", { body: new Uint8Array(0) }),
  entry("a/file", {
    mode: 0o4755,
    mtimeMs: -1,
    uid: 70_000,
    gid: 3_000_000,
    uname: "näme",
    gname: "g".repeat(40),
  }),
  entry("a/hard", { kind: "hardlink", target: "a/file" }),
  entry("a/link", { kind: "symlink", mode: 0o777, target: "../../" + "é".repeat(200) }),
  entry("b\nc", { mtimeMs: 9_000_000_000_999_000 }),
  entry("d/" + "x".repeat(254), { body: utf8("deep") }),
  entry("e/" + "yy/".repeat(60) + "z", { mtimeMs: -1500 }),
];

Deno.test("tar() undo gives back what run was given", async () => {
  const { archive, bytes } = await pack(tree);
  assert.equal(bytes.length % 512, 0);
  assert.deepEqual(await unpack(bytes), await plain(tree));
  assert.deepEqual(await unpack({ ...archive, body: archiveOf(bytes).body }), await plain(tree));
});

Deno.test("tar() undo gives back files around 512 bytes, 64 KiB and 1 MiB", async () => {
  const sizes = [511, 512, 513, 65535, 65536, 65537, MIB - 1, MIB, MIB + 1, 2 * MIB + 1];
  const entries = sizes.flatMap((size, i) => [
    entry(`bytes-${i}`, { body: noise(size, i + 1), bytes: size }),
    streamed(`stream-${i}`, noise(size, i + 100), 1000 + size / 7 | 0),
  ]);
  const { bytes } = await pack(entries);
  assert.deepEqual(await unpack(bytes), await plain(entries));
});

Deno.test("tar() run gives blocks of 2 MiB, each in a buffer of its own", async () => {
  const archive = await tar().run(filesOf([streamed("big", noise(4 * MIB))]), testContext());
  const sizes: number[] = [];
  for await (const chunk of archive.body.read()) {
    sizes.push(chunk.length);
    assert.equal(chunk.byteOffset, 0);
    if (chunk.length !== 2 * MIB) assert.equal(chunk.length, chunk.buffer.byteLength);
  }
  assert.deepEqual(sizes, [2 * MIB, 2 * MIB, 512 + 1024]);
});

Deno.test("tar() gives streamed content in chunks of at most 1 MiB, whatever it reads", async () => {
  const { bytes } = await pack([streamed("big", noise(5 * MIB))]);
  const one = toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
    yield bytes;
  });
  const files = await tar().undo(archiveOf(one), testContext());
  for await (const { body } of files.entries()) {
    assert.ok(typeof body === "function");
    for await (const chunk of body()) {
      assert.ok(chunk.length <= MIB);
      assert.equal(chunk.length, chunk.buffer.byteLength);
    }
  }
});

Deno.test("tar() reads nothing before the body is pulled", async () => {
  const files = filesOf([], {
    entries: () => {
      throw new Error("read too early");
    },
  });
  const archive = await tar().run(files, testContext());
  assert.throws(() => archive.body.read(), /read too early/);
  const undone = await tar().undo(
    archiveOf(new Uint8Array(0), {
      body: {
        read: () => {
          throw new Error("read too early");
        },
      },
    }),
    testContext(),
  );
  assert.equal(undone.listing, undefined);
});

Deno.test("tar() facts and index throw before the last byte, and are right after it", async () => {
  const archive = await tar().run(filesOf(tree, { notes: () => ({ roots: ["a"] }) }), testContext());
  assert.throws(() => archive.facts(), /after its last byte/);
  assert.throws(() => archive.index!.read(), /after its last byte/);
  for await (const _ of archive.body.read());
  const { stages, contents } = archive.facts();
  assert.deepEqual(stages, [{ verb: "archive", tool: "tar" }]);
  assert.equal(contents?.entries, tree.length);
  assert.equal(contents?.bytes, tree.reduce((sum, { bytes }) => sum + bytes, 0));
  assert.match(contents!.merkleRoot, /^[0-9a-f]{64}$/);
  assert.deepEqual([contents?.base, contents?.metadata], [null, "basic"]);
  const files = await tar().undo({ ...archive, body: archiveOf(new Uint8Array(0)).body }, testContext());
  assert.deepEqual(files.notes!(), { roots: ["a"] });
  assert.throws(() => archive.body.read(), /twice/);
});

Deno.test("tar() listing has the digest and the place of every file", async () => {
  const { archive, bytes } = await pack(tree);
  const files = await tar().undo({ ...archive, body: archiveOf(bytes).body }, testContext());
  let seen = 0;
  for await (const line of files.listing!()) {
    const { body: _, ...rest } = (await plain(tree))[seen++]!;
    const { offset, sha256: digest, ...found } = line;
    assert.deepEqual(found, rest);
    const content = bytes.subarray(offset, offset + line.bytes);
    assert.equal(digest, line.kind === "file" ? sha256(content) : undefined);
  }
  assert.equal(seen, tree.length);
});

Deno.test("tar() takes the collector's digest, and refuses one of a wrong length", async () => {
  const digest = new Uint8Array(32).fill(7);
  const { archive, bytes } = await pack([entry("x", { sha256: () => digest })]);
  const files = await tar().undo({ ...archive, body: archiveOf(bytes).body }, testContext());
  for await (const line of files.listing!()) assert.equal(line.sha256, "07".repeat(32));
  await assert.rejects(pack([entry("x", { sha256: () => new Uint8Array(31) })]), /SHA-256 has 31 bytes/);
});

Deno.test("tar() run throws on a file that gives fewer or more bytes than it said", async () => {
  const content = noise(1000);
  for (const bytes of [999, 1001]) {
    await assert.rejects(
      pack([entry("x", { body: content, bytes })]),
      /Cannot archive "x": it gave .* bytes/,
    );
    await assert.rejects(
      pack([{ ...streamed("x", content, 100), bytes }]),
      /Cannot archive "x": it gave .* bytes/,
    );
  }
  await assert.rejects(pack([entry("x", { body: undefined, bytes: 5 })]), /it gave 0 of 5 bytes/);
  await pack([entry("x", { body: content, bytes: 1000 })]);
});

Deno.test("tar() run leaves a file that does not end", async () => {
  let closed = 0;
  await assert.rejects(
    pack([entry("x", { bytes: 5, body: () => endless(() => closed++) })]),
    /more than 5 bytes/,
  );
  assert.equal(closed, 1);
});

Deno.test("tar() run throws on entries that break the contract", async () => {
  const wrong: [Entry, RegExp][] = [
    [entry(""), /it is empty/],
    [entry("/x"), /it is absolute/],
    [entry("a//x"), /empty, "\." or "\.\." part/],
    [entry("a/"), /empty, "\." or "\.\." part/],
    [entry("."), /empty, "\." or "\.\." part/],
    [entry("a/../x"), /empty, "\." or "\.\." part/],
    [entry("a\0b"), /holds a NUL/],
    [entry("a\ud800"), /not valid Unicode/],
    [entry("x", { mode: 0o10000 }), /mode 4096/],
    [entry("x", { mode: 1.5 }), /mode 1.5/],
    [entry("x", { mtimeMs: 0.5 }), /mtimeMs 0.5/],
    [entry("x", { uid: -1 }), /uid -1/],
    [entry("x", { gid: NaN }), /gid NaN/],
    [entry("x", { uname: "a\0" }), /owner's name/],
    [entry("x", { target: "y" }), /a file has no target/],
    [entry("x", { kind: "directory", body: utf8("y") }), /a directory has no content/],
    [entry("x", { kind: "directory", target: "y" }), /a directory has no target/],
    [entry("x", { kind: "symlink" }), /a symlink needs a target/],
    [entry("x", { kind: "symlink", target: "" }), /a symlink needs a target/],
    [entry("x", { kind: "hardlink", target: "../y" }), /no path of this archive/],
    [entry("x", { kind: "socket" as "file", target: "y" }), /has no content|not known/],
  ];
  for (const [bad, why] of wrong) await assert.rejects(pack([bad]), why);
  await pack([entry("..x/.y./a..b/..."), entry("x", { kind: "symlink", target: "../y" })]);
});

Deno.test("tar() run names a path that comes twice, in order or not", async () => {
  await assert.rejects(pack([entry("a"), entry("a")]), /Cannot archive "a" twice/);
  await assert.rejects(pack([entry("b"), entry("a"), entry("b")]), /Cannot archive "b" twice/);
  await assert.rejects(pack([entry("b"), entry("c"), entry("a"), entry("a")]), /Cannot archive "a" twice/);
  await assert.rejects(pack([entry("a"), entry("a/b")]), /"a" is a file, not a directory/);
  await assert.rejects(pack([entry("a/b"), entry("a")]), /"a" is a file, not a directory/);
  await pack([entry("b"), entry("a"), entry("ab")]);
  await pack([entry("a", { kind: "directory" }), entry("a/b")]);
});

Deno.test("tar() makes equal bytes of equal input when it is deterministic", async () => {
  const content = noise(2 * MIB + 5);
  const first = [entry("b"), entry("a", { kind: "directory" }), streamed("a/x", content), entry("a!")];
  const again = [
    entry("a", { kind: "directory", uid: 5, uname: "bob" }),
    entry("a!", { mtimeMs: 12_345 }),
    streamed("a/x", content, 77_777),
    entry("b", { gid: 9 }),
  ];
  const { bytes, archive } = await pack(first, { deterministic: true });
  assert.equal(sha256((await pack(again, { deterministic: true })).bytes), sha256(bytes));
  const read = await unpack(bytes);
  assert.deepEqual(read.map(({ path }) => path), ["a", "a/x", "a!", "b"]);
  assert.ok(
    read.every(({ mtimeMs, uid, gid, uname, gname }) => mtimeMs + uid + gid === 0 && uname + gname === ""),
  );
  assert.deepEqual(archive.facts().stages[0]?.options, { deterministic: true, mtimeMs: 0 });
  const later = await pack(first, { deterministic: true, mtimeMs: 1_000_500 });
  assert.ok((await unpack(later.bytes)).every(({ mtimeMs }) => mtimeMs === 1_000_500));
});

Deno.test("tar() keeps hard links whole when sorting moves them before their file", async () => {
  const entries = [
    entry("z", { body: utf8("shared") }),
    entry("b", { kind: "hardlink", target: "z" }),
    entry("c", { kind: "hardlink", target: "z" }),
  ];
  const read = await unpack((await pack(entries, { deterministic: true })).bytes);
  assert.deepEqual(read.map(({ path, kind, target }) => [path, kind, target]), [
    ["b", "file", undefined],
    ["c", "hardlink", "b"],
    ["z", "hardlink", "b"],
  ]);
  assert.deepEqual(read[0]?.body, utf8("shared"));
  const dangling = [entry("b", { kind: "hardlink", target: "gone" })];
  await assert.rejects(pack(dangling, { deterministic: true }), /hard link to "gone", which is no file/);
});

Deno.test("tar() holds nothing when a collector promises path order, and notices a broken promise", async () => {
  let alive = 0;
  let most = 0;
  function* walk(): Generator<Entry, void, undefined> {
    for (let i = 0; i < 50; i++) {
      most = Math.max(most, ++alive);
      yield entry(`f${String(i).padStart(3, "0")}`, {
        bytes: 1,
        ...streamOnce(() => alive--),
      });
    }
  }
  await pack(walk(), { deterministic: true }, { ordered: true });
  assert.equal(most, 1);
  const own = await pack([entry("b"), entry("c"), entry("a")], { deterministic: true }, { steady: true });
  assert.deepEqual((await unpack(own.bytes)).map(({ path }) => path), ["b", "c", "a"]);
  const broken = pack([entry("b"), entry("a")], { deterministic: true }, { ordered: true });
  await assert.rejects(broken, /the collector promised path order/);
});

function streamOnce(done: () => void): { body: () => Bytes } {
  return {
    body: () =>
      toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
        yield utf8("x");
        done();
      }),
  };
}

Deno.test("tar() refuses to sort more small files than it may hold", async () => {
  const body = new Uint8Array(MIB);
  function* many(count: number): Generator<Entry, void, undefined> {
    for (let i = 0; i < count; i++) {
      yield entry(`f${i}`, {
        body,
        bytes: MIB,
        sha256: () => new Uint8Array(32),
      });
    }
  }
  await assert.rejects(pack(many(257), { deterministic: true }), /take more than 256.0 MiB of memory/);
  await pack(many(5), { deterministic: true });
});

Deno.test("tar() throws at wrong options when it is made", () => {
  assert.throws(() => tar({ mtimeMs: 5 }), TypeError);
  assert.throws(() => tar({ deterministic: true, mtimeMs: 0.5 }), RangeError);
  assert.throws(() => tar({ deterministic: "yes" as unknown as boolean }), TypeError);
  tar({ deterministic: true, mtimeMs: -5 });
});

Deno.test("tar() run cancels the open file and the walk", async () => {
  const events: string[] = [];
  async function* walk(): AsyncGenerator<Entry, void, undefined> {
    try {
      yield entry("big", { bytes: 100 * MIB, body: () => endless(() => events.push("file")) });
    } finally {
      events.push("walk");
    }
  }
  const archive = await tar().run(filesOf([], { entries: walk }), testContext());
  const reader = archive.body.read().getReader();
  await reader.read();
  await reader.cancel();
  assert.deepEqual(events, ["file", "walk"]);
  assert.throws(() => archive.facts());
});

function endless(closed: () => void): Bytes {
  return new ReadableStream<U8>({
    pull: (controller) => controller.enqueue(new Uint8Array(MIB)),
    cancel: () => closed(),
  }, { highWaterMark: 0 });
}

Deno.test("tar() run stops when the signal fires", async () => {
  const stop = new AbortController();
  let closed = 0;
  const big = entry("big", { bytes: 100 * MIB, body: () => endless(() => closed++) });
  const archive = await tar().run(filesOf([big]), testContext({ signal: stop.signal }));
  const reader = archive.body.read().getReader();
  await reader.read();
  stop.abort();
  await assert.rejects(reader.read(), { name: "AbortError" });
  assert.equal(closed, 1);
});

Deno.test("tar() undo stops when the signal fires", async () => {
  const { bytes } = await pack([entry("a"), entry("b")]);
  const stop = new AbortController();
  const files = await tar().undo(archiveOf(bytes), testContext({ signal: stop.signal }));
  await assert.rejects(async () => {
    for await (const _ of files.entries()) stop.abort();
  }, { name: "AbortError" });
});

Deno.test("tar() undo cancels its source when iteration stops, in a file or between files", async () => {
  const { bytes } = await pack([streamed("big", noise(3 * MIB)), entry("c")]);
  for (const pull of [false, true]) {
    let cancelled = 0;
    const source = new ReadableStream<U8>({
      pull: (controller) => controller.enqueue(bytes.slice(0, MIB)),
      cancel: () => void cancelled++,
    }, { highWaterMark: 0 });
    const files = await tar().undo(archiveOf(source), testContext());
    for await (const { body } of files.entries()) {
      if (pull && typeof body === "function") await body().getReader().read();
      break;
    }
    assert.equal(cancelled, 1);
  }
});

Deno.test("tar() undo skips what is not read, and does not give it later", async () => {
  const { bytes } = await pack([streamed("a", noise(2 * MIB)), streamed("b", noise(2 * MIB, 2)), entry("c")]);
  const files = await tar().undo(archiveOf(bytes), testContext());
  const bodies: (() => Bytes)[] = [];
  const paths: string[] = [];
  let half: ReadableStreamDefaultReader<U8> | undefined;
  for await (const { path, body } of files.entries()) {
    paths.push(path);
    if (typeof body !== "function") continue;
    bodies.push(body);
    if (path === "b") {
      half = body().getReader();
      await half.read();
      assert.throws(() => body(), /Cannot read "b" twice/);
    }
  }
  assert.deepEqual(paths, ["a", "b", "c"]);
  assert.throws(() => bodies[0]!(), /Cannot read "a" any more/);
  await assert.rejects(half!.read(), /the next entry has been asked for/);
});

Deno.test("tar() undo reads its source to the end before iteration ends", async () => {
  const { bytes } = await pack([entry("a")]);
  let ended = false;
  const source = toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
    yield bytes;
    for (let i = 0; i < 5; i++) yield new Uint8Array(10_000);
    ended = true;
  });
  assert.equal((await unpack(source)).length, 1);
  assert.ok(ended);
});

Deno.test("tar() reports progress with every block", async () => {
  const seen: number[] = [0];
  const context: Context = {
    ...testContext(),
    progress: ({ phase, bytes }) => {
      assert.equal(phase, "collect");
      seen.push(bytes);
    },
  };
  const entries = [
    streamed("a", noise(4 * MIB)),
    ...Array.from({ length: 300 }, (_, i) => entry(`b${i}`, { body: noise(9000), bytes: 9000 })),
  ];
  const archive = await tar().run(filesOf(entries), context);
  for await (const _ of archive.body.read());
  assert.equal(seen.at(-1), 4 * MIB + 300 * 9000);
  assert.ok(
    seen.every((bytes, i) => i === 0 || bytes - seen[i - 1]! <= MIB + 300_000 && bytes >= seen[i - 1]!),
  );
});

Deno.test("tar() labels errors of its streams with its name, and keeps a collector's label", async () => {
  await assert.rejects(pack([entry("x", { bytes: 1 })]), { name: "StageError", stage: "tar" });
  await assert.rejects(unpack(noise(2000)), { name: "StageError", stage: "tar" });
  const files: Files = filesOf([], {
    entries: async function* (): AsyncGenerator<Entry, void, undefined> {
      yield entry("x");
      throw new DOMException("stop", "AbortError");
    },
  });
  const archive = await tar().run(files, testContext());
  await assert.rejects(archive.body.read().getReader().read(), { name: "AbortError" });
});

Deno.test("while a long hole is archived, timers and signals are heard", async () => {
  const chunk = new Uint8Array(MIB);
  let pulled = 0;
  let heard: number | undefined;
  const body = (): Bytes =>
    toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
      for (; pulled < 512; pulled++) yield chunk;
    });
  setTimeout(() => heard = pulled, 0);
  await pack([entry("hole", { bytes: 512 * MIB, extents: [], body })]);
  assert.ok(heard !== undefined && heard < 512, `heard after ${heard} MiB`);
});
