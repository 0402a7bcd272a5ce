import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { sha256 as digestOf, utf8 } from "../../src/bytes.ts";
import { IntegrityError } from "../../src/errors.ts";
import { sha256 } from "../../src/sign/mod.ts";
import { encodeReceipt } from "../../src/receipt.ts";
import type { Proof, U8 } from "../../src/stage.ts";
import { judged, noise, scratch, sh } from "../support.ts";
import { context, facts, proofOf, rejection, sealedOf } from "../encrypt/support.ts";

const ID = "app_2026-11-20T03-00-00Z.tar.zst.age";

async function sidecar(bytes: U8): Promise<U8> {
  const sealed = await sha256().run(sealedOf(bytes), context);
  const [signer] = sealed.signers;
  assert.equal(signer!.suffix, ".sha256");
  assert.equal(signer!.authenticates, false);
  assert.equal(signer!.identity, undefined);
  const signature = await signer!.begin(ID);
  for (let at = 0; at < bytes.length; at += 1000) signature.add(bytes.subarray(at, at + 1000));
  return await signature.end();
}

async function undo(proof: Proof | undefined): Promise<unknown> {
  return await rejection(sha256().undo(sealedOf(noise(9), ".tar.zst.age", proof), context));
}

judged("sha256sum -c accepts what sha256() writes, and refuses another file", ["sha256sum"], async () => {
  using dir = scratch();
  const bytes = noise(123_456);
  writeFileSync(dir.join(ID), bytes);
  writeFileSync(dir.join("sums"), await sidecar(bytes));
  sh("sha256sum -c --strict sums", { cwd: dir.path });
  assert.equal(
    new TextDecoder().decode(await sidecar(bytes)),
    new TextDecoder().decode(sh(`sha256sum ${ID}`, { cwd: dir.path })),
  );
  writeFileSync(dir.join(ID), noise(123_456, 2));
  assert.throws(() => sh("sha256sum -c --strict sums", { cwd: dir.path }));
});

Deno.test("sha256() adds a signer after those before it, and a fact", async () => {
  const once = await sha256().run(sealedOf(noise(1)), context);
  const other = { ...once.signers[0]!, suffix: ".other" };
  const sealed = await sha256().run({ ...sealedOf(noise(1)), signers: [other] }, context);
  assert.deepEqual(sealed.signers.map(({ suffix }) => suffix), [".other", ".sha256"]);
  assert.deepEqual(sealed.facts().stages, [...facts().stages, { verb: "sign", tool: "sha256" }]);
});

Deno.test("sha256() undo accepts its own sidecar, and data without a receipt", async () => {
  const bytes = noise(5000);
  const proof = proofOf(ID, digestOf(bytes), { ".sha256": await sidecar(bytes) });
  const sealed = sealedOf(bytes, ".tar.zst.age", proof);
  assert.equal(await sha256().undo(sealed, context), sealed);
  const foreign = sealedOf(bytes);
  assert.equal(await sha256().undo(foreign, context), foreign);
});

Deno.test("sha256() undo throws when the sidecar was removed", async () => {
  const error = await undo(proofOf(ID, digestOf(noise(9))));
  assert.ok(error instanceof IntegrityError && /is missing/.test(error.message), String(error));
});

Deno.test("sha256() undo throws on a sidecar that is malformed, about another file or another digest", async () => {
  const hex = digestOf(noise(9));
  const cases: readonly (readonly [string, RegExp])[] = [
    ["", /not one line/],
    [`${hex}  ${ID}`, /not one line/],
    [`${hex} ${ID}\n`, /not one line/],
    [`${hex.toUpperCase()}  ${ID}\n`, /not one line/],
    [`${hex}  ${ID}\n${hex}  ${ID}\n`, /not one line/],
    [`${hex.slice(1)}  ${ID}\n`, /not one line/],
    [`${hex}  other\n`, /another file/],
    [`${hex}  ${ID}x\n`, /another file/],
    [`${digestOf(noise(8))}  ${ID}\n`, /not the one in the receipt/],
  ];
  for (const [text, message] of cases) {
    const error = await undo(proofOf(ID, hex, { ".sha256": utf8(text) }));
    assert.ok(error instanceof IntegrityError, `${JSON.stringify(text)}: ${error}`);
    assert.match(error.message, message);
  }
  const binary = await undo(proofOf(ID, hex, { ".sha256": new Uint8Array([0xff, 0xfe]) }));
  assert.ok(binary instanceof IntegrityError, String(binary));
});

Deno.test("sha256() undo throws on a flip of each bit of the sidecar", async () => {
  const bytes = noise(9);
  const good = await sidecar(bytes);
  for (let bit = 0; bit < good.length * 8; bit++) {
    const bad = new Uint8Array(good);
    bad[bit >> 3]! ^= 1 << (bit & 7);
    const error = await undo(proofOf(ID, digestOf(bytes), { ".sha256": bad }));
    assert.ok(error instanceof IntegrityError, `bit ${bit}: ${error}`);
  }
});

Deno.test("sha256() undo throws on a receipt that is damaged or of another event", async () => {
  const proof = proofOf(ID, digestOf(noise(9)), { ".sha256": await sidecar(noise(9)) });
  const damaged = await undo({ ...proof, receipt: proof.receipt.slice(1) });
  assert.ok(damaged instanceof IntegrityError, String(damaged));
  const prune = encodeReceipt({
    schema: "holdfast.receipt.v1",
    event: "prune",
    name: "app",
    id: ID,
    run: "01JDB2",
    parents: [],
    createdAt: "2026-11-20T03:00:00Z",
    completedAt: "2026-11-20T03:00:01Z",
    outcome: "complete",
    tombstones: [],
    live: [],
  });
  const other = await undo({ ...proof, receipt: prune });
  assert.ok(other instanceof IntegrityError && /names no archive/.test(other.message), String(other));
});
