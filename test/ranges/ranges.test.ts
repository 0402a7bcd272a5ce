/** One file out of many, and some of them, by ranges: what is read is counted, what comes out is compared. */
import { strict as assert } from "node:assert";
import { readFileSync } from "node:fs";
import {
  archive,
  backup,
  cat,
  collect,
  compress,
  encrypt,
  pipeline,
  restore,
  store,
  upload,
} from "../../mod.ts";
import type { Archive, Sealed, Stage } from "../../mod.ts";
import { readAll, sha256 } from "../../src/bytes.ts";
import { NotFoundError } from "../../src/errors.ts";
import { openpgpPair } from "../sign/support.ts";
import { scratch, sh } from "../support.ts";
import { ageStage, counting, makeWide, noted, planWith, textOf } from "./support.ts";

const pgp = await openpgpPair();
const MIB = 2 ** 20;
const CHAINS: Readonly<
  Record<string, () => readonly [Stage<Archive, Archive> | undefined, Stage<Archive, Sealed>]>
> = {
  "zstd, age": () => [compress.zstd(), ageStage()],
  "zstd, plaintext": () => [compress.zstd(), encrypt.plaintext()],
  "age alone": () => [undefined, ageStage()],
};

for (const [name, chain] of Object.entries(CHAINS)) {
  Deno.test(`cat() and restore(only) of ${name} read what they need and no more`, async () => {
    using dir = scratch();
    makeWide(dir.join("src"));
    const to = counting(store.memory());
    const plan = planWith(dir.join("src"), to, ...chain());
    await backup(plan);
    const { seen, options } = noted();
    for (const path of ["deep/er/small", "hard", "noise3.txt", "deep/empty"]) {
      to.reset();
      assert.equal(
        await textOf(await cat(plan, { ...options, path: `src/${path}` })),
        readFileSync(dir.join("src", path), "utf8"),
      );
      assert.ok(to.read() < 3 * MIB, `${path}: ${to.read()} bytes read`);
    }
    to.reset();
    const large = await readAll(await cat(plan, { ...options, path: "src/noise2" }), 2 ** 30);
    assert.equal(sha256(large), sha256(readFileSync(dir.join("src/noise2"))));
    assert.ok(to.read() < 9 * MIB, `4 MiB of noise: ${to.read()} bytes read`);
    to.reset();
    const into = dir.join("out");
    await restore(plan, { ...options, into, only: ["src/deep", "src/noise1.txt", "src/hard", "src/soft"] });
    assert.ok(to.read() < 6 * MIB, `restore: ${to.read()} bytes read`);
    sh(
      `rm '${dir.join("src")}'/noise[023]* '${dir.join("src/noise1")}' && diff -r --no-dereference '${
        dir.join("src")
      }' '${into}/src'`,
    );
    for (const path of ["deep", "deep/er/small"]) {
      const [a, b] = [Deno.statSync(dir.join("src", path)), Deno.statSync(dir.join("out/src", path))];
      assert.deepEqual([b.mode, Math.floor(+b.mtime! / 1000)], [a.mode, Math.floor(+a.mtime! / 1000)], path);
    }
    assert.deepEqual(seen, { warnings: [], infos: [] });
    await assert.rejects(cat(plan, { ...options, path: "src/none" }), NotFoundError);
    await assert.rejects(cat(plan, { ...options, path: "src/deep" }), /it is a directory/);
  });
}

Deno.test("restore(only) of a hard link whose first name is left out, and of an archive that is not in path order", async () => {
  using dir = scratch();
  for (const root of ["b", "a"]) makeWide(dir.join(root));
  const to = counting(store.memory());
  const plan = planWith([dir.join("b"), dir.join("a")], to, compress.zstd({ level: 1 }));
  await backup(plan);
  to.reset();
  const { seen, options } = noted();
  await restore(plan, { ...options, into: dir.join("out"), only: ["*/hard", "*/noise0.txt"] });
  assert.ok(to.read() < 12 * MIB, `${to.read()} bytes read`);
  assert.deepEqual(seen, { warnings: [], infos: [] });
  for (const root of ["a", "b"]) {
    assert.equal(readFileSync(dir.join("out", root, "hard"), "utf8"), "small\n");
    assert.equal(readFileSync(dir.join("out", root, "noise0.txt"), "utf8"), "after 0\n");
  }
});

Deno.test("restore(only) of a group's part in place reads that part", async () => {
  using dir = scratch();
  makeWide(dir.join("src"));
  const to = counting(store.memory());
  const group = collect.group({
    data: collect.files(dir.join("src")),
    dump: collect.command(["echo", "one line"], { path: "dump.txt", restore: ["false"] }),
  });
  const plan = pipeline(group).pipe(archive.tar()).pipe(compress.zstd({ level: 1 })).pipe(ageStage())
    .pipe(upload({ name: "app", to }));
  await backup(plan);
  const small = dir.join("src/deep/er/small");
  const { seen, options } = noted();
  for (const only of ["data/src/deep/er", "data/src/hard"]) {
    for (const path of [small, dir.join("src/hard")]) Deno.removeSync(path);
    Deno.writeTextFileSync(small, "other");
    Deno.linkSync(small, dir.join("src/hard"));
    to.reset();
    await restore(plan, { ...options, inPlace: true, only: [only], conflict: "overwrite" });
    assert.equal(
      readFileSync(dir.join(only.slice(5), only.endsWith("er") ? "small" : ""), "utf8"),
      "small\n",
    );
    assert.ok(to.read() < 6 * MIB, `${only}: ${to.read()} bytes read`);
  }
  assert.deepEqual(seen, { warnings: [], infos: [] });
});

Deno.test("restore(only) of most of an archive reads it from end to end", async () => {
  using dir = scratch();
  makeWide(dir.join("src"));
  const to = counting(store.memory());
  const plan = planWith(dir.join("src"), to, compress.zstd());
  const { id } = await backup(plan);
  to.reset();
  await restore(plan, { into: dir.join("out"), only: ["src/noise*"] });
  assert.ok(to.read(id) >= (await to.head(id))!.bytes);
  sh(`cmp '${dir.join("src/noise3")}' '${dir.join("out/src/noise3")}'`);
});

for (
  const [name, pack, seal] of [
    ["gzip", () => compress.gzip({ level: 1 }), ageStage],
    [
      "openpgp",
      () => compress.zstd(),
      () => encrypt.openpgp({ recipients: [pgp.certificate], secretKey: () => pgp.secretKey }),
    ],
    ["armor", () => compress.zstd(), () => ageStage({ armor: true })],
  ] as const
) {
  Deno.test(`cat() and restore(only) of ${name} read everything, and say so`, async () => {
    using dir = scratch();
    makeWide(dir.join("src"));
    const plan = planWith(dir.join("src"), store.memory(), pack(), seal());
    await backup(plan);
    const { seen, options } = noted();
    assert.equal(await textOf(await cat(plan, { ...options, path: "src/deep/er/small" })), "small\n");
    await restore(plan, { ...options, into: dir.join("out"), only: ["src/noise0.txt"] });
    assert.equal(readFileSync(dir.join("out/src/noise0.txt"), "utf8"), "after 0\n");
    assert.deepEqual(
      seen.infos.map((line) => /^Reading the whole/.test(line)),
      [true, true],
      seen.infos.join(),
    );
    assert.deepEqual(seen.warnings, []);
  });
}
