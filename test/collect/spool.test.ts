import assert from "node:assert/strict";
import * as fs from "node:fs";
import fc from "fast-check";
import { spool, SPOOL_MEMORY } from "../../src/collect/spool.ts";
import { noise, scratch, sh } from "../support.ts";
import { contentOf, digest, openIn } from "./files_support.ts";

const MIB = 1024 * 1024;

async function read(kept: ReturnType<typeof spool>): Promise<Uint8Array> {
  return await contentOf({ body: kept.read } as never);
}

Deno.test("spool() gives back what was written, at every size around its blocks", async () => {
  using dir = scratch();
  for (
    const size of [0, 1, MIB - 1, MIB, MIB + 1, SPOOL_MEMORY - 1, SPOOL_MEMORY, SPOOL_MEMORY + 1, 6 * MIB + 3]
  ) {
    const kept = spool("x", dir.path);
    const content = noise(size, size);
    for (let at = 0; at < size; at += 700_001) kept.write(content.subarray(at, at + 700_001));
    assert.equal(kept.size(), size);
    assert.equal(digest(await read(kept)), digest(content), String(size));
    assert.equal(digest(await read(kept)), digest(content), `${size}, again`);
    assert.throws(() => kept.write(content), /the writing has ended/);
    assert.equal(openIn(dir.path).length, size > SPOOL_MEMORY ? 1 : 0);
    kept.close();
    kept.close();
    assert.equal(openIn(dir.path).length, 0);
  }
});

Deno.test("spool() that seals beside this thread gives back the same, however fast it is filled", async () => {
  using dir = scratch();
  const content = noise(14 * MIB + 3);
  for (const pause of [false, true]) {
    const kept = spool("x", dir.path, 0, 4);
    for (let at = 0; at < content.length; at += 900_001) {
      kept.write(content.subarray(at, at + 900_001));
      if (pause) await new Promise((resolve) => setTimeout(resolve));
    }
    assert.equal(digest(await read(kept)), digest(content));
    const [file] = openIn(dir.path);
    assert.equal(fs.readFileSync(file!).length, content.length + 15 * 16);
    kept.close();
  }
});

Deno.test("spool() closed in the middle of its work keeps its file open until that has ended", async () => {
  using dir = scratch();
  const kept = spool("x", dir.path, 0, 4);
  kept.write(noise(3 * MIB));
  kept.close();
  assert.equal(openIn(dir.path).length, 1);
  while (openIn(dir.path).length > 0) await new Promise((resolve) => setTimeout(resolve, 5));
});

Deno.test("spool() gives chunks whose buffers may be transferred, and reads again", async () => {
  using dir = scratch();
  const kept = spool("x", dir.path);
  const content = noise(6 * MIB);
  kept.write(content);
  for await (const chunk of kept.read()) structuredClone(chunk, { transfer: [chunk.buffer] });
  assert.equal(digest(await read(kept)), digest(content));
  kept.close();
});

Deno.test("spool() takes any cut of its input", async () => {
  using dir = scratch();
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 900_000 }), { maxLength: 12 }), async (sizes) => {
      const content = noise(sizes.reduce((sum, size) => sum + size, 0), 7);
      const kept = spool("x", dir.path);
      let at = 0;
      for (const size of sizes) kept.write(content.subarray(at, at += size));
      assert.equal(digest(await read(kept)), digest(content));
      kept.close();
    }),
    { numRuns: 12, seed: 20_261_120 },
  );
});

Deno.test("spool() leaves no name in the folder, and nothing readable on the disk", () => {
  using dir = scratch();
  const kept = spool("x", dir.path);
  const line = "the quick brown fox jumps over the lazy dog\n";
  const content = new TextEncoder().encode(line.repeat(Math.ceil(8 * MIB / line.length)));
  kept.write(content);
  assert.deepEqual(fs.readdirSync(dir.path), []);
  const [file] = openIn(dir.path);
  const stored = fs.readFileSync(file!);
  assert.ok(stored.length >= 3 * MIB);
  assert.equal(stored.includes("quick"), false);
  assert.equal(fs.statSync(file!).mode & 0o777, 0o600);
  kept.close();
});

Deno.test("spool() refuses a file that was changed or cut on the disk", async () => {
  using dir = scratch();
  for (const damage of ["flip", "cut"]) {
    const kept = spool("the dump", dir.path);
    kept.write(noise(7 * MIB));
    const [file] = openIn(dir.path);
    if (damage === "flip") {
      const fd = fs.openSync(file!, "r+");
      const byte = new Uint8Array(1);
      fs.readSync(fd, byte, 0, 1, MIB + 500);
      fs.writeSync(fd, byte.map((x) => x ^ 1), 0, 1, MIB + 500);
      fs.closeSync(fd);
    } else {
      fs.truncateSync(file!, 2 * MIB);
    }
    await assert.rejects(read(kept), {
      name: "IntegrityError",
      message: damage === "flip" ? /the dump.*was changed on disk/ : /the dump.*was cut/,
    });
    kept.close();
  }
});

Deno.test("spool() refuses a folder that is not there, when it needs it", () => {
  using dir = scratch();
  const kept = spool("the dump", dir.join("gone"));
  kept.write(new Uint8Array(SPOOL_MEMORY));
  assert.throws(
    () => kept.write(new Uint8Array(2 * MIB)),
    /Cannot spool the dump in ".*gone": .*Set spoolDir/,
  );
  kept.close();
});

Deno.test({
  name: "spool() stops before it fills the disk, and leaves it as it was (a small tmpfs, as root)",
  ignore: Deno.build.os !== "linux" || Deno.uid() !== 0 || !canMount(),
  fn: () => {
    using dir = scratch();
    fs.mkdirSync(dir.join("m"));
    sh(`mount -t tmpfs -o size=20m none m`, { cwd: dir.path });
    try {
      const free = (): number => {
        const { bavail, bsize } = fs.statfsSync(dir.join("m"));
        return bavail * bsize;
      };
      const before = free();
      const kept = spool("the dump", dir.join("m"));
      const flood = (): void => {
        for (let i = 0; i < 40; i++) kept.write(noise(MIB, i));
      };
      try {
        assert.throws(flood, /Cannot spool the dump: not enough space in ".*m", .* free. Free some/);
        assert.ok(free() >= MIB, "the last twentieth is left to others");
        assert.ok(kept.size() > 18 * MIB);
      } finally {
        kept.close();
      }
      assert.equal(free(), before);
    } finally {
      sh(`umount m`, { cwd: dir.path });
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
