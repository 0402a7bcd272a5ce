import assert from "node:assert/strict";
import { toBytes, utf8 } from "../../src/bytes.ts";
import { IntegrityError } from "../../src/errors.ts";
import { armored, dearmored } from "../../src/encrypt/armor.ts";
import { intake } from "../../src/encrypt/intake.ts";
import type { U8 } from "../../src/stage.ts";
import { inChunks, noise } from "../support.ts";
import { drain } from "./support.ts";

const BEGIN = "-----BEGIN AGE ENCRYPTED FILE-----";
const END = "-----END AGE ENCRYPTED FILE-----";

async function off(text: string, chunk = 5000): Promise<{ bytes: U8; error: unknown }> {
  return await drain(toBytes(() => dearmored(intake(inChunks(utf8(text), chunk)), '"x"')));
}

async function on(bytes: Uint8Array): Promise<string> {
  return new TextDecoder().decode((await drain(toBytes(() => armored(inChunks(bytes, 777))))).bytes);
}

for (const size of [1, 47, 48, 49, 96, 48 * 8192 - 1, 48 * 8192, 48 * 8192 + 1, 1_000_000]) {
  Deno.test(`Armor around ${size} bytes comes off again, with either line ending`, async () => {
    const text = await on(noise(size));
    assert.ok(text.split("\n").every((line) => line.length <= 64));
    for (const form of [text, text.replaceAll("\n", "\r\n"), ` \t\r\n${text}\n \n`, text.slice(0, -1)]) {
      const { bytes, error } = await off(form);
      assert.equal(error, undefined);
      assert.deepEqual(bytes, noise(size));
    }
  });
}

Deno.test("Armor with a short line before its end is refused wherever that line stands", async () => {
  const base64 = noise(60_000).toBase64();
  for (let line = 990; line < 1060; line++) {
    const at = line * 64 + 60;
    // The same bytes, wrapped differently.
    const body = (base64.slice(0, at - 60).replace(/.{64}/g, "$&\n")) + base64.slice(at - 60, at) + "\n" +
      base64.slice(at).replace(/.{1,64}/g, "$&\n");
    const { error } = await off(`${BEGIN}\n${body}${END}\n`);
    assert.ok(error instanceof IntegrityError, `line ${line}: ${error}`);
  }
});

Deno.test("Armor whose first line holds anything else is refused", async () => {
  const text = await on(noise(10));
  for (const first of [`${BEGIN} `, `${BEGIN}x`, `${BEGIN}\r\r`]) {
    const { error } = await off(text.replace(BEGIN, first));
    assert.ok(error instanceof IntegrityError, String(error));
    assert.match(error.message, /first line is not the BEGIN line/);
  }
});

Deno.test("Armor with a line that does not end is refused before much is read", async () => {
  let read = 0;
  const source = toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
    yield utf8(`${BEGIN}\n`);
    for (; read < 100; read++) yield utf8("A".repeat(65536));
  });
  const { error } = await drain(toBytes(() => dearmored(intake(source), '"x"')));
  assert.ok(error instanceof IntegrityError && /longer than 64/.test(error.message), String(error));
  assert.ok(read < 5, `${read} chunks`);
});

Deno.test("Armor cut anywhere in its last lines is refused", async () => {
  const text = await on(noise(200));
  for (let cut = text.length - 2; cut > text.length - 120; cut--) {
    const { error } = await off(text.slice(0, cut));
    assert.ok(error instanceof IntegrityError, `cut at ${cut} of ${text.length}: ${error}`);
  }
});
