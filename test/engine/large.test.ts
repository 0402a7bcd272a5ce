/**
 * What is larger than any buffer on the way comes back, by each compression and each encryption: whoever hands on part of a buffer that
 * another gives back would be met here.
 */
import { strict as assert } from "node:assert";
import * as fs from "node:fs";
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
import { noise, scratch } from "../support.ts";
import { openpgpPair } from "../sign/support.ts";
import { identity, recipient } from "./support.ts";

const pair = await openpgpPair();
const ENCRYPTIONS = {
  age: () => encrypt.age({ recipients: [recipient], identities: () => identity }),
  openpgp: () => encrypt.openpgp({ recipients: [pair.certificate], secretKey: () => pair.secretKey }),
  plaintext: () => encrypt.plaintext(),
};
const COMPRESSIONS = { zstd: () => compress.zstd(), gzip: () => compress.gzip(), none: () => undefined };

for (const [by, encryption] of Object.entries(ENCRYPTIONS)) {
  for (const [tool, compression] of Object.entries(COMPRESSIONS)) {
    Deno.test(`30 MiB come back by ${tool} and ${by}`, async () => {
      using dir = scratch();
      const source = dir.join("source");
      fs.mkdirSync(source);
      // A third packs well, the rest not at all: 20 MiB are stored, and stores read files beyond 16 MiB in another way.
      const content = noise(30 * 2 ** 20 + 7);
      content.fill(0x20, 3 * 2 ** 20, 13 * 2 ** 20);
      fs.writeFileSync(`${source}/large`, content);
      const to = store.directory(dir.join("store"));
      const packed = pipeline(collect.files(source)).pipe(archive.tar());
      const squeezed = compression();
      const plan = (squeezed ? packed.pipe(squeezed) : packed)
        .pipe(encryption())
        .pipe(sign.sha256())
        .pipe(upload({ to, name: "app" }));
      await backup(plan);
      assert.equal((await verify(plan, { level: "full" })).entries, 2);
      await restore(plan, { into: dir.join("into") });
      assert.ok(fs.readFileSync(dir.join("into/source/large")).equals(content));
    });
  }
}
