/** OpenPGP messages beside stock gpg and sq: they read ours, theirs are read here. */
import { strict as assert } from "node:assert";
import { readFileSync, writeFileSync } from "node:fs";
import { archive, backup, collect, compress, encrypt, pipeline, sign, store, upload } from "../../mod.ts";
import { bodyOf, readAll } from "../../src/bytes.ts";
import type { Archive, Sealed, Stage, U8 } from "../../src/stage.ts";
import { judged, noise, scratch, sh, testContext } from "../support.ts";
import { gpgIn, stopAgent } from "../sign/support.ts";

const facts = (): ReturnType<Archive["facts"]> => ({ sources: [], stages: [] });
const read = (path: string): U8 => new Uint8Array(readFileSync(path));

async function seal(stage: Stage<Archive, Sealed>, bytes: U8): Promise<U8> {
  const archive: Archive = { kind: "archive", suffix: ".tar", body: bodyOf(bytes), facts };
  return await readAll((await stage.run(archive, testContext())).body.read(), 2 ** 30);
}

async function open(stage: Stage<Archive, Sealed>, bytes: U8): Promise<U8> {
  const sealed: Sealed = { kind: "sealed", suffix: ".tar.gpg", body: bodyOf(bytes), facts, signers: [] };
  return await readAll((await stage.undo(sealed, testContext())).body.read(), 2 ** 30);
}

judged("gpg -d and sq decrypt read what openpgp() writes; theirs are read here, whatever their form", [
  "gpg",
  "sq",
], async () => {
  using dir = scratch();
  const gpg = gpgIn(dir.path);
  try {
    sh(`${gpg} --passphrase '' --quick-gen-key 'Test <t@example.org>' future-default default never`);
    sh(`${gpg} --export > own.gpg; ${gpg} --export-secret-keys > own.sec`, { cwd: dir.path });
    sh(`sq key generate --userid Other --export other.sec; sq key extract-cert -o other.gpg other.sec`, {
      cwd: dir.path,
    });
    const both = [read(dir.join("own.gpg")), read(dir.join("other.gpg"))];
    const own = encrypt.openpgp({ recipients: both, secretKey: () => read(dir.join("own.sec")) });
    const other = encrypt.openpgp({ recipients: both, secretKey: () => read(dir.join("other.sec")) });
    for (const size of [0, 1, 460, 2 ** 20 - 25, 2 ** 20 - 24, 2 ** 21 - 25, 2 ** 21 + 1, 5_000_000]) {
      const bytes = noise(size, size + 1);
      writeFileSync(dir.join("ours.gpg"), await seal(own, bytes));
      const byGpg = sh(`${gpg} --status-fd 2 -d ours.gpg 2> status`, { cwd: dir.path });
      assert.deepEqual(new Uint8Array(byGpg), bytes, `gpg, ${size}`);
      assert.match(new TextDecoder().decode(read(dir.join("status"))), /GOODMDC/);
      const bySq = sh("sq decrypt --recipient-key other.sec ours.gpg", { cwd: dir.path });
      assert.deepEqual(new Uint8Array(bySq), bytes, `sq, ${size}`);
    }
    const bytes = new TextEncoder().encode("the same line\n".repeat(100_000));
    writeFileSync(dir.join("clear"), bytes);
    const to = "--trust-model always -r t@example.org";
    for (
      const line of [
        `${gpg} ${to} -e < clear`,
        `${gpg} ${to} --compress-algo none -e < clear`,
        `${gpg} ${to} --compress-algo zlib -e clear && cat clear.gpg`,
        `${gpg} ${to} --armor -e < clear`,
        `${gpg} ${to} --sign -e < clear`,
        `${gpg} --trust-model always -R t@example.org -e < clear`,
        `${gpg} ${to} --cipher-algo AES -e < clear`,
        `${gpg} ${to} --cipher-algo CAMELLIA256 -e < clear`,
      ]
    ) {
      const theirs = new Uint8Array(sh(line, { cwd: dir.path }));
      if (line.includes("CAMELLIA")) {
        await assert.rejects(open(own, theirs), /Cannot decrypt/);
        continue;
      }
      assert.deepEqual(await open(own, theirs), bytes, line);
    }
    const theirs = new Uint8Array(sh("sq encrypt --recipient-cert other.gpg clear", { cwd: dir.path }));
    assert.deepEqual(await open(other, theirs), bytes);
    const bzip2 = new Uint8Array(sh(`${gpg} ${to} --compress-algo bzip2 -e < clear`, { cwd: dir.path }));
    await assert.rejects(open(own, bzip2), /gpg -d/);
  } finally {
    stopAgent(dir.path);
  }
});

judged("what a plan with OpenPGP stores opens and verifies with gpg, sq, zstd and tar alone, receipts too", [
  "gpg",
  "sq",
  "zstd",
  "tar",
], async () => {
  using dir = scratch();
  const gpg = gpgIn(dir.path);
  try {
    sh(`${gpg} --passphrase '' --quick-gen-key 'Test <t@example.org>' future-default default never`);
    sh(`${gpg} --export > own.gpg; ${gpg} --export-secret-keys > own.sec; mkdir src; echo hello > src/a`, {
      cwd: dir.path,
    });
    const certificate = read(dir.join("own.gpg"));
    const plan = pipeline(collect.files(dir.join("src"))).pipe(archive.tar()).pipe(compress.zstd())
      .pipe(encrypt.openpgp({ recipients: [certificate] }))
      .pipe(sign.openpgp({ certificate, secretKey: () => read(dir.join("own.sec")) }))
      .pipe(upload({ name: "app", to: store.directory(dir.join("store")) }));
    const { id } = await backup(plan);
    const cwd = dir.join("store");
    for (const file of [id, `${id}.receipt.json`]) {
      sh(`${gpg} --verify ${file}.sig ${file}`, { cwd });
      sh(`sq verify --signer-cert ../own.gpg --detached ${file}.sig ${file}`, { cwd });
    }
    for (const open of [`${gpg} -d ${id}`, `sq decrypt --recipient-key ../own.sec ${id}`]) {
      const out = sh(`${open} | zstd -q -d | tar -xOf - src/a`, { cwd });
      assert.equal(new TextDecoder().decode(out), "hello\n", open);
    }
  } finally {
    stopAgent(dir.path);
  }
});
