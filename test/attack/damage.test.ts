/** Cut anywhere, flipped anywhere, or followed by garbage: nothing is restored, the target stays as it was. */
import { strict as assert } from "node:assert";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import {
  archive,
  backup,
  collect,
  compress,
  encrypt,
  pipeline,
  restore,
  sign,
  store,
  upload,
  verify,
} from "../../mod.ts";
import { memoryState } from "../../src/context.ts";
import { findError, IntegrityError, KeyError, NotFoundError } from "../../src/errors.ts";
import type { Plan } from "../../src/find.ts";
import { bytesOf, identity, keysOf, makeTree, recipient } from "../engine/support.ts";
import { noise, scratch, sh } from "../support.ts";

const now = new Date("2026-11-20T03:00:00Z");
const SOAK = Deno.env.get("HOLDFAST_SOAK") === "1";
const SEALS = {
  age: () => encrypt.age({ recipients: [recipient], identities: () => identity }),
  plaintext: () => encrypt.plaintext(),
};
const PACKS = { zstd: () => compress.zstd(), gzip: () => compress.gzip() };

function planOf(
  source: string,
  to: Parameters<typeof upload>[0]["to"],
  pack: keyof typeof PACKS,
  seal: keyof typeof SEALS,
): Plan {
  return pipeline(collect.files(source)).pipe(archive.tar()).pipe(PACKS[pack]()).pipe(SEALS[seal]()).pipe(
    sign.sha256(),
  )
    .pipe(upload({ name: "app", to }));
}

/** A tree whose archive has several zstd frames, age chunks and gzip members. */
function bigTree(root: string): void {
  makeTree(root);
  writeFileSync(`${root}/large.bin`, noise(2_300_000, 7));
  writeFileSync(`${root}/large.txt`, "the same line again and again\n".repeat(100_000));
}

function refused(error: unknown): boolean {
  return [IntegrityError, KeyError, NotFoundError].some((kind) => findError(error, kind) !== undefined);
}

for (const pack of ["zstd", "gzip"] as const) {
  for (const seal of ["age", "plaintext"] as const) {
    // All places in the usual chain, every fifth in the others; `deno task soak` has all in all.
    const step = SOAK || pack === "zstd" && seal === "age" ? 1 : 5;
    Deno.test(`restore() of a bare file (${pack}, ${seal}) refuses every cut, flip and trailing byte`, async () => {
      using dir = scratch();
      bigTree(dir.join("src"));
      const to = store.memory();
      const plan = planOf(dir.join("src"), to, pack, seal);
      const { id } = await backup(plan, { now });
      const whole = await bytesOf(to, id);
      const file = dir.join("x.tar");
      const target = dir.join("out");
      async function fails(bytes: Uint8Array, what: string): Promise<void> {
        writeFileSync(file, bytes);
        const error = await restore(plan, { file, into: target }).then(() => undefined, (error) => error);
        if (error === undefined && pack === "gzip" && seal === "plaintext" && what.startsWith("flip")) {
          // RFC 1952 leaves bytes in a member's header free (MTIME, XFL, OS): such a flip changes nothing that is restored.
          sh(`diff -r --no-dereference '${dir.join("src")}' '${target}/src' && rm -r '${target}'`);
          return;
        }
        assert.ok(error !== undefined, `${what}: restored`);
        assert.ok(refused(error), `${what}: ${error}`);
        assert.equal(existsSync(target), false, `${what}: the target was touched`);
      }
      for (let i = 0; i < 200; i += step) {
        await fails(whole.subarray(0, Math.floor(whole.length * i / 200)), `cut at ${i}/200`);
      }
      await fails(whole.subarray(0, whole.length - 1), "cut by one byte");
      for (let i = 0; i < 200; i += step) {
        const flipped = whole.slice();
        const at = Math.floor(whole.length * (i + 0.5) / 200);
        flipped[at]! ^= 1 << (i % 8);
        await fails(flipped, `flip of byte ${at}`);
      }
      for (
        const tail of [[0x41], [0x1f, 0x8b], [0x28, 0xb5, 0x2f, 0xfd], [0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0]]
      ) {
        await fails(new Uint8Array([...whole, ...tail]), `garbage ${tail}`);
      }
      writeFileSync(file, whole);
      await restore(plan, { file, into: target }); // the allowed twin
      assert.deepEqual(readdirSync(target), ["src"]);
      assert.deepEqual(readdirSync(dir.path).filter((name) => name.includes("holdfast")), []);
    });
  }
}

Deno.test("verify() notices a flipped bit in each of 200 places over archive and sidecars", async () => {
  using dir = scratch();
  makeTree(dir.join("src"));
  const to = store.memory();
  const plan = planOf(dir.join("src"), to, "zstd", "age");
  const state = memoryState();
  const { id } = await backup(plan, { now, state });
  await verify(plan, { state, level: "full", now });
  const keys = (await keysOf(to)).filter((key) => key.startsWith(id));
  assert.deepEqual(keys.map((key) => key.slice(id.length)), ["", ".index", ".receipt.json", ".sha256"]);
  for (const key of keys) {
    const whole = await bytesOf(to, key);
    for (let i = 0; i < 50; i++) {
      const at = Math.floor(whole.length * (i + 0.5) / 50);
      const flipped = whole.slice();
      flipped[at]! ^= 1 << (i % 8);
      await to.put(key, flipped);
      await assert.rejects(verify(plan, { state, level: "full" }), refused, `${key}: byte ${at}`);
    }
    await to.put(key, whole);
    await to.put(key, new Uint8Array([...whole, 0]));
    await assert.rejects(verify(plan, { state, level: "full" }), refused, `${key}: one byte more`);
    await to.put(key, whole.subarray(0, whole.length - 1));
    await assert.rejects(verify(plan, { state, level: "full" }), refused, `${key}: one byte less`);
    await to.delete(key);
    await assert.rejects(verify(plan, { state, id, level: "full" }), refused, `${key}: deleted`);
    await to.put(key, whole);
  }
  assert.equal((await verify(plan, { state, level: "full", now })).ledger, "ok");
});
