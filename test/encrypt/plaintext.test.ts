import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { giveBack, takeBlock } from "../../src/blocks.ts";
import { toBytes } from "../../src/bytes.ts";
import { findError, IntegrityError } from "../../src/errors.ts";
import { age, plaintext } from "../../src/encrypt/mod.ts";
import type { Bytes, U8 } from "../../src/stage.ts";
import { noise } from "../support.ts";
import { alice, all, archiveOf, context, facts, MIB, pieces, rejection, sealedOf } from "./support.ts";

Deno.test("plaintext() changes nothing but says so in the facts", async () => {
  const archive = archiveOf(noise(3_000_000), noise(99));
  const sealed = await plaintext().run(archive, context);
  assert.equal(sealed.kind, "sealed");
  assert.equal(sealed.suffix, ".tar");
  assert.equal(sealed.body, archive.body);
  assert.deepEqual(sealed.signers, []);
  assert.deepEqual(sealed.facts().stages, [...facts().stages, { verb: "encrypt", tool: "plaintext" }]);
  const back = await plaintext().undo(sealed, context);
  assert.equal(back.kind, "archive");
  assert.equal(back.suffix, ".tar");
  assert.deepEqual(await all(back.body), noise(3_000_000));
  assert.deepEqual(await all(back.index!), noise(99));
});

Deno.test("plaintext() undo gives an empty body back", async () => {
  const back = await plaintext().undo(sealedOf(noise(0), ".tar"), context);
  assert.equal((await all(back.body)).length, 0);
});

Deno.test("plaintext() undo refuses what is encrypted, plain or armored, body or index", async () => {
  for (const armor of [false, true]) {
    const file = await all(
      (await age({ recipients: [alice.recipient], armor }).run(archiveOf(noise(9)), context)).body,
    );
    for (const bytes of armor ? [file, new Uint8Array([10, 10, ...file])] : [file]) {
      const back = await plaintext().undo({ ...sealedOf(bytes, ".tar"), index: pieces(bytes, 7) }, context);
      for (const body of [back.body, back.index!]) {
        const error = await rejection(all(body));
        assert.ok(findError(error, IntegrityError), String(error));
        assert.match(String(error), /encrypted with age. Use encrypt.age/);
      }
    }
  }
});

Deno.test("plaintext() undo is not fooled by clear text that only mentions age", async () => {
  for (const text of ["age-encryption.org/v1 is a format\n", "see -----BEGIN AGE ENCRYPTED FILE-----\n"]) {
    const bytes = new TextEncoder().encode(text);
    const back = await plaintext().undo(sealedOf(bytes, ".tar"), context);
    assert.deepEqual(await all(back.body), bytes);
  }
});

Deno.test("plaintext() undo hands chunks on as they come, so that a reader may give each back", async () => {
  const bytes = noise(5 * MIB);
  // As a store's files beyond 16 MiB are read.
  const read = (): Bytes =>
    toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
      for (let at = 0; at < bytes.length; at += 2 * MIB) {
        const chunk = takeBlock(2 * MIB).subarray(0, bytes.length - at);
        chunk.set(bytes.subarray(at, at + chunk.length));
        yield await Promise.resolve(chunk);
      }
    });
  const back = await plaintext().undo({ ...sealedOf(noise(0), ".tar"), body: { read } }, context);
  const got: Uint8Array[] = [];
  for await (const chunk of back.body.read()) {
    got.push(chunk.slice());
    giveBack(chunk);
  }
  assert.deepEqual(Buffer.concat(got), Buffer.from(bytes));
});
