/** Contents are written whole, whatever they come in, and errors are told apart. */
import { strict as assert } from "node:assert";
import { Buffer } from "node:buffer";
import { closeSync, openSync, readFileSync } from "node:fs";
import { withViews } from "../../src/blocks.ts";
import { toBytes } from "../../src/bytes.ts";
import { writeContent } from "../../src/collect/content.ts";
import type { Bytes, Entry, U8 } from "../../src/stage.ts";
import { scratch } from "../support.ts";

const PARTS = [new Uint8Array(300_000).fill(1), new Uint8Array(0), new Uint8Array(5).fill(2)];

function bodies(): (() => Bytes)[] {
  const stream = (): Bytes =>
    toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
      yield* PARTS;
    });
  // The buffer is used again, as a reader of archives does.
  const buffer = new Uint8Array(300_000);
  let next = 0;
  const viewed = withViews(() => stream(), () => {
    const part = PARTS[next++];
    buffer.fill(9);
    if (part) buffer.set(part);
    return Promise.resolve(part && buffer.subarray(0, part.length));
  });
  return [stream, viewed];
}

function entryOf(body: () => Bytes, bytes = 300_005): Entry {
  return {
    path: "a",
    kind: "file",
    mode: 0o600,
    mtimeMs: 0,
    uid: 0,
    gid: 0,
    uname: "",
    gname: "",
    bytes,
    body,
  };
}

async function writeTo(path: string, entry: Entry): Promise<void> {
  const fd = openSync(path, "w");
  try {
    const fault = (cause: unknown): Error => new Error("the disk's", { cause });
    await writeContent({ fd, fault }, entry, () => Promise.resolve());
  } finally {
    closeSync(fd);
  }
}

Deno.test("writeContent() writes streams, views and bytes whole", async () => {
  using dir = scratch();
  const wanted = Buffer.concat(PARTS);
  for (const body of bodies()) {
    await writeTo(dir.join("file"), entryOf(body));
    assert.ok(readFileSync(dir.join("file")).equals(wanted));
  }
  await writeTo(dir.join("file"), { ...entryOf(() => assert.fail()), body: new Uint8Array(wanted) });
  assert.ok(readFileSync(dir.join("file")).equals(wanted));
});

Deno.test("writeContent() tells the disk's errors from the source's, and refuses a wrong length", async () => {
  using dir = scratch();
  for (const body of bodies()) {
    await assert.rejects(writeTo("/dev/full", entryOf(body)), /^Error: the disk's$/);
  }
  const failing = (): Bytes =>
    toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
      yield PARTS[0]!;
      throw new Error("the source's");
    });
  await assert.rejects(writeTo(dir.join("f"), entryOf(failing)), /^Error: the source's$/);
  for (const bytes of [300_004, 300_006]) {
    for (const body of bodies()) {
      await assert.rejects(
        writeTo(dir.join("f"), entryOf(body, bytes)),
        /than the .* bytes its header says/,
      );
    }
  }
});
