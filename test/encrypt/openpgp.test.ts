/** OpenPGP messages: what is written, what is read, and what is refused. */
import { strict as assert } from "node:assert";
import { createMessage, encrypt as encryptByLibrary, readKey, readPrivateKey, revokeKey } from "openpgp";
import { encrypt } from "../../mod.ts";
import { takeBlock } from "../../src/blocks.ts";
import { bodyOf, readAll, toBytes } from "../../src/bytes.ts";
import { findError, IntegrityError, KeyError } from "../../src/errors.ts";
import type { Archive, Body, Sealed, Stage, U8 } from "../../src/stage.ts";
import { inChunks, noise, testContext } from "../support.ts";
import { openpgpPair } from "../sign/support.ts";

const pair = await openpgpPair();
const other = await openpgpPair({ type: "rsa" });
const MIB = 2 ** 20;

const stage = (): Stage<Archive, Sealed> =>
  encrypt.openpgp({ recipients: [pair.certificate], secretKey: () => pair.secretKey });

export async function seal(stage: Stage<Archive, Sealed>, bytes: U8): Promise<U8> {
  const archive: Archive = {
    kind: "archive",
    suffix: ".tar.zst",
    body: bodyOf(bytes),
    facts: () => ({ sources: [], stages: [] }),
  };
  return await readAll((await stage.run(archive, testContext())).body.read(), 2 ** 30);
}

export async function open(stage: Stage<Archive, Sealed>, bytes: U8, chunk = 64 * 1024): Promise<U8> {
  const sealed: Sealed = {
    kind: "sealed",
    suffix: ".tar.zst.gpg",
    body: { read: () => inChunks(bytes, chunk) },
    facts: () => ({ sources: [], stages: [] }),
    signers: [],
  };
  return await readAll((await stage.undo(sealed, testContext())).body.read(), 2 ** 30);
}

async function refused(bytes: U8, message = /Cannot (decrypt|read)/, by = stage()): Promise<void> {
  await assert.rejects(open(by, bytes), (error) => {
    const found = findError(error, IntegrityError);
    assert.ok(found, String(error));
    assert.match(found.message, message);
    return true;
  });
}

Deno.test("openpgp() undo gives back what run took, at sizes around blocks, parts and steps", async () => {
  const edges = [0, 1, 15, 16, 17, 470, 490, 512, 8383, MIB - 6, MIB, 5_000_000];
  // A literal part of 256 KiB holds 6 bytes of its own; a step of 256 KiB holds prefix and headers.
  for (const n of [1, 2]) for (let d = -60; d <= 20; d += 1) edges.push(n * 2 ** 18 + d);
  for (const size of edges) {
    const bytes = noise(size, size + 1);
    assert.deepEqual(await open(stage(), await seal(stage(), bytes), 300_000), bytes, `${size}`);
  }
});

Deno.test("openpgp() reads a message that comes byte by byte", async () => {
  const bytes = noise(3000);
  assert.deepEqual(await open(stage(), await seal(stage(), bytes), 1), bytes);
});

Deno.test("openpgp() lets go of the blocks it is given, and of none too early", async () => {
  const blocks: ArrayBuffer[] = [];
  const passing = (bytes: U8): Body => ({
    read: () =>
      toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
        for (let at = 0; at < bytes.length; at += 700_001) {
          const block = takeBlock(MIB);
          const part = bytes.subarray(at, at + 700_001);
          block.set(part);
          blocks.push(block.buffer);
          yield block.subarray(0, part.length);
        }
      }),
  });
  const bytes = noise(4_000_000);
  const facts = (): ReturnType<Archive["facts"]> => ({ sources: [], stages: [] });
  const archive: Archive = { kind: "archive", suffix: ".tar", body: passing(bytes), facts };
  const sealed = await readAll((await stage().run(archive, testContext())).body.read(), 2 ** 30);
  const back: Sealed = { kind: "sealed", suffix: ".tar.gpg", body: passing(sealed), facts, signers: [] };
  assert.deepEqual(await readAll((await stage().undo(back, testContext())).body.read(), 2 ** 30), bytes);
  // The last of each stays with the stream; undo reads the first twice.
  assert.ok(blocks.filter(({ detached }) => !detached).length <= 3);
});

Deno.test("openpgp() writes for many recipients, each of whom can read", async () => {
  const many = encrypt.openpgp({ recipients: [pair.certificate, other.certificate] });
  const sealed = await seal(many, noise(9000));
  for (const { certificate, secretKey } of [pair, other]) {
    const one = encrypt.openpgp({ recipients: [certificate], secretKey: () => secretKey });
    assert.deepEqual(await open(one, sealed), noise(9000));
  }
});

Deno.test("openpgp() undo refuses every flip of a bit, and hands on no last byte", async () => {
  const bytes = noise(700);
  const sealed = await seal(stage(), bytes);
  for (let at = 0; at < sealed.length; at++) {
    const spoilt = sealed.slice();
    spoilt[at]! ^= 1 << (at % 8);
    let given = 0;
    await assert.rejects(async () => {
      const opened = await stage().undo({
        kind: "sealed",
        suffix: ".gpg",
        body: bodyOf(spoilt),
        facts: () => ({ sources: [], stages: [] }),
        signers: [],
      }, testContext());
      for await (const chunk of opened.body.read()) given += chunk.length;
    }, (error) => {
      assert.ok(findError(error, IntegrityError) ?? findError(error, KeyError), `byte ${at}: ${error}`);
      return true;
    });
    assert.equal(given, 0, `byte ${at}`);
  }
});

Deno.test("openpgp() undo refuses every cut, and anything that follows", async () => {
  const sealed = await seal(stage(), noise(700));
  for (let length = 0; length < sealed.length; length++) {
    await assert.rejects(open(stage(), sealed.slice(0, length)), (error) => {
      assert.ok(findError(error, IntegrityError), `${length}: ${error}`);
      return true;
    });
  }
  await refused(new Uint8Array([...sealed, 0]), /something follows/);
  const large = await seal(stage(), noise(2 * MIB));
  for (const length of [MIB, large.length - 1, large.length - 22, large.length - 40]) {
    await refused(large.slice(0, length));
  }
  await refused(new Uint8Array([...large, ...large]), /something follows/);
});

Deno.test("openpgp() undo refuses clear bytes, age, and messages without integrity protection", async () => {
  await refused(noise(100), /refusing to read it as clear text/);
  await refused(new TextEncoder().encode("age-encryption.org/v1\n"), /refusing to read/);
  const sealed = await seal(stage(), noise(100));
  const at = sealed.length - (100 + 22 + 18 + 1 + 1 + 6 + 1 + 2); // where the body's packet starts
  assert.equal(sealed[at], 0xd2);
  const stripped = sealed.slice();
  stripped[at] = 0xc9;
  await refused(stripped, /no integrity protection/);
});

Deno.test("openpgp() undo says whose key is missing, locked or wrong", async () => {
  const sealed = await seal(stage(), noise(10));
  const id = /[0-9A-F]{16}/;
  const fails = async (
    secrets: Partial<Parameters<typeof encrypt.openpgp>[0]>,
    message: RegExp,
  ): Promise<void> => {
    const stage = encrypt.openpgp({ recipients: [pair.certificate], ...secrets });
    await assert.rejects(open(stage, sealed), (error) => {
      const found = findError(error, KeyError);
      assert.ok(found, String(error));
      assert.match(found.message, message);
      assert.match(found.message, id);
      return true;
    });
  };
  await fails({}, /no OpenPGP secret key is given/);
  await fails({ secretKey: () => other.secretKey }, /no secret key given fits/);
  const locked = await openpgpPair({ passphrase: "correct horse" });
  const own = encrypt.openpgp({
    recipients: [locked.certificate],
    secretKey: () => locked.secretKey,
    passphrase: () => "correct horse",
  });
  assert.deepEqual(await open(own, await seal(own, noise(10))), noise(10));
  const without = encrypt.openpgp({ recipients: [locked.certificate], secretKey: () => locked.secretKey });
  await assert.rejects(open(without, await seal(own, noise(10))), /is locked/);
});

Deno.test("openpgp() undo asks nobody for the passphrase of a key that does not fit", async () => {
  const locked = await openpgpPair({ passphrase: "correct horse" });
  let asked = 0;
  const passphrase = (): string => (asked++, "correct horse");
  const withKeys = (...secretKeys: string[]): Stage<Archive, Sealed> =>
    encrypt.openpgp({ recipients: [pair.certificate], secretKey: () => secretKeys, passphrase });
  const sealed = await seal(stage(), noise(10));
  await assert.rejects(open(withKeys(locked.secretKey), sealed), /no secret key given fits/);
  assert.deepEqual(await open(withKeys(locked.secretKey, pair.secretKey), sealed), noise(10));
  assert.equal(asked, 0);
  // Whose key is needed can be hidden: then every key may be the one.
  const hidden = await encryptByLibrary({
    message: await createMessage({ binary: noise(10) }),
    encryptionKeys: await readKey({ armoredKey: locked.certificate }),
    wildcard: true,
    format: "binary",
  });
  const bytes = new Uint8Array(hidden as Uint8Array);
  assert.deepEqual(await open(withKeys(pair.secretKey, locked.secretKey), bytes), noise(10));
  assert.equal(asked, 1);
});

Deno.test("openpgp() refuses to encrypt to a key that is expired or revoked, and still reads with it", async () => {
  const day = 86_400_000;
  const old = await openpgpPair({ date: new Date(Date.now() - 10 * day), days: 5 });
  const expired = encrypt.openpgp({ recipients: [old.certificate], secretKey: () => old.secretKey });
  await assert.rejects(seal(expired, noise(10)), (error) => findError(error, KeyError) !== undefined);
  const sealed = await encryptByLibrary({
    message: await createMessage({ binary: noise(10) }),
    encryptionKeys: await readKey({ armoredKey: old.certificate }),
    date: new Date(Date.now() - 7 * day),
    format: "binary",
  });
  assert.deepEqual(await open(expired, new Uint8Array(sealed as Uint8Array)), noise(10));
  const { publicKey } = await revokeKey({
    key: await readPrivateKey({ armoredKey: pair.secretKey }),
    reasonForRevocation: { flag: 2, string: "leaked" },
    format: "object",
  });
  const revoked = encrypt.openpgp({ recipients: [publicKey.armor()], secretKey: () => pair.secretKey });
  await assert.rejects(seal(revoked, noise(10)), (error) => findError(error, KeyError) !== undefined);
  assert.deepEqual(await open(revoked, await seal(stage(), noise(10))), noise(10));
});

Deno.test("openpgp() reads what the library writes: compressed, AEAD of both kinds, version 6; flipped bits refused", async () => {
  const bytes = new TextEncoder().encode("the same line\n".repeat(20_000));
  const plain = { keys: {}, message: {} };
  const cases = [
    { ...plain, message: { preferredCompressionAlgorithm: 1 } },
    { ...plain, message: { preferredCompressionAlgorithm: 2 } },
    { keys: { aeadProtect: true, preferredAEADAlgorithm: 2 }, message: { aeadProtect: true } },
    { keys: { aeadProtect: true, preferredAEADAlgorithm: 3 }, message: { aeadProtect: true } },
    { keys: { aeadProtect: true, v6Keys: true }, message: { aeadProtect: true } },
  ];
  for (const { keys, message: config } of cases) {
    const pair = await openpgpPair({ type: "curve25519", config: keys });
    const stage = encrypt.openpgp({ recipients: [pair.certificate], secretKey: () => pair.secretKey });
    const theirs = await encryptByLibrary({
      message: await createMessage({ binary: bytes }),
      encryptionKeys: await readKey({ armoredKey: pair.certificate }),
      format: "binary",
      config,
    });
    const sealed = new Uint8Array(theirs as Uint8Array);
    assert.deepEqual(await open(stage, sealed), bytes, JSON.stringify(config));
    assert.deepEqual(await open(stage, await seal(stage, bytes)), bytes, JSON.stringify(keys));
    for (const from of [30, 20, 1]) {
      const spoilt = sealed.slice();
      spoilt[sealed.length - from]! ^= 1;
      await refused(spoilt, undefined, stage);
    }
    await refused(sealed.slice(0, -1), undefined, stage);
  }
  await new Promise((resolve) => setTimeout(resolve, 100)); // a timer of the library's own
});

Deno.test("openpgp() refuses wrong options when it is made", () => {
  assert.throws(() => encrypt.openpgp({ recipients: [] }), TypeError);
  assert.throws(() => encrypt.openpgp({ recipients: [pair.secretKey] }), /holds a secret key/);
  assert.throws(() => encrypt.openpgp({ recipients: [pair.certificate, pair.certificate] }), /given twice/);
  assert.throws(
    () => encrypt.openpgp({ recipients: [pair.certificate], secretKey: "x" as unknown as () => string }),
    /must be a function/,
  );
});

Deno.test("openpgp() holds a few steps and no more, however long the data", async () => {
  let asked = 0;
  const archive: Archive = {
    kind: "archive",
    suffix: ".tar",
    body: {
      read: () =>
        new ReadableStream({
          pull(controller): void {
            asked += MIB;
            controller.enqueue(new Uint8Array(MIB));
          },
        }, { highWaterMark: 0 }),
    },
    facts: () => ({ sources: [], stages: [] }),
  };
  const reader = (await stage().run(archive, testContext())).body.read().getReader();
  let given = 0;
  while (given < 40 * MIB) {
    given += (await reader.read()).value!.length;
    assert.ok(asked - given < 5 * MIB, `${asked} asked, ${given} given`);
  }
  await reader.cancel();
});
