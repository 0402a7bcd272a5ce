import assert from "node:assert/strict";
import { Decrypter, Encrypter } from "age-encryption";
import { toBytes, utf8 } from "../../src/bytes.ts";
import { findError, IntegrityError, KeyError, StageError } from "../../src/errors.ts";
import { age, type AgeOptions, detect } from "../../src/encrypt/mod.ts";
import type { Body, U8 } from "../../src/stage.ts";
import { inChunks, noise } from "../support.ts";
import {
  alice,
  all,
  archiveOf,
  BATCH,
  bob,
  carol,
  context,
  KIB64,
  MIB,
  pieces,
  proofOf,
  quantum,
  rejection,
  sealedOf,
} from "./support.ts";

const ID = "app_2026-11-20T03-00-00Z.tar.age";

function made(options: AgeOptions): RegExp | string {
  try {
    age(options);
  } catch (error) {
    assert.ok(error instanceof TypeError || error instanceof RangeError, String(error));
    return error.message;
  }
  return "";
}

async function encrypted(bytes: Uint8Array, options: AgeOptions): Promise<U8> {
  return await all((await age(options).run(archiveOf(bytes), context)).body);
}

Deno.test("age() refuses wrong options when it is made", () => {
  const r = alice.recipient;
  const passphrase = () => "correct horse";
  assert.match(String(made({})), /neither a recipient nor a passphrase/);
  assert.match(String(made({ identities: () => "" })), /neither a recipient nor a passphrase/);
  assert.match(String(made({ recipients: [] })), /list of recipients is empty/);
  assert.match(String(made({ recipients: [r], passphrase })), /passphrase stands alone/);
  assert.match(String(made({ recipients: [r, quantum.recipient] })), /1 is x25519 and recipient 2 is hybrid/);
  assert.match(String(made({ recipients: [quantum.recipient, r] })), /1 is hybrid and recipient 2 is x25519/);
  assert.match(String(made({ recipients: [r, bob.recipient, r] })), /recipient 3 .* same as recipient 1/);
  assert.match(String(made({ recipients: [r, r.slice(0, -1)] })), /recipient 2 .* malformed/);
  assert.match(String(made({ recipients: [`${r} `] })), /malformed/);
  assert.match(String(made({ recipients: [quantum.recipient.slice(0, -2)] })), /malformed/);
  assert.match(String(made({ recipients: [alice.identity] })), /recipient 1 is a secret identity/);
  assert.match(String(made({ recipients: ["hunter2"] })), /^[^]*recipient 1 does not start with "age1"$/);
  assert.match(
    String(made({ recipients: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA"] })),
    /SSH key, .*age-keygen/,
  );
  assert.match(String(made({ recipients: ["ssh-rsa AAAAB3NzaC1yc2EAAAA"] })), /SSH key, .*age-keygen/);
  assert.match(String(made({ recipients: ["age1yubikey1qdummy"] })), /belongs to a plugin/);
  assert.match(String(made({ recipients: ["age1tag1qdummy"] })), /belongs to a plugin/);
  assert.match(String(made({ recipients: new Array(501).fill(r) })), /501 recipients are more than 500/);
  // What plain JavaScript, and a configuration, may hand over.
  assert.match(String(made({ recipients: r as unknown as string[] })), /list of texts/);
  assert.match(String(made({ recipients: [7 as unknown as string] })), /not a text/);
  assert.match(String(made({ passphrase: "hunter2" as unknown as () => string })), /must be a function/);
  assert.match(
    String(made({ recipients: [r], identities: "AGE" as unknown as () => string })),
    /must be a function/,
  );
  assert.match(
    String(made({ recipients: [r], armor: 1 as unknown as boolean })),
    /"armor": it must be true or false/,
  );
});

Deno.test("age() takes many recipients of one kind", () => {
  assert.equal(made({ recipients: [alice.recipient, bob.recipient] }), "");
  assert.equal(made({ recipients: [quantum.recipient] }), "");
  assert.equal(made({ passphrase: () => "x" }), "");
});

for (
  const size of [0, 1, KIB64 - 1, KIB64, KIB64 + 1, BATCH - 1, BATCH, BATCH + 1, 2 * BATCH + KIB64, 3 * MIB]
) {
  Deno.test(`age() undo gives back ${size} bytes, and so does the library`, async () => {
    const plain = noise(size, size + 1);
    const options = { recipients: [alice.recipient], identities: () => [alice.identity] };
    const sealed = await age(options).run(archiveOf(plain), context);
    const file = await all(sealed.body);
    const back = await all((await age(options).undo(sealedOf(file), context)).body);
    assert.ok(plain.length === back.length && equal(plain, back));
    const decrypter = new Decrypter();
    decrypter.addIdentity(alice.identity);
    assert.ok(equal(plain, await decrypter.decrypt(file)));
    const encrypter = new Encrypter();
    encrypter.addRecipient(alice.recipient);
    const theirs = await encrypter.encrypt(plain);
    assert.ok(equal(plain, await all((await age(options).undo(sealedOf(theirs), context)).body)));
  });
}

Deno.test("age() encrypts to hybrid recipients both ways with the library", async () => {
  const plain = noise(KIB64 + 5);
  const options = { recipients: [quantum.recipient], identities: () => quantum.identity };
  const file = await encrypted(plain, options);
  const decrypter = new Decrypter();
  decrypter.addIdentity(quantum.identity);
  assert.ok(equal(plain, await decrypter.decrypt(file)));
  const encrypter = new Encrypter();
  encrypter.addRecipient(quantum.recipient);
  const theirs = await encrypter.encrypt(plain);
  assert.ok(equal(plain, await all((await age(options).undo(sealedOf(theirs), context)).body)));
});

Deno.test("age() encrypts with a passphrase, asked for once, and reads the library's", async () => {
  let asked = 0;
  const passphrase = () => Promise.resolve(["correct horse"][asked++]!);
  const sealed = await age({ passphrase }).run(archiveOf(noise(10), noise(20)), context);
  assert.equal(asked, 1);
  const file = await all(sealed.body);
  asked = 0;
  const archive = await age({ passphrase }).undo(
    { ...sealed, body: pieces(file), index: pieces(await all(sealed.index!)) },
    context,
  );
  assert.ok(equal(noise(10), await all(archive.body)));
  assert.ok(equal(noise(20), await all(archive.index!)));
  assert.equal(asked, 1);
  const encrypter = new Encrypter();
  encrypter.setPassphrase("correct horse");
  encrypter.setScryptWorkFactor(10);
  const theirs = await encrypter.encrypt(noise(30));
  asked = 0;
  assert.ok(equal(noise(30), await all((await age({ passphrase }).undo(sealedOf(theirs), context)).body)));
});

Deno.test("age() run refuses a passphrase no prompt can take", async () => {
  for (const bad of ["", "hunter2\n", "hunter2\r\n", "hun\nter2"]) {
    const error = await rejection(age({ passphrase: () => bad }).run(archiveOf(noise(1)), context));
    assert.ok(error instanceof KeyError && !error.message.includes("hunter2"), String(error));
  }
});

Deno.test("age() seals archive and index apart, adds suffix and facts", async () => {
  const stage = age({ recipients: [alice.recipient, bob.recipient], identities: () => bob.identity });
  const sealed = await stage.run(archiveOf(noise(100_000), noise(500)), context);
  assert.equal(sealed.kind, "sealed");
  assert.equal(sealed.suffix, ".tar.age");
  assert.deepEqual(sealed.signers, []);
  assert.deepEqual(sealed.facts(), {
    sources: [],
    stages: [
      { verb: "archive", tool: "tar" },
      { verb: "encrypt", tool: "age", options: { recipients: 2, kind: "x25519" } },
    ],
    recipients: [alice.recipient, bob.recipient],
  });
  const body = await all(sealed.body);
  const index = await all(sealed.index!);
  assert.notDeepEqual(body.subarray(0, 200), index.subarray(0, 200));
  const archive = await stage.undo({ ...sealed, body: pieces(body), index: pieces(index) }, context);
  assert.equal(archive.suffix, ".tar");
  assert.ok(equal(noise(100_000), await all(archive.body)));
  assert.ok(equal(noise(500), await all(archive.index!)));
});

Deno.test("age() facts name the kind, and a passphrase as such", async () => {
  const hybrid = await age({ recipients: [quantum.recipient] }).run(archiveOf(noise(1)), context);
  assert.equal(hybrid.facts().stages.at(-1)!.options!.kind, "hybrid");
  const armored = await age({ recipients: [alice.recipient], armor: true }).run(archiveOf(noise(1)), context);
  assert.equal(armored.facts().stages.at(-1)!.options!.armor, true);
  const secret = await age({ passphrase: () => "hunter2" }).run(archiveOf(noise(1)), context);
  assert.deepEqual(secret.facts().recipients, ["passphrase"]);
  assert.deepEqual(secret.facts().stages.at(-1)!.options, { recipients: 1, kind: "passphrase" });
  assert.ok(!JSON.stringify(secret.facts()).includes("hunter2"));
});

Deno.test("age() draws a new nonce for each read and a new file key for each run", async () => {
  const stage = age({ recipients: [alice.recipient], identities: () => alice.identity });
  const sealed = await stage.run(archiveOf(noise(40)), context);
  const [one, two] = [await all(sealed.body), await all(sealed.body)];
  const header = one.length - 16 - 40 - 16;
  assert.deepEqual(one.subarray(0, header), two.subarray(0, header));
  assert.notDeepEqual(one.subarray(header, header + 16), two.subarray(header, header + 16));
  assert.notDeepEqual(one.subarray(header + 16), two.subarray(header + 16));
  assert.ok(equal(noise(40), await all((await stage.undo(sealedOf(two), context)).body)));
});

Deno.test("age() run reads nothing until the body is pulled, and gives chunks of at most 1 MiB", async () => {
  let reads = 0;
  const body: Body = { read: () => (reads++, inChunks(noise(5 * MIB), MIB)) };
  const sealed = await age({ recipients: [alice.recipient] }).run({ ...archiveOf(noise(0)), body }, context);
  assert.equal(reads, 0);
  for await (const chunk of sealed.body.read()) assert.ok(chunk.length > 0 && chunk.length <= MIB);
  assert.equal(reads, 1);
});

Deno.test("age() cancels its source both ways", async () => {
  let open = 0;
  const endless = (first: U8): Body => ({
    read: () =>
      toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
        open++;
        try {
          yield first;
          for (;;) yield noise(MIB);
        } finally {
          open--;
        }
      }),
  });
  const options = { recipients: [alice.recipient], identities: () => alice.identity };
  for (const armor of [false, true]) {
    const input = { ...archiveOf(noise(0)), body: endless(noise(1)) };
    const sealed = await age({ ...options, armor }).run(input, context);
    const reader = sealed.body.read().getReader();
    for (let i = 0; i < 4; i++) await reader.read();
    assert.equal(open, 1);
    await reader.cancel();
    assert.equal(open, 0);
    const start = await encrypted(noise(2 * MIB), { ...options, armor });
    const body = endless(start.slice(0, -1000));
    const archive = await age(options).undo({ ...sealedOf(start), body }, context);
    assert.equal(open, 0, "undo keeps nothing open");
    const back = archive.body.read().getReader();
    await back.read();
    assert.equal(open, 1);
    await back.cancel();
    assert.equal(open, 0);
  }
});

Deno.test("age() hands on its source's error under the source's name", async () => {
  const body: Body = {
    read: () =>
      toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
        yield noise(2 * MIB);
        throw new StageError("files", new Error("The disk is gone"));
      }),
  };
  const sealed = await age({ recipients: [alice.recipient] }).run({ ...archiveOf(noise(0)), body }, context);
  const error = await rejection(all(sealed.body));
  assert.ok(error instanceof StageError && error.stage === "files", String(error));
});

Deno.test("age() undo asks for what the header needs, and nothing else", async () => {
  const file = await encrypted(noise(9), { recipients: [alice.recipient] });
  let asked = "";
  const options = {
    identities: () => (asked += "i", `# key\n\n${bob.identity}\r\n${alice.identity}\n`),
    passphrase: () => (asked += "p", "x"),
  };
  const archive = await detect(options).undo(sealedOf(file), context);
  assert.ok(equal(noise(9), await all(archive.body)));
  assert.equal(asked, "i");
});

Deno.test("age() undo without a key says which one is needed", async () => {
  const file = await encrypted(noise(9), { recipients: [alice.recipient, bob.recipient] });
  const options = { recipients: [carol.recipient] };
  const data = sealedOf(file, ".tar.age", proofOf(ID, "0".repeat(64), {}, [alice.recipient, bob.recipient]));
  const missing = await rejection(age(options).undo(data, context));
  assert.ok(missing instanceof KeyError);
  assert.equal(
    missing.message,
    `Cannot decrypt "${ID}": no identity is given. It is encrypted to 2 X25519 recipients. ` +
      `Pass --identity FILE, the one that belongs to ${alice.recipient} or ${bob.recipient}`,
  );
  const identities = () => [carol.identity, quantum.identity];
  const wrong = await rejection(age({ ...options, identities }).undo(sealedOf(file), context));
  assert.ok(wrong instanceof KeyError);
  assert.equal(
    wrong.message,
    'Cannot decrypt the data ("*.tar.age"): none of 2 identities fits. It is encrypted to 2 X25519 recipients. ' +
      "Pass --identity FILE, the one that fits",
  );
});

Deno.test("age() undo with a wrong or no passphrase is a KeyError", async () => {
  const encrypter = new Encrypter();
  encrypter.setPassphrase("right");
  encrypter.setScryptWorkFactor(10);
  const data = sealedOf(new Uint8Array(await encrypter.encrypt("x")));
  const wrong = await rejection(detect({ passphrase: () => "wrong" }).undo(data, context));
  assert.ok(wrong instanceof KeyError && /passphrase does not fit/.test(wrong.message), String(wrong));
  const none = await rejection(detect({ identities: () => alice.identity }).undo(data, context));
  assert.ok(
    none instanceof KeyError && /with a passphrase, and none is given/.test(none.message),
    String(none),
  );
});

Deno.test("age() undo refuses a header that asks for more than 2^20 scrypt", async () => {
  const header = "age-encryption.org/v1\n-> scrypt AAAAAAAAAAAAAAAAAAAAAA 21\n" +
    `${"A".repeat(43)}\n--- ${"A".repeat(43)}\n`;
  const error = await rejection(
    detect({ passphrase: () => "x" }).undo(sealedOf(new TextEncoder().encode(header)), context),
  );
  assert.ok(error instanceof IntegrityError, String(error));
  assert.match(Deno.inspect(error), /2\^21, the highest that is read is 2\^20/);
});

Deno.test("age() undo refuses a passphrase stanza of another length before it derives a key", async () => {
  const header = (body: string): U8 =>
    utf8(`age-encryption.org/v1\n-> scrypt AAAAAAAAAAAAAAAAAAAAAA 20\n${body}\n--- ${"A".repeat(43)}\n`);
  for (const body of ["", "A".repeat(42), "A".repeat(44)]) {
    const error = await rejection(detect({ passphrase: () => "x" }).undo(sealedOf(header(body)), context));
    assert.ok(error instanceof IntegrityError, String(error));
    assert.match(Deno.inspect(error), /Invalid scrypt stanza body/);
  }
});

Deno.test("age() undo refuses what is not encrypted, and a header that does not end", async () => {
  const stage = age({ recipients: [alice.recipient], identities: () => alice.identity });
  for (const bytes of [noise(0), noise(5000), new TextEncoder().encode("age-encryption.org/")]) {
    const error = await rejection(stage.undo(sealedOf(bytes), context));
    assert.ok(error instanceof IntegrityError, String(error));
    assert.match(error.message, /is not encrypted with age; refusing/);
  }
  const endless = new TextEncoder().encode("age-encryption.org/v1\n" + "-> x y\nAAAA\n".repeat(500_000));
  const error = await rejection(stage.undo(sealedOf(endless), context));
  assert.ok(error instanceof IntegrityError && /header does not end/.test(error.message), String(error));
});

Deno.test("age() undo takes armored files and names without .age", async () => {
  const plain = noise(200_000);
  const options = { recipients: [alice.recipient], identities: () => alice.identity, armor: true };
  const file = await encrypted(plain, options);
  assert.ok(new TextDecoder().decode(file).startsWith("-----BEGIN AGE ENCRYPTED FILE-----\n"));
  const archive = await age(options).undo(sealedOf(file, ".tar"), context);
  assert.equal(archive.suffix, ".tar");
  assert.ok(equal(plain, await all(archive.body)));
});

Deno.test("age() undo reads a body again when its header has changed since", async () => {
  const options = { recipients: [alice.recipient], identities: () => alice.identity };
  const files = [await encrypted(noise(7), options), await encrypted(noise(8), options)];
  let reads = 0;
  const body: Body = { read: () => inChunks(files[reads++]!, 1000) };
  const archive = await age(options).undo({ ...sealedOf(noise(0)), body }, context);
  assert.ok(equal(noise(8), await all(archive.body)));
  files.push(noise(9));
  const error = await rejection(all(archive.body));
  assert.ok(
    findError(error, IntegrityError) && /is not encrypted with age/.test(String(error)),
    String(error),
  );
});

Deno.test("detect() decrypts age, passes clear text, refuses clear text called .age", async () => {
  const stage = detect({ identities: () => alice.identity });
  const file = await encrypted(noise(100), { recipients: [alice.recipient] });
  assert.ok(equal(noise(100), await all((await stage.undo(sealedOf(file), context)).body)));
  const clear = await stage.undo(sealedOf(noise(100), ".tar.zst"), context);
  assert.equal(clear.kind, "archive");
  assert.equal(clear.suffix, ".tar.zst");
  assert.ok(equal(noise(100), await all(clear.body)));
  const error = await rejection(stage.undo(sealedOf(noise(100), ".tar.age"), context));
  assert.ok(error instanceof IntegrityError, String(error));
  assert.match(
    String(await rejection(stage.run(archiveOf(noise(1)), context))),
    /TypeError: .*only restores/,
  );
});

Deno.test("No error text and no cause repeats a secret", async () => {
  const secret = alice.identity;
  const damaged = secret.slice(0, -1) + (secret.endsWith("Q") ? "P" : "Q");
  const pq = quantum.identity.slice(0, -1) + (quantum.identity.endsWith("Q") ? "P" : "Q");
  const file = await encrypted(noise(9), { recipients: [bob.recipient] });
  const undo = (identities: () => string | string[]) =>
    rejection(detect({ identities }).undo(sealedOf(file), context));
  const errors = [
    made({ recipients: [secret] }),
    made({ recipients: [secret.toLowerCase()] }),
    made({ recipients: [` ${secret}`] }),
    made({ recipients: [`age1${secret}`] }),
    await undo(() => secret),
    await undo(() => damaged),
    await undo(() => pq),
    await undo(() => `${secret}garbage`),
    await undo(() => `key: ${secret}`),
    await undo(() => [`-----BEGIN OPENSSH PRIVATE KEY-----\n${secret}`]),
    await undo(() => [`-----BEGIN AGE ENCRYPTED FILE-----\n${secret}`]),
    await undo(() => [secret.toLowerCase()]),
  ];
  for (const error of errors) {
    const text = Deno.inspect(error, { depth: 10, strAbbreviateSize: 100_000 }).toUpperCase();
    assert.ok(text.length > 20);
    for (const part of [secret.slice(20, 40), damaged.slice(20, 40), pq.slice(22, 42)]) {
      assert.ok(!text.includes(part), text.replaceAll(part, "(secret)"));
    }
  }
  assert.equal(errors.filter((error) => typeof error === "string").length, 4);
  assert.ok(errors.slice(4).every((error) => findError(error, KeyError)));
});

Deno.test("age() undo says why identities could not be read", async () => {
  const file = await encrypted(noise(9), { recipients: [bob.recipient] });
  const undo = (identities: () => unknown) =>
    rejection(detect({ identities: identities as () => string }).undo(sealedOf(file), context));
  const gone = await undo(() => Deno.readTextFileSync("/nonexistent/app.key"));
  assert.ok(gone instanceof KeyError && gone.cause instanceof Deno.errors.NotFound, String(gone));
  assert.match(String(await undo(() => undefined)), /KeyError: .*neither a text nor a list/);
  assert.match(String(await undo(() => [7])), /KeyError: .*not a text/);
  assert.match(String(await undo(() => "# nothing\n")), /KeyError: .*no private key was found/);
  assert.match(String(await undo(() => bob.recipient)), /KeyError: .*line 1 is a public recipient/);
  const abort = await undo(() => {
    throw new DOMException("Stop", "AbortError");
  });
  assert.ok(abort instanceof DOMException);
});

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
