/** Changed pages as they are stored: hostile maps are refused, other places start anew. */
import { strict as assert } from "node:assert";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { backup, collect, restore, store } from "../../mod.ts";
import { bodyOf, sha256, utf8 } from "../../src/bytes.ts";
import { readMap, writeMap } from "../../src/collect/sqlite/delta.ts";
import { rebuild } from "../../src/collect/sqlite/rebuild.ts";
import { memoryState } from "../../src/context.ts";
import { IntegrityError } from "../../src/errors.ts";
import type { Entry, Files } from "../../src/stage.ts";
import { chain } from "../engine/chain.ts";
import { scratch, testContext } from "../support.ts";
import { append, makeDatabase, stateOf } from "./support.ts";

Deno.test("a map of pages is read as it was written, and no other", () => {
  const changed = [{ page: 0, count: 1 }, { page: 3, count: 2 }, { page: 9, count: 1 }];
  const map = writeMap({ pageSize: 4096, pages: 10, changed });
  assert.equal(new TextDecoder().decode(map), "4096 40960\n0 1 0\n3 2 1\n9 1 3\n");
  assert.deepEqual(readMap(map, "app.db"), { pageSize: 4096, bytes: 40960, runs: changed });
  assert.deepEqual(readMap(utf8("512 0\n"), "app.db").runs, []);
  for (
    const hostile of [
      "",
      "4096\n",
      "1000 40000\n",
      "131072 131072\n",
      "4096 40961\n",
      "4096 40960\n10 1 0\n", // behind the end
      "4096 40960\n9 2 0\n",
      "4096 40960\n3 1 0\n2 1 1\n", // backwards
      "4096 40960\n3 2 0\n4 1 2\n", // one over the other
      "4096 40960\n3 0 0\n",
      "4096 40960\n3 1 1\n", // does not begin where the one before ends
      "4096 40960\n3 1 0\n\n",
      "4096 40960\n-3 1 0\n",
      "4096 40960\n1e3 1 0\n",
      "4096 40960\n9999999999999999 1 0\n",
    ]
  ) {
    assert.throws(() => readMap(utf8(hostile), "app.db"), IntegrityError, JSON.stringify(hostile));
  }
});

type PartOf = readonly [path: string, body: Uint8Array];

/** An increment as somebody could have made it. */
function increment(...parts: readonly PartOf[]): Files {
  const rest = { kind: "file", mode: 0o600, mtimeMs: 0, uid: 0, gid: 0, uname: "", gname: "" } as const;
  return {
    kind: "files",
    entries: async function* (): AsyncGenerator<Entry, void, undefined> {
      for (const [path, body] of parts) {
        yield await Promise.resolve({
          ...rest,
          path,
          bytes: body.length,
          body: bodyOf(new Uint8Array(body)).read,
        });
      }
    },
    facts: () => ({ sources: [], stages: [] }),
  };
}

Deno.test("pages that lie are refused: a size beyond what is there, other lengths, other names, another digest", async () => {
  using dir = scratch();
  const staged = dir.join("staged");
  const page = (byte: number): Uint8Array => new Uint8Array(512).fill(byte);
  const base = new Uint8Array([...page(1), ...page(2), ...page(3)]);
  const after = new Uint8Array([...page(1), ...page(9)]);
  const place = (path: string): { staged: string; target: string } | undefined =>
    path === "a.db" ? { staged, target: "" } : undefined;
  const attempt = async (...parts: readonly PartOf[]): Promise<void> => {
    writeFileSync(staged, base);
    await rebuild([increment(...parts)], place, testContext());
  };
  const map = (text: string): readonly [string, Uint8Array] => ["a.db.delta/map", utf8(text)];
  const pages = ["a.db.delta/pages", page(9)] as const;
  const sum = ["a.db.delta/sha256", utf8(`${sha256(after)}  a.db\n`)] as const;
  await attempt(map("512 1024\n1 1 0\n"), pages, sum);
  assert.deepEqual(new Uint8Array(readFileSync(staged)), after);
  const refused: readonly (readonly [RegExp, ...PartOf[]])[] = [
    [/"a\.db\.delta\/map", which is not/, map("512 65536\n1 1 0\n"), pages, sum],
    [/"a\.db\.delta\/pages", which is not/, map("512 1024\n0 2 0\n"), pages, sum],
    [/"a\.db\.delta\/pages", which is not/, pages, sum],
    [/is not what it was when it was stored/, map("512 1024\n0 1 0\n"), pages, sum],
    [/is not what it was/, map("512 1024\n1 1 0\n"), pages],
    [/is not what it was/, map("512 1024\n1 1 0\n"), pages, ["a.db.delta/sha256", utf8("0 a.db\n")]],
    [/"a\.db\.delta\/other", which is not/, ["a.db.delta/other", page(0)]],
    [/"a\.db", which is not/, ["a.db", page(0)]],
  ];
  for (const [i, [words, ...parts]] of refused.entries()) {
    await assert.rejects(attempt(...parts), (error: Error) => {
      assert.ok(error instanceof IntegrityError, `case ${i}`);
      assert.match(error.message, words);
      return true;
    });
  }
});

Deno.test("sqlite since: other databases under one name, or a target that lacks the newest backup, start anew", async () => {
  using dir = scratch();
  mkdirSync(dir.join("spool"));
  makeDatabase(dir.join("a.db"), 500);
  writeFileSync(dir.join("b.db"), readFileSync(dir.join("a.db")));
  const state = memoryState();
  let second = 0;
  const options = { since: "latest", spoolDir: dir.join("spool") } as const;
  const [near, sound] = [store.directory(dir.join("near")), store.directory(dir.join("far"))];
  let away = false;
  const far: typeof sound = {
    ...sound,
    put: (...args) => away ? Promise.reject(new Error("away")) : sound.put(...args),
  };
  const run = async (
    source: string,
    to: readonly typeof near[],
  ): Promise<readonly [number, string | null, string]> => {
    const db = new DatabaseSync(dir.join(source));
    append(db, 1);
    db.close();
    const plan = chain(collect.sqlite({ "app.db": dir.join(source) }, options), [...to]);
    const now = new Date(Date.UTC(2026, 0, 1, 0, 0, second++));
    const { receipt, id } = await backup(plan, { state, now });
    return [Number(receipt.sources[0]!.facts.increment), receipt.contents.base, id];
  };
  assert.equal((await run("a.db", [near]))[0], 0);
  assert.equal((await run("a.db", [near]))[0], 1);
  assert.equal((await run("b.db", [near]))[0], 0);
  assert.equal((await run("b.db", [near]))[0], 1);
  // The second target has nothing yet, then it misses one. In the end both have the same, and each receipt names the base as that target has it.
  assert.equal((await run("b.db", [near, far]))[0], 0);
  assert.equal((await run("b.db", [near, far]))[0], 1);
  away = true;
  assert.equal((await run("b.db", [near, far]))[0], 2);
  away = false;
  assert.equal((await run("b.db", [near, far]))[0], 0);
  const [increments, base, id] = await run("b.db", [near, far]);
  assert.equal(increments, 1);
  for (const name of ["near", "far"]) {
    const own = JSON.parse(readFileSync(dir.join(name, `${id}.receipt.json`), "utf8")).contents.base;
    if (name === "near") assert.equal(own, base);
    const plan = chain(
      collect.sqlite({ "app.db": dir.join("b.db") }, options),
      store.directory(dir.join(name)),
    );
    await restore(plan, { id, into: dir.join(`r-${name}`) });
    assert.equal(stateOf(dir.join(`r-${name}`, "app.db")).seq, 507);
  }
});
