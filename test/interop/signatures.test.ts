/** Signatures beside stock gpg, sq and minisign: they accept ours, theirs are accepted here. */
import { strict as assert } from "node:assert";
import { readFileSync, writeFileSync } from "node:fs";
import { sign } from "../../mod.ts";
import { IntegrityError } from "../../src/errors.ts";
import type { Sealed, Stage, U8 } from "../../src/stage.ts";
import { judged, noise, scratch, sh } from "../support.ts";
import {
  gpgIn,
  ID,
  minisignPair,
  openpgpPair,
  receiptOf,
  signed,
  stopAgent,
  stored,
  undone,
} from "../sign/support.ts";

const bytes = noise(300_007);
const read = (path: string): U8 => new Uint8Array(readFileSync(path));
const words = (output: Uint8Array): string => new TextDecoder().decode(output).trim();

/** What lies beside `bytes` when a stock tool has signed them: `line` signs the file named by $F. */
function signedBy(folder: string, suffix: string, line: string): Map<string, U8> {
  const objects = new Map<string, U8>([["", bytes], [".receipt.json", receiptOf(bytes)]]);
  for (const [key, content] of [...objects]) {
    const file = `${folder}/${ID}${key}`;
    writeFileSync(file, content);
    sh(`F=${file}; ${line}`);
    objects.set(key + suffix, read(file + suffix));
  }
  return objects;
}

judged("minisign -V accepts what minisign() signs, and not a changed file", ["minisign"], async () => {
  using dir = scratch();
  const pair = minisignPair();
  const stage = sign.minisign({ publicKey: pair.publicKey, secretKey: () => pair.secretKey });
  writeFileSync(dir.join(ID), bytes);
  writeFileSync(dir.join(`${ID}.minisig`), await signed(stage, bytes, ID));
  const said = words(sh(`minisign -V -H -m ${ID} -P ${pair.publicKey}`, { cwd: dir.path }));
  assert.match(said, /Signature and comment signature verified/);
  assert.match(said, new RegExp(`file:${ID}`));
  writeFileSync(dir.join(ID), noise(300_008));
  assert.throws(() => sh(`minisign -V -H -m ${ID} -P ${pair.publicKey}`, { cwd: dir.path }));
});

judged("minisign() accepts what minisign -S signs, and opens its secret keys, encrypted ones too", [
  "minisign",
], async () => {
  using dir = scratch();
  sh(`minisign -G -W -p ${dir.path}/n.pub -s ${dir.path}/n.sec`);
  sh(`printf 'correct horse\\ncorrect horse\\n' | minisign -G -p ${dir.path}/m.pub -s ${dir.path}/m.sec`);
  for (const [key, passphrase] of [["n", undefined], ["m", "correct horse"]] as const) {
    const publicKey = words(read(dir.join(`${key}.pub`)));
    const stage = (word?: string): Stage<Sealed, Sealed> =>
      sign.minisign({
        publicKey,
        secretKey: () => Deno.readTextFile(dir.join(`${key}.sec`)),
        passphrase: word === undefined ? undefined : () => word,
      });
    const theirs = signedBy(
      dir.path,
      ".minisig",
      `${passphrase ? `printf '%s\\n' '${passphrase}' | ` : ""}minisign -S -s ${dir.path}/${key}.sec -m $F`,
    );
    assert.deepEqual(await undone(stage(), theirs), bytes);
    const one = stage(passphrase); // one for all: its key is derived once, with 1 GiB
    assert.deepEqual(await undone(stage(), await stored(one, bytes)), bytes);
  }
  // With another passphrase or, for that takes seconds, other parameters a key comes out that does not fit.
  const [comment, key] = words(read(dir.join("m.sec"))).split("\n") as [string, string];
  const other = Buffer.from(key, "base64");
  other.writeBigUInt64LE(32_768n, 38);
  other.writeBigUInt64LE(2n ** 24n, 46);
  const wrong = sign.minisign({
    publicKey: words(read(dir.join("m.pub"))),
    secretKey: () => `${comment}\n${other.toString("base64")}\n`,
    passphrase: () => "correct horse",
  });
  await assert.rejects(signed(wrong, bytes, ID), /passphrase does not fit/);
});

judged("minisign() refuses signatures of the old kind, saying so", ["minisign"], async () => {
  using dir = scratch();
  sh(`minisign -G -W -p ${dir.path}/n.pub -s ${dir.path}/n.sec`);
  const theirs = signedBy(dir.path, ".minisig", `minisign -S -l -s ${dir.path}/n.sec -m $F`);
  const stage = sign.minisign({ publicKey: words(read(dir.join("n.pub"))) });
  await assert.rejects(undone(stage, theirs), /of the old kind without a hash/);
});

judged("gpg --verify and sq verify accept what openpgp() signs, binary and armored, and not a changed file", [
  "gpg",
  "sq",
], async () => {
  using dir = scratch();
  const gpg = gpgIn(dir.path);
  try {
    for (const type of ["ecc", "rsa"] as const) {
      const pair = await openpgpPair({ type });
      writeFileSync(dir.join("cert.asc"), pair.certificate);
      sh(`${gpg} --import ${dir.path}/cert.asc`);
      for (const armor of [false, true]) {
        const stage = sign.openpgp({ certificate: pair.certificate, secretKey: () => pair.secretKey, armor });
        writeFileSync(dir.join("file"), bytes);
        writeFileSync(dir.join("file.sig"), await signed(stage, bytes, ID));
        const status = words(sh(`${gpg} --status-fd 1 --verify file.sig file`, { cwd: dir.path }));
        assert.match(status, new RegExp(`VALIDSIG ${stage.seals![0]!.signer.identity}`));
        const verify = "sq verify --signer-cert cert.asc --detached file.sig file";
        sh(verify, { cwd: dir.path });
        writeFileSync(dir.join("file"), noise(300_008));
        assert.throws(() => sh(`${gpg} --verify file.sig file`, { cwd: dir.path }));
        assert.throws(() => sh(verify, { cwd: dir.path }));
      }
    }
  } finally {
    stopAgent(dir.path);
  }
});

judged(
  "openpgp() accepts what gpg --detach-sign and sq sign make, and signs with their keys",
  ["gpg", "sq"],
  async () => {
    using dir = scratch();
    const gpg = gpgIn(dir.path);
    try {
      sh(`${gpg} --passphrase '' --quick-gen-key 'Test <t@example.org>' ed25519 sign never`);
      sh(`${gpg} --export > ${dir.path}/cert.gpg; ${gpg} --export-secret-keys > ${dir.path}/secret.gpg`);
      sh("sq key generate --userid Sequoia --export key.asc; sq key extract-cert -o sq.asc key.asc", {
        cwd: dir.path,
      });
      const own = sign.openpgp({
        certificate: read(dir.join("cert.gpg")),
        secretKey: () => read(dir.join("secret.gpg")),
      });
      const sequoia = sign.openpgp({
        certificate: read(dir.join("sq.asc")),
        secretKey: () => read(dir.join("key.asc")),
        armor: true,
      });
      const lines: readonly (readonly [Stage<Sealed, Sealed>, string, string])[] = [
        [own, ".sig", `${gpg} --yes --detach-sign -o $F.sig $F`],
        [own, ".sig", `${gpg} --yes --digest-algo SHA384 --armor --detach-sign -o $F.sig $F`],
        [sequoia, ".asc", `sq --force sign --detached --signer-key ${dir.path}/key.asc -o $F.asc $F`],
      ];
      for (const [stage, suffix, line] of lines) {
        assert.deepEqual(await undone(stage, signedBy(dir.path, suffix, line)), bytes, line);
        assert.deepEqual(await undone(stage, await stored(stage, bytes)), bytes, line);
      }
      const weak = signedBy(dir.path, ".sig", `${gpg} --yes --digest-algo SHA1 --detach-sign -o $F.sig $F`);
      await assert.rejects(undone(own, weak), IntegrityError);
      const text = signedBy(dir.path, ".sig", `${gpg} --yes --textmode --detach-sign -o $F.sig $F`);
      await assert.rejects(undone(own, text), /not about binary data/);
    } finally {
      stopAgent(dir.path);
    }
  },
);
