/** Vectors made by the real nara's own code: souls, ids, signatures, the stash's cipher. */
import { strict as assert } from "node:assert";
import { idFits, oneDecimal, problemOf, readEvent, signatureFits } from "../../src/recipes/nara/event.ts";
import { digest, parseSoul, verified } from "../../src/recipes/nara/soul.ts";
import { open, seal } from "../../src/recipes/nara/xchacha.ts";
import { ALICE, BOB, ZERO } from "./support.ts";

const hex = (text: string): Uint8Array<ArrayBuffer> =>
  new Uint8Array(text.match(/../g)!.map((pair) => parseInt(pair, 16)));

Deno.test("nara: souls give the public keys, ids and stash keys that naras have", () => {
  const vectors = [
    [
      ALICE,
      "alice",
      "5W+Bh9paCZbmdobQaM4vmNHyOkmE5CbpwvFq59Hkyek=",
      "5puGXP8Ljasf8FPfv2TRSDKXxK5At1SGRsk1tJzzpDk8",
    ],
    [
      BOB,
      "bob",
      "RyRS+lLT77w93xUB3/V1SnaR2RDiamGKiFV6qEZLGTk=",
      "3Mdfo2WyMw3ymj6ZMRVNzuz2JfukoJLWkf2xLaC76A84",
    ],
    [
      ZERO,
      "alice",
      "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=",
      "2htSif3d1wFFy8xvt5ShQmxEG5nBiS86zds5KPu5k6U6",
    ],
  ] as const;
  for (const [text, name, publicKey, id] of vectors) {
    const soul = parseSoul(text);
    assert.equal(soul.publicKey, publicKey);
    assert.equal(soul.id(name), id);
    assert.ok(soul.fits(name) && !soul.fits("carol") && !soul.fits(""));
  }
  assert.deepEqual(
    parseSoul(ALICE).stashKey(),
    hex("87434aba2707ed5401f51820b4a846395b368f9d265cf0a267da83603c4a2ba1"),
  );
});

Deno.test("nara: a soul that is none is refused in one sentence that does not repeat it", () => {
  const old = "BZbvJDjG3hkhsb9y8e4nYy3DPmPFUQ5DKLHe6oqH5sbe";
  for (
    const [text, reason] of [
      [old, /44 characters and stands for 3\d bytes; a soul is 40 bytes in base58, 54 or 55 characters/],
      [`${ALICE.slice(0, 20)}\n${ALICE.slice(20)}`, /blanks or line ends in it/],
      [ALICE.replace("9", "0"), /characters that base58 does not/],
      [ALICE + ALICE, /110 characters/],
      ["", /it is empty/],
      [ALICE.slice(0, -3), /stands for/],
    ] as const
  ) {
    assert.throws(() => parseSoul(text), (error: Error) => {
      assert.match(error.message, reason);
      assert.ok(text === "" || !error.message.includes(text.slice(0, 8)), error.message);
      return error.name === "KeyError";
    });
  }
  assert.equal(parseSoul(`${ALICE}\n`).publicKey, parseSoul(ALICE).publicKey, "a file ends with a line end");
});

const PK = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";

Deno.test("nara: ids are those the real program computes", () => {
  const vectors: readonly (readonly [string, string, string])[] = [
    [
      "social",
      '"social":{"type":"tease","actor":"alice","target":"bob","reason":"high-restarts"}',
      "90f6211f555d6bfaf883f933e7e7b8a2",
    ],
    [
      "social",
      '"social":{"type":"tease","actor":"alice","actor_id":"x","target":"bob","reason":"high-restarts"}',
      "90f6211f555d6bfaf883f933e7e7b8a2",
    ],
    ["ping", '"ping":{"observer":"alice","target":"bob","rtt":10.25}', "f8abdc3174634875b33566a7a6cd8726"],
    ["ping", '"ping":{"observer":"alice","target":"bob","rtt":0.35}', "29d1a7ad8dfa2df81edfb93290d2a631"],
    [
      "observation",
      '"observation":{"observer":"alice","subject":"bob","type":"restart","importance":3,"restart_num":7,"start_time":1700000000}',
      "1fef8db18486a16cb039ee98d28bea43",
    ],
    [
      "observation",
      '"observation":{"observer":"alice","subject":"bob","type":"status-change","importance":2,"online_state":"ONLINE"}',
      "9a67b60f21a82c218dc79a34d0f62c93",
    ],
    [
      "observation",
      '"observation":{"observer":"alice","subject":"bob","type":"first-seen","importance":3,"start_time":1700000000}',
      "b00ae9af3279d29e144dc4ca1363772f",
    ],
    [
      "hey-there",
      `"hey_there":{"From":"alice","PublicKey":"${PK}","MeshIP":"100.64.0.1","ID":"","Signature":""}`,
      "8a56928d5744e4033cbc5d5ae70dfce7",
    ],
    [
      "chau",
      `"chau":{"From":"alice","PublicKey":"${PK}","ID":"","Signature":""}`,
      "06a3eb445318cbea8e46eb8dd6f1feab",
    ],
    ["seen", '"seen":{"observer":"alice","subject":"bob","via":"zine"}', "8b55d5f88173099c4d4c438bc6954993"],
    [
      "checkpoint",
      '"checkpoint":{"version":0,"subject":"bob","subject_id":"BID","observation":{"restarts":47,"total_uptime":23456789,"start_time":1624066568},"as_of_time":1768800000,"round":1}',
      "61c7a9e58880174b2c180892998c6e6e",
    ],
    [
      "checkpoint",
      '"checkpoint":{"version":2,"subject":"bob","subject_id":"BID","previous_checkpoint_id":"prev","observation":{"restarts":47,"total_uptime":23456789,"start_time":1624066568},"as_of_time":1768800000,"round":1}',
      "e570e75abfd7a8ed3eb6ee44005e1531",
    ],
  ];
  for (const [svc, payload, id] of vectors) {
    const event = readEvent(`{"id":"${id}","ts":1704067200123456789,"svc":"${svc}",${payload}}`);
    assert.ok(idFits(event), `${svc} ${payload}`);
    assert.equal(problemOf(event), undefined);
    assert.ok(!idFits({ ...event, ts: "1704067200123456788" }), "the last nanosecond counts");
  }
});

Deno.test("nara: signatures of events, requests and imports are those the real program makes and accepts", () => {
  const alice = parseSoul(ALICE);
  const ping = readEvent(
    '{"id":"f8abdc3174634875b33566a7a6cd8726","ts":1704067200123456789,"svc":"ping","emitter":"alice","sig":"WltXGXFFHGaKUZ2WPmqq/Z3PEX2mfukk4aO1ldvBT144IOyt/OzBpDiSwbGDCPLfK6E25V5uXJsQWB1mkkrIDA==","ping":{"observer":"alice","target":"bob","rtt":10.25}}',
  );
  assert.ok(signatureFits(ping, alice.publicKey));
  assert.ok(!signatureFits(ping, parseSoul(BOB).publicKey));
  assert.ok(!signatureFits({ ...ping, emitter: "bob" }, alice.publicKey));
  const request = new TextEncoder().encode("alice1704067200123POST/events/sync");
  const signature =
    "MXg/eDw3XVvhPXug/G6SYJ+7wTGL49oVUMMTQSE9lZ4xeva44bT61EVSUyt+mbhNihSuJhfvRW5CorLWW0TvCQ==";
  assert.equal(alice.sign(request), signature);
  assert.ok(verified(alice.publicKey, request, signature));
  assert.ok(!verified(alice.publicKey, request, "not base64!") && !verified("", request, signature));
  const batch = digest("1704067200:f8abdc3174634875b33566a7a6cd8726");
  assert.deepEqual(batch, hex("b2182ca98d3536533bfe4196ac12f40b734e09302c8fb35e2882b0d7730e03e0"));
  assert.equal(
    alice.sign(batch),
    "jYEDxaSdU5PJGFIo2yxy/9Pk3Fl0T8pwJOpH271UdFoYAg2g2Ebj+gvaycRww+xn4pdhZUETaQFy2VkYqDx2CA==",
  );
});

Deno.test("nara: round-trip times are written as Go writes them, ties to even", () => {
  const table = {
    0.25: "0.2",
    1.25: "1.2",
    10.25: "10.2",
    12.75: "12.8",
    0.35: "0.3",
    0.45: "0.5",
    99.95: "100.0",
    0.75: "0.8",
    5: "5.0",
  };
  for (const [value, text] of Object.entries(table)) assert.equal(oneDecimal(Number(value)), text, value);
  assert.equal(oneDecimal(1e21), "1000000000000000000000.0");
});

Deno.test("nara: the stash's cipher opens and makes what the real program does", () => {
  const key = parseSoul(ALICE).stashKey();
  const nonce = Uint8Array.from({ length: 24 }, (_, i) => i);
  const sealed = hex("738610e1108863bd4bcb24a6a544e05d6b8eef41783b0ef5c66f9777ef2204d372");
  assert.equal(new TextDecoder().decode(open(key, nonce, sealed)), '{"hello":"world"}');
  assert.deepEqual(seal(key, nonce, new TextEncoder().encode('{"hello":"world"}')), sealed);
  assert.throws(() => open(parseSoul(BOB).stashKey(), nonce, sealed), /another soul, or it is damaged/);
});
