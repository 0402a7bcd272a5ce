import assert from "node:assert/strict";
import { KeyError } from "../../src/errors.ts";
import { generateIdentity, recipientOf } from "../../src/encrypt/mod.ts";
import { alice, quantum, rejection } from "./support.ts";

Deno.test("generateIdentity() makes classic and hybrid pairs, new each time", async () => {
  assert.match(alice.identity, /^AGE-SECRET-KEY-1[0-9A-Z]{58}$/);
  assert.match(alice.recipient, /^age1[0-9a-z]{58}$/);
  assert.match(quantum.identity, /^AGE-SECRET-KEY-PQ-1[0-9A-Z]{58}$/);
  assert.match(quantum.recipient, /^age1pq1[0-9a-z]{1900,}$/);
  assert.notEqual((await generateIdentity()).identity, (await generateIdentity()).identity);
  const error = await rejection(generateIdentity("rsa" as "x25519"));
  assert.ok(error instanceof TypeError);
});

Deno.test("recipientOf() gives the public half of one identity or key file", async () => {
  assert.equal(await recipientOf(alice.identity), alice.recipient);
  assert.equal(await recipientOf(quantum.identity), quantum.recipient);
  assert.equal(await recipientOf(`# created: today\n${alice.identity}\n\n`), alice.recipient);
  assert.equal(await recipientOf(`${alice.identity}\n${alice.identity}\n`), alice.recipient);
});

Deno.test("recipientOf() throws a KeyError on anything else", async () => {
  const damaged = alice.identity.slice(0, -1) + (alice.identity.endsWith("Q") ? "P" : "Q");
  for (
    const text of ["", "# only\n", alice.recipient, damaged, `${alice.identity}\n${quantum.identity}`, "x"]
  ) {
    const error = await rejection(recipientOf(text));
    assert.ok(error instanceof KeyError, String(error));
    assert.ok(!String(error).includes(alice.identity.slice(20, 40)));
  }
});
