/** One file out of a large encrypted archive costs a few MiB, whatever the archive's size; 10 GiB in a soak. */
import { strict as assert } from "node:assert";
import { archive, backup, cat, compress, pipeline, sign, store, upload } from "../../mod.ts";
import { scratch } from "../support.ts";
import { ageStage, counting, textOf } from "./support.ts";
import { smallText, wide } from "./wide.ts";

const MIB = 2 ** 20;
const soak = Deno.env.get("HOLDFAST_SOAK") === "1";

Deno.test(`cat() out of an encrypted archive of ${soak ? "10 GiB" : "48 MiB"} reads less than 16 MiB`, async () => {
  using dir = scratch();
  const to = counting(store.directory(dir.path));
  const plan = pipeline(wide(soak ? 10 * 1024 * MIB : 48 * MIB)).pipe(archive.tar()).pipe(
    compress.zstd({ level: 1 }),
  )
    .pipe(ageStage()).pipe(sign.sha256()).pipe(upload({ name: "app", to }));
  const { id } = await backup(plan);
  assert.ok((await to.head(id))!.bytes > (soak ? 10 * 1024 : 48) * MIB);
  to.reset();
  const path = `data/${soak ? "0039" : "0000"}/small250`;
  assert.equal(await textOf(await cat(plan, { path })), smallText(path));
  // Two frames at most, the seek table, a frame of the index and its tail, receipt and checksum.
  assert.ok(to.read() < (soak ? 16 : 6) * MIB, `${to.read()} bytes read`);
  if (soak) console.log(`${to.read()} bytes read of ${(await to.head(id))!.bytes}`);
});
