import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { fileURLToPath, pathToFileURL } from "node:url";
import { toBytes } from "../../src/bytes.ts";
import { type Job, work } from "../../src/compress/codec.ts";
import { expand } from "../../src/compress/expand.ts";
import { inOrder, type Unit } from "../../src/compress/flow.ts";
import { createPool } from "../../src/compress/pool.ts";
import { gzipOn } from "../../src/compress/gzip.ts";
import { zstdOn } from "../../src/compress/zstd.ts";
import type { Bytes, U8 } from "../../src/stage.ts";
import { scratch, sh, testContext } from "../support.ts";
import { all, archive, LIMITS, lines, pack, unpack } from "./support.ts";

const MIB = 1024 * 1024;
const EAGER = { workers: 2, inlineBytes: 0, awaitStart: true };

function job(bytes: U8): Job {
  return { op: "zstd", bytes, value: 3 };
}

Deno.test("a pool starts no worker for small data", async () => {
  const refuses =
    `self.onmessage = () => self.postMessage({ error: "used" }); self.postMessage({ ready: true });`;
  const url = new URL(`data:text/javascript,${encodeURIComponent(refuses)}`);
  const pool = createPool({ workers: 2, url, awaitStart: true });
  await pool.run(job(lines(2 * MIB - 1)));
  await assert.rejects(pool.run(job(lines(1))), /^Error: used$/);
  pool.close();
});

/** Answers its first job, and then none: it is there, and busy. */
const BUSY = new URL(
  `data:text/javascript,${
    encodeURIComponent(`
      let jobs = 0;
      self.onmessage = ({ data }) => {
        if (++jobs === 1) self.postMessage({ bytes: data.bytes, spent: new ArrayBuffer(0) });
      };
      self.postMessage({ ready: true });
    `)
  }`,
);

/** How many workers are started for so many jobs, of which each took `madeMs` to make. */
async function workersFor(jobs: number, cores: number | undefined, madeMs: number): Promise<number> {
  const Real = globalThis.Worker;
  let started = 0;
  globalThis.Worker = class extends Real {
    constructor(...args: ConstructorParameters<typeof Real>) {
      super(...args);
      started++;
    }
  };
  const pool = createPool({ workers: 2, cores, inlineBytes: 0, awaitStart: true, url: BUSY });
  const results: Promise<unknown>[] = [];
  try {
    await pool.run(job(lines(100)), madeMs);
    for (let i = 0; i < jobs; i++) {
      results.push(pool.run(job(lines(100)), madeMs).catch(() => "closed"));
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    return started;
  } finally {
    globalThis.Worker = Real;
    pool.close();
    await Promise.all(results);
  }
}

Deno.test("a pool starts a second worker under lasting pressure, and where it has a core", async () => {
  assert.equal(await workersFor(5, undefined, 0), 1);
  assert.equal(await workersFor(6, undefined, 0), 2);
  assert.equal(await workersFor(6, 2, 0), 2);
  assert.equal(await workersFor(20, 2, 60_000), 1);
  assert.equal(await workersFor(6, 3, 60_000), 2);
});

Deno.test("inOrder() ends the generator it reads from, and gives results in order", async () => {
  let ended = false;
  async function* units(): AsyncGenerator<Unit> {
    try {
      for (let i = 0;; i++) {
        const bytes = new Promise<U8>((done) => setTimeout(() => done(new Uint8Array([i])), 5 - i));
        yield { weight: 1, bytes };
      }
    } finally {
      ended = true;
    }
  }
  const seen: number[] = [];
  for await (const [value] of inOrder(units(), 3, new ReadableStream<U8>().getReader())) {
    seen.push(value!);
    if (seen.length === 5) break;
  }
  assert.deepEqual(seen, [0, 1, 2, 3, 4]);
  assert.ok(ended);
  await new Promise((resolve) => setTimeout(resolve, 10));
});

Deno.test("a pool whose workers cannot start does the work itself", async () => {
  using dir = scratch();
  writeFileSync(dir.join("broken.ts"), `throw new Error("no");`);
  const bytes = lines(5 * MIB);
  for (const file of ["broken.ts", "absent.ts"]) {
    const object = await pack(zstdOn({ ...EAGER, url: pathToFileURL(dir.join(file)) }), bytes);
    assert.deepEqual(object, await pack(zstdOn({ workers: 0 }), bytes));
  }
});

Deno.test("a worker that stops in the middle is the stream's error", async () => {
  using dir = scratch();
  const url = pathToFileURL(dir.join("dies.ts"));
  writeFileSync(
    dir.join("dies.ts"),
    `self.onmessage = () => { throw new Error("out of memory"); };\nself.postMessage({ ready: true });`,
  );
  await assert.rejects(
    pack(zstdOn({ ...EAGER, url }), lines(5 * MIB)),
    /^StageError: zstd: Cannot go on: a compression worker stopped: .*out of memory/,
  );
});

Deno.test("a job that fails in a worker fails the stream there and nothing else", async () => {
  const pool = createPool({ workers: 1, inlineBytes: 0, awaitStart: true });
  try {
    await assert.rejects(
      pool.run({ op: "unzstd", bytes: lines(1000), value: 10 }),
      /Zstd|prefix|descriptor/i,
    );
    assert.ok((await pool.run(job(lines(1000)))).length > 0);
  } finally {
    pool.close();
  }
});

Deno.test("a frame that does not hold what it declares is an error", () => {
  const frame = work(job(lines(1000)));
  assert.throws(
    () => work({ op: "unzstd", bytes: frame, value: 1001 }),
    /it declares 1001 bytes and holds 1000/,
  );
  assert.throws(() => work({ op: "unzstd", bytes: frame, value: 999 }), RangeError);
  assert.equal(work({ op: "unzstd", bytes: frame, value: 1000 }).length, 1000);
});

Deno.test("a closed pool rejects what is under way and what comes later", async () => {
  const pool = createPool(EAGER);
  const waiting = pool.run(job(lines(MIB)));
  pool.close();
  await assert.rejects(waiting, { name: "AbortError" });
  await assert.rejects(pool.run(job(lines(MIB))), { name: "AbortError" });
});

/** A source that notes whether it was let go of. */
function watched(bytes: U8): { read: () => Bytes; released: () => boolean } {
  let released = false;
  return {
    released: () => released,
    read: () =>
      toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
        try {
          while (true) {
            for (let at = 0; at < bytes.length; at += MIB) yield bytes.slice(at, at + MIB);
          }
        } finally {
          released = true;
        }
      }),
  };
}

for (const [name, make] of [["zstd", zstdOn], ["gzip", gzipOn]] as const) {
  Deno.test(`${name}() cancelled midway ends its workers and lets go of the source`, async () => {
    const source = watched(lines(4 * MIB));
    const out = await make(EAGER).run(archive(source.read), testContext());
    const reader = out.body.read().getReader();
    for (let i = 0; i < 3; i++) await reader.read();
    await reader.cancel();
    assert.ok(source.released());
  });
}

Deno.test("expand() cancelled midway ends its workers and lets go of the source", async () => {
  const objects = [await pack(zstdOn({}), lines(9 * MIB)), await pack(gzipOn({}), lines(9 * MIB))];
  for (const object of objects) {
    const source = watched(object);
    const reader = expand({ read: source.read }, { limits: LIMITS, pool: EAGER }).read().getReader();
    await reader.read();
    await reader.cancel();
    assert.ok(source.released());
  }
});

Deno.test("a cancel reaches a source that hangs, in both directions", async () => {
  const first = await pack(zstdOn({}), lines(3 * MIB));
  for (const direction of ["run", "undo"] as const) {
    let reason: unknown;
    let pulls = 0;
    const hanging = new ReadableStream<U8>({
      pull: (controller): Promise<void> | undefined => {
        if (pulls++ === 0) controller.enqueue(first.slice(0, 600_000));
        else return new Promise(() => {});
        return undefined;
      },
      cancel: (why) => void (reason = why),
    }, { highWaterMark: 0 });
    const stage = zstdOn(EAGER);
    const stream = direction === "run"
      ? (await stage.run(archive(() => hanging), testContext())).body.read()
      : (await stage.undo(archive(() => hanging), testContext())).body.read();
    const reader = stream.getReader();
    const pending = reader.read();
    await new Promise((resolve) => setTimeout(resolve, 30));
    await reader.cancel("enough");
    await pending;
    assert.equal(reason, "enough");
  }
});

Deno.test("a damaged frame is the stream's error even while the source hangs", async () => {
  const object = await pack(zstdOn({}), lines(3 * MIB));
  object[20_000]! ^= 0xff;
  let pulls = 0;
  let cancelled = false;
  const hanging = new ReadableStream<U8>({
    pull: (controller): Promise<void> | undefined => {
      // The first frame and a part of the second: the walker waits for the rest while a worker finds the damage.
      if (pulls++ === 0) controller.enqueue(object.slice(0, -30));
      else return new Promise(() => {});
      return undefined;
    },
    cancel: () => void (cancelled = true),
  }, { highWaterMark: 0 });
  await assert.rejects(
    all(expand({ read: () => hanging }, { limits: LIMITS, pool: EAGER }).read()),
    /^IntegrityError: Cannot unpack the archive: frame 0 \(at byte 0\) is damaged/,
  );
  assert.ok(cancelled);
});

/** Every way a stream can end, each with workers started. */
const ENDINGS = `
  const EAGER = { workers: 2, inlineBytes: 0, awaitStart: true };
  const bytes = lines(7 * 1024 * 1024);
  const object = await pack(zstdOn(EAGER), bytes);
  const failing = () => toBytes(async function* () { yield bytes.slice(); throw new Error("gone"); });
  const run = async (read) => (await zstdOn(EAGER).run(archive(read), testContext())).body.read().getReader();
  const undo = (read) => expand({ read }, { limits: LIMITS, pool: EAGER }).read().getReader();
  const cancel = async (reader) => { await reader.read(); await reader.cancel(); };
  const drain = async (reader) => { while (!(await reader.read()).done); };
  const fails = (work) => work.then(() => { throw new Error("no error"); }, () => {});
  await cancel(await run(() => inChunks(bytes, 65536)));
  await fails(drain(await run(failing)));
  await drain(undo(() => inChunks(object, 65536)));
  await cancel(undo(() => inChunks(object, 65536)));
  await fails(drain(undo(() => inChunks(object.slice(0, -1), 65536))));
  const damaged = object.slice();
  damaged[30_000] ^= 1;
  await fails(drain(undo(() => inChunks(damaged, 65536))));
  console.log("done");`;

Deno.test("no worker outlives its stream: the process ends by itself", () => {
  using dir = scratch();
  const from = (path: string): string => new URL(path, import.meta.url).href;
  writeFileSync(
    dir.join("run.ts"),
    `import { zstdOn } from "${from("../../src/compress/zstd.ts")}";
    import { expand } from "${from("../../src/compress/expand.ts")}";
    import { toBytes } from "${from("../../src/bytes.ts")}";
    import { inChunks, testContext } from "${from("../support.ts")}";
    import { archive, lines, LIMITS, pack } from "${from("./support.ts")}";${ENDINGS}`,
  );
  // A worker that stays keeps its process alive.
  const line = "timeout 60 deno run -A --no-prompt --quiet --no-check run.ts";
  assert.equal(new TextDecoder().decode(sh(line, { cwd: dir.path })), "done\n");
});

Deno.test("workers unpack what workers packed", async () => {
  const bytes = lines(12 * MIB + 5);
  const object = await pack(zstdOn(EAGER), bytes);
  assert.deepEqual(await unpack(object, { pool: EAGER, table: true }), bytes);
});

Deno.test("workers need read permission for their folder alone; without it the caller's thread works, unasked", () => {
  using dir = scratch();
  const pool = new URL("../../src/compress/pool.ts", import.meta.url);
  writeFileSync(
    dir.join("run.ts"),
    `import { createPool } from "${pool.href}";
    const pool = createPool({ workers: 2, inlineBytes: 0 });
    const bytes = await pool.run({ op: "zstd", bytes: new Uint8Array(1000), value: 3 });
    console.log(bytes.length);
    pool.close();`,
  );
  const folder = fileURLToPath(new URL(".", pool));
  for (const flag of ["", `"--allow-read=${folder}worker.ts"`, `"--allow-read=${folder}"`]) {
    // What a worker that could not start has to say comes on standard error.
    const line = `deno run --no-prompt --quiet --no-check ${flag} run.ts 2>&1`;
    assert.equal(new TextDecoder().decode(sh(line, { cwd: dir.path })), "23\n", flag);
  }
});
