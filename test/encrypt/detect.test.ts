/** What is encrypted, and with what, told by content alone. */
import { strict as assert } from "node:assert";
import { encrypt } from "../../mod.ts";
import { bodyOf, readAll, utf8 } from "../../src/bytes.ts";
import { findError, IntegrityError, KeyError } from "../../src/errors.ts";
import { armor as armored, keyIdOf } from "../../src/openpgp/packets.ts";
import { certificatesIn } from "../../src/openpgp/keys.ts";
import type { Archive, Sealed, Stage, U8 } from "../../src/stage.ts";
import { openpgpPair } from "../sign/support.ts";
import { noise, testContext } from "../support.ts";

const pair = await openpgpPair();
const facts = (): ReturnType<Archive["facts"]> => ({ sources: [], stages: [] });
const key = await encrypt.generateIdentity();

async function sealed(stage: Stage<Archive, Sealed>, bytes: U8): Promise<U8> {
  const archive: Archive = { kind: "archive", suffix: ".tar", body: bodyOf(bytes), facts };
  return await readAll((await stage.run(archive, testContext())).body.read(), 2 ** 30);
}

async function detected(bytes: U8, suffix: string, options: encrypt.DetectOptions = {}): Promise<Archive> {
  const input: Sealed = { kind: "sealed", suffix, body: bodyOf(bytes), facts, signers: [] };
  return await encrypt.detect(options).undo(input, testContext());
}

const all: encrypt.DetectOptions = {
  identities: () => [key.identity],
  openpgp: { secretKey: () => pair.secretKey },
};

Deno.test("detect() opens age and OpenPGP, binary and armored, whatever the name says, and hands clear bytes on", async () => {
  const bytes = noise(300_000);
  const message = await sealed(encrypt.openpgp({ recipients: [pair.certificate] }), bytes);
  const age = await sealed(encrypt.age({ recipients: [key.recipient] }), bytes);
  const inArmor = utf8(armored("MESSAGE", message));
  for (
    const [stored, suffix] of [[message, ".tar.gpg"], [message, ".tar"], [inArmor, ".tar.asc"], [
      age,
      ".tar.age",
    ], [age, ".tar"]] as const
  ) {
    const { body, suffix: left } = await detected(stored, suffix, all);
    assert.deepEqual(await readAll(body.read(), 2 ** 20), bytes, suffix);
    assert.equal(left, ".tar");
  }
  // A tar whose first file is called so looks like a packet of OpenPGP to a careless reader.
  for (const name of ["é/x", "\u0085x", "Áb", "ÀÃ"]) {
    for (const start of [utf8(name), Uint8Array.from(name, (char) => char.charCodeAt(0))]) {
      const tar = new Uint8Array(10_240);
      tar.set(start);
      assert.deepEqual(await readAll((await detected(tar, ".tar", all)).body.read(), 2 ** 20), tar, name);
    }
  }
});

Deno.test("detect() refuses clear bytes that are named as encrypted, and names the key that is missing", async () => {
  for (const suffix of [".tar.gpg", ".tar.pgp", ".tar.age"]) {
    await assert.rejects(detected(noise(2000), suffix, all), (error) => !!findError(error, IntegrityError));
  }
  const message = await sealed(encrypt.openpgp({ recipients: [pair.certificate] }), noise(10));
  const [certificate] = certificatesIn(pair.certificate, "it");
  assert.ok(certificate!.keyIds.includes(keyIdOf(certificate!.fingerprint)));
  await assert.rejects(detected(message, ".tar.gpg"), (error) => {
    const found = findError(error, KeyError);
    assert.match(found!.message, /--identity FILE/);
    return certificate!.keyIds.some((id) => found!.message.includes(id));
  });
});
