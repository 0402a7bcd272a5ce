import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { bodyOf, concat } from "../../src/bytes.ts";
import { age } from "../../src/encrypt/mod.ts";
import { findError, IntegrityError } from "../../src/errors.ts";
import type { Reader, U8 } from "../../src/stage.ts";
import { judged, noise, scratch, sh } from "../support.ts";
import { alice, all, archiveOf, context, KIB64, sealedOf } from "./support.ts";

const options = { recipients: [alice.recipient], identities: () => alice.identity };
const SEALED = KIB64 + 16;

async function sealed(plain: U8): Promise<U8> {
  return await all((await age(options).run(archiveOf(plain), context)).body);
}

/** Opens forged bytes by ranges, past a header that is looked at first. */
async function opened(file: U8): Promise<Reader> {
  const archive = await age(options).undo({ ...sealedOf(file), body: bodyOf(file) }, context);
  return (await archive.body.open!())!;
}

function isIntegrity(error: unknown): boolean {
  assert.ok(findError(error, IntegrityError), String(error));
  return true;
}

/** Where the chunks begin. */
function payloadOf(file: U8): number {
  return file.indexOf(10, file.indexOf("---".charCodeAt(0), 100)) + 1 + 16;
}

Deno.test("age() undone by ranges gives the bytes of each range, at every length around chunk borders", async () => {
  for (const size of [0, 1, KIB64 - 1, KIB64, KIB64 + 1, 2 * KIB64, 5 * KIB64 + 333]) {
    const plain = noise(size, size + 1);
    const reader = await opened(await sealed(plain));
    assert.equal(reader.size, size);
    const edges = [0, 1, KIB64 - 1, KIB64, KIB64 + 1, 2 * KIB64, size - 1, size]
      .filter((edge) => edge >= 0 && edge <= size);
    for (const start of edges) {
      for (const end of edges.filter((end) => end >= start)) {
        assert.deepEqual(await reader.at(start, end), plain.slice(start, end), `${size}: ${start} to ${end}`);
      }
    }
    await assert.rejects(reader.at(0, size + 1), RangeError);
  }
});

Deno.test("by ranges too a file cut at a chunk's edge does not open, nor one with something behind", async () => {
  const file = await sealed(noise(3 * KIB64 + 100));
  const start = payloadOf(file);
  for (const cut of [0, 1, 16, SEALED, 2 * SEALED, 3 * SEALED, 3 * SEALED + 16, file.length - start - 1]) {
    await assert.rejects(opened(file.slice(0, start + cut)), isIntegrity, `cut after ${cut}`);
  }
  await assert.rejects(opened(concat([file, new Uint8Array(40)])), isIntegrity);
});

Deno.test("by ranges a chunk that was flipped, or stands in another's place, is an error and no bytes", async () => {
  const plain = noise(3 * KIB64 + 100);
  const file = await sealed(plain);
  const start = payloadOf(file);
  const flipped = file.slice();
  flipped[start + SEALED + 5]! ^= 1;
  const swapped = file.slice();
  swapped.set(file.subarray(start, start + SEALED), start + SEALED);
  swapped.set(file.subarray(start + SEALED, start + 2 * SEALED), start);
  for (const bad of [flipped, swapped]) {
    const reader = await opened(bad);
    assert.deepEqual(await reader.at(2 * KIB64, 3 * KIB64 + 100), plain.slice(2 * KIB64));
    await assert.rejects(reader.at(KIB64, KIB64 + 1), isIntegrity);
    await assert.rejects(reader.at(0, plain.length), isIntegrity);
  }
});

judged("what stock age wrote can be read by ranges", ["age"], async () => {
  using dir = scratch();
  const plain = noise(4 * KIB64 + 9);
  writeFileSync(dir.join("plain"), plain);
  sh(`age -r ${alice.recipient} -o '${dir.join("x.age")}' '${dir.join("plain")}'`);
  const reader = await opened(new Uint8Array(readFileSync(dir.join("x.age"))));
  assert.deepEqual(await reader.at(KIB64 - 3, 3 * KIB64), plain.slice(KIB64 - 3, 3 * KIB64));
});
