import assert from "node:assert/strict";
import { createHmac, hkdfSync, randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { Decrypter, Encrypter, generateX25519Identity, identityToRecipient } from "age-encryption";
import { decodeBech32, encodeBech32 } from "../../src/encrypt/bech32.ts";
import { age } from "../../src/encrypt/mod.ts";
import { unwrapHeader } from "../../src/encrypt/header.ts";
import {
  decodeRecipient,
  makeX25519Header,
  openX25519Header,
  readX25519Header,
  recipientOfX25519,
} from "../../src/encrypt/x25519.ts";
import { judged, noise, scratch, sh } from "../support.ts";
import { alice, all, archiveOf, bob, carol, context, quantum, rejection } from "./support.ts";

/** Points of small order (RFC 7748, section 6.1; https://cr.yp.to/ecdh.html#validate). */
const WEAK = [
  "00".repeat(32),
  `01${"00".repeat(31)}`,
  "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
  "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
  `ec${"ff".repeat(30)}7f`,
];

Deno.test("bech32 decodes what BIP 173 calls valid, and nothing that it calls invalid", () => {
  for (const text of ["A12UEL5L", "a12uel5l", "abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw"]) {
    assert.ok(decodeBech32(text), text);
  }
  const wrong = [
    "A12uEL5L",
    "a12uel5m",
    "1pzry9x0s0muk",
    "x1b4n0q5v",
    "li1dgmt3",
    "A1G7SGD8",
    "10a06t8",
    "1qzzfhee",
    "x1qm7ssx4",
  ];
  for (const text of ["", "1", "age1", "äge1qqqqqq", ...wrong]) {
    assert.equal(decodeBech32(text), undefined, text);
  }
});

Deno.test("bech32 gives back what it was given, of any length", () => {
  for (let size = 0; size < 70; size++) {
    const bytes = new Uint8Array(randomBytes(size));
    assert.deepEqual(decodeBech32(encodeBech32("x-1", bytes)), { prefix: "x-1", bytes });
  }
});

Deno.test("decodeRecipient() takes exactly the recipients that age-encryption takes", () => {
  const library = (text: string): boolean => {
    try {
      new Encrypter().addRecipient(text);
      return true;
    } catch {
      return false;
    }
  };
  const good = alice.recipient;
  const texts = [good, good.toUpperCase(), `${good} `, ` ${good}`, good.slice(0, -1), `${good}q`, "age1", ""];
  texts.push(encodeBech32("age", new Uint8Array(31)), encodeBech32("age", new Uint8Array(33)));
  texts.push(encodeBech32("agf", new Uint8Array(32)), encodeBech32("age", new Uint8Array(32).fill(7)));
  // Bits behind the last byte.
  texts.push(
    "age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqpfwgqrs",
    "age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqzhlqeg",
  );
  for (let i = 0; i < good.length; i++) {
    texts.push(good.slice(0, i) + (good[i] === "q" ? "p" : "q") + good.slice(i + 1));
    texts.push(good.slice(0, i) + good[i]!.toUpperCase() + good.slice(i + 1));
  }
  for (const text of texts) assert.equal(decodeRecipient(text) !== undefined, library(text), text);
});

Deno.test("age() refuses a damaged hybrid recipient when it is made", () => {
  const damaged = quantum.recipient.slice(0, -1) + (quantum.recipient.endsWith("q") ? "p" : "q");
  for (const recipient of [damaged, encodeBech32("age1pq", new Uint8Array(1215))]) {
    assert.throws(() => age({ recipients: [recipient] }), /malformed/);
  }
});

Deno.test("recipientOfX25519() agrees with age-encryption", async () => {
  for (let i = 0; i < 5; i++) {
    const identity = await generateX25519Identity();
    assert.equal(recipientOfX25519(identity), await identityToRecipient(identity));
    assert.equal(recipientOfX25519(identity.slice(0, -1)), undefined);
  }
});

Deno.test("a header is opened by each of its identities with age-encryption, and no two are alike", async () => {
  const to = [alice, bob, carol];
  const keys = to.map(({ recipient }) => decodeRecipient(recipient)!);
  const { bytes, fileKey } = makeX25519Header(keys);
  for (const { identity } of to) {
    const decrypter = new Decrypter();
    decrypter.addIdentity(identity);
    assert.deepEqual(new Uint8Array(await decrypter.decryptHeader(bytes)), fileKey);
  }
  assert.notDeepEqual(makeX25519Header(keys).bytes, bytes);
});

/** What the native reader makes of a header, as text or bytes. */
function opened(header: string | Uint8Array, identities: readonly string[]): Uint8Array | undefined {
  const read = readX25519Header(
    typeof header === "string" ? new TextEncoder().encode(header) : new Uint8Array(header),
  );
  return read && openX25519Header(read, identities);
}

Deno.test("a header of age-encryption is opened natively by each of its identities, and by no other", async () => {
  const encrypter = new Encrypter();
  for (const { recipient } of [alice, bob]) encrypter.addRecipient(recipient);
  const file = await encrypter.encrypt(new Uint8Array(0));
  const header = file.subarray(0, file.length - 32);
  const decrypter = new Decrypter();
  decrypter.addIdentity(alice.identity);
  const fileKey = new Uint8Array(await decrypter.decryptHeader(new Uint8Array(header)));
  for (
    const identities of [[alice.identity], [bob.identity], [carol.identity, bob.identity]]
  ) {
    assert.deepEqual(opened(header, identities), fileKey);
  }
  for (
    const identities of [
      [],
      [carol.identity],
      [quantum.identity],
      [alice.identity, quantum.identity],
      [alice.identity, `${bob.identity}X`],
      ["AGE-SECRET-KEY-1"],
      [alice.recipient],
    ]
  ) {
    assert.equal(opened(header, identities), undefined);
  }
});

Deno.test("a header of which any byte is changed, lost or added is not opened natively", () => {
  const { bytes, fileKey } = makeX25519Header(
    [alice, bob].map(({ recipient }) => decodeRecipient(recipient)!),
  );
  assert.deepEqual(opened(bytes, [alice.identity]), fileKey);
  for (let at = 0; at <= bytes.length; at++) {
    const [head, rest] = [bytes.subarray(0, at), bytes.subarray(at)];
    const changed = [1, 2, 4, 32, 128].map((bit) => [...head, rest[0]! ^ bit, ...rest.subarray(1)]);
    const added = [10, 13, 32, 61, 65].map((byte) => [...head, byte, ...rest]);
    for (const odd of at < bytes.length ? [...changed, ...added, [...head, ...rest.subarray(1)]] : added) {
      assert.equal(opened(Uint8Array.from(odd), [alice.identity]), undefined, `at ${at}`);
    }
  }
});

Deno.test("a header with bits behind the last byte of a text is not opened natively, although its MAC is right", () => {
  const { bytes, fileKey } = makeX25519Header(
    [alice, bob].map(({ recipient }) => decodeRecipient(recipient)!),
  );
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const signed = (unsigned: string): string => {
    const key = new Uint8Array(hkdfSync("sha256", fileKey, "", "header", 32));
    return `${unsigned} ${createHmac("sha256", key).update(unsigned).digest("base64").replace(/=+$/, "")}\n`;
  };
  const text = new TextDecoder().decode(bytes);
  const unsigned = text.slice(0, text.lastIndexOf(" "));
  assert.equal(signed(unsigned), text);
  const lines = unsigned.split("\n");
  for (let i = 1; i < lines.length - 1; i++) {
    const line = lines[i]!;
    const odd = line.slice(0, -1) + alphabet[alphabet.indexOf(line.at(-1)!) | 1];
    assert.equal(opened(signed(lines.with(i, odd).join("\n")), [alice.identity]), undefined, `line ${i}`);
  }
});

Deno.test("a header with other stanzas, or a share of small order, is left to age-encryption", async () => {
  const { bytes } = makeX25519Header([decodeRecipient(alice.recipient)!]);
  const text = new TextDecoder().decode(bytes);
  for (
    const stanza of [
      "-> grease-x\n\n",
      "-> X25519 a b\n\n",
      `-> scrypt ${"A".repeat(22)} 18\n${"A".repeat(43)}\n`,
    ]
  ) {
    assert.equal(readX25519Header(new TextEncoder().encode(text.replace("\n", `\n${stanza}`))), undefined);
  }
  for (const hex of WEAK) {
    const share = Uint8Array.fromHex(hex).toBase64().replace(/=+$/, "");
    const weak = text.replace(/(?<=X25519 ).{43}/, share);
    assert.equal(opened(weak, [alice.identity]), undefined);
    const error = await rejection(unwrapHeader(new TextEncoder().encode(weak), [alice.identity], '"a"'));
    assert.match(String(error), /its header is damaged or was changed/);
  }
});

Deno.test("a header that says two things is not opened natively: identities are asked in their order, as by age-encryption", async () => {
  const [a, b] = [alice, bob].map(({ recipient }) => makeX25519Header([decodeRecipient(recipient)!]));
  const stanza = (bytes: Uint8Array): string =>
    /-> X25519 .*\n.*\n/.exec(new TextDecoder().decode(bytes))![0];
  const weak = stanza(a!.bytes).replace(/(?<=X25519 ).{43}/, "A".repeat(43));
  for (const second of [stanza(a!.bytes), weak]) {
    const unsigned = `age-encryption.org/v1\n${stanza(b!.bytes)}${second}---`;
    const key = new Uint8Array(hkdfSync("sha256", b!.fileKey, "", "header", 32));
    const mac = createHmac("sha256", key).update(unsigned).digest("base64").replace(/=+$/, "");
    const header = new TextEncoder().encode(`${unsigned} ${mac}\n`);
    assert.deepEqual(opened(header, [bob.identity]), b!.fileKey);
    assert.equal(opened(header, [alice.identity, bob.identity]), undefined);
    const error = await rejection(unwrapHeader(header, [alice.identity, bob.identity], '"a"'));
    assert.match(String(error), /its header is damaged or was changed/);
  }
});

Deno.test("an identity that is damaged is refused, also beside one that fits", async () => {
  const { bytes } = makeX25519Header([decodeRecipient(alice.recipient)!]);
  const error = await rejection(unwrapHeader(bytes, [alice.identity, bob.identity.slice(0, -1)], '"a"'));
  assert.match(String(error), /Cannot read an identity: it is damaged/);
});

Deno.test("a recipient of small order, with which everybody could read the backup, ends the run", async () => {
  for (const hex of WEAK) {
    const recipients = [alice.recipient, encodeBech32("age", Uint8Array.fromHex(hex))];
    const error = await rejection(age({ recipients }).run(archiveOf(new Uint8Array(1)), context));
    assert.match(String(error), /one of the recipients is nobody's key/);
  }
});

judged("age opens what is written for several recipients, and age-keygen names the same ones", [
  "age",
  "age-keygen",
], async () => {
  using dir = scratch();
  const content = noise(300_000, 7);
  const to = [alice, bob, carol];
  const stage = age({ recipients: to.map(({ recipient }) => recipient) });
  writeFileSync(dir.join("a.age"), await all((await stage.run(archiveOf(content), context)).body));
  for (const { identity, recipient } of to) {
    writeFileSync(dir.join("key"), `${identity}\n`);
    assert.deepEqual(new Uint8Array(sh("age -d -i key a.age", { cwd: dir.path })), content);
    assert.equal(new TextDecoder().decode(sh("age-keygen -y key", { cwd: dir.path })).trim(), recipient);
  }
});
