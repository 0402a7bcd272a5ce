/**
 * The CCTV vectors for age (C2SP): whole and byte by byte. For each, what may be given out before a failure is exactly what
 * the vector says.
 */
import assert from "node:assert/strict";
import { inflateSync } from "node:zlib";
import * as vectors from "cctv-age";
import { findError, IntegrityError, KeyError } from "../../src/errors.ts";
import { detect } from "../../src/encrypt/mod.ts";
import { bodyOf, concat, sha256 } from "../../src/bytes.ts";
import type { Body, Reader, Sealed, U8 } from "../../src/stage.ts";
import { inChunks, testContext } from "../support.ts";

interface Vector {
  readonly expect: string;
  readonly payload: string | undefined;
  readonly identities: readonly string[];
  readonly passphrases: readonly string[];
  readonly file: U8;
}

function parse(bytes: Uint8Array): Vector {
  let at = 0;
  const keys: [string, string][] = [];
  for (;;) {
    const end = bytes.indexOf(10, at);
    const line = new TextDecoder().decode(bytes.subarray(at, end));
    at = end + 1;
    if (line === "") break;
    const colon = line.indexOf(": ");
    keys.push([line.slice(0, colon), line.slice(colon + 2)]);
  }
  const all = (name: string): string[] => keys.filter(([key]) => key === name).map(([, value]) => value);
  const rest = bytes.subarray(at);
  return {
    expect: all("expect")[0]!,
    payload: all("payload")[0],
    identities: all("identity"),
    passphrases: all("passphrase"),
    file: new Uint8Array(all("compressed")[0] === "zlib" ? inflateSync(rest) : rest),
  };
}

/** What came out, and how it ended. */
interface Outcome {
  readonly content: U8;
  readonly error?: unknown;
}

/** What is given out of a vector that lies in `body`; undefined when there is no such way to read it. */
async function released(
  vector: Vector,
  body: Body,
  read: (body: Body) => Promise<AsyncIterable<U8> | undefined>,
): Promise<Outcome | undefined> {
  const stage = detect({
    identities: () => vector.identities,
    passphrase: () => vector.passphrases[0] ?? "",
  });
  const parts: U8[] = [];
  let error: unknown;
  try {
    const archive = await stage.undo(sealed(body), testContext());
    const content = await read(archive.body);
    if (!content) return undefined;
    for await (const part of content) parts.push(part.slice());
  } catch (caught) {
    error = caught;
  }
  return { content: concat(parts), error };
}

async function decrypt(vector: Vector, chunk: number): Promise<Outcome> {
  const body = { read: () => inChunks(vector.file, chunk) };
  return (await released(vector, body, (archive) => Promise.resolve(archive.read())))!;
}

/** The same by ranges, piece by piece from the start; undefined where there are none: armor. */
function decryptRanges(vector: Vector): Promise<Outcome | undefined> {
  return released(vector, bodyOf(vector.file), async (archive) => {
    const reader = await archive.open?.();
    return reader && pieces(reader);
  });
}

async function* pieces(reader: Reader): AsyncGenerator<U8, void, undefined> {
  for (let at = 0; at < reader.size; at += 10_000) {
    yield await reader.at(at, Math.min(at + 10_000, reader.size));
  }
}

/** By ranges the end is looked at first: what it tells is told before any content. Never anything else than the `whole` content. */
function judgeRanges(name: string, vector: Vector, { content, error }: Outcome, whole: Outcome): void {
  const failed = findError(error, IntegrityError);
  if (vector.expect === "success") {
    assert.equal(error, undefined, `${name}: ${error}`);
    assert.equal(sha256(content), vector.payload);
  } else if (vector.expect === "no match") assert.ok(findError(error, KeyError), `${name}: ${error}`);
  else assert.ok(failed, `${name} by ranges: ${error}`);
  if (vector.expect !== "success" && vector.expect !== "payload failure") assert.equal(content.length, 0);
  assert.deepEqual(content, whole.content.subarray(0, content.length), `${name} by ranges`);
}

function sealed(body: Body): Sealed {
  const facts = () => ({ sources: [], stages: [] });
  return { kind: "sealed", suffix: ".tar.age", body, facts, signers: [] };
}

function judge(name: string, vector: Vector, { content, error }: Outcome): void {
  const empty = sha256(new Uint8Array(0));
  assert.equal(
    sha256(content),
    vector.payload ?? empty,
    `${name}: released ${content.length} bytes: ${error}`,
  );
  if (vector.expect === "success") {
    assert.equal(error, undefined);
  } else if (vector.expect === "no match") {
    assert.ok(findError(error, KeyError), `${name}: ${error}`);
  } else {
    assert.ok(findError(error, IntegrityError), `${name}: ${error}`);
  }
}

const all = Object.entries(vectors as Readonly<Record<string, Uint8Array>>).filter(([name]) =>
  name !== "default"
);

Deno.test("age() undo knows every vector's kind of outcome", () => {
  assert.ok(all.length >= 143, `${all.length} vectors`);
  const known = ["success", "no match", "HMAC failure", "header failure", "payload failure", "armor failure"];
  for (const [name, bytes] of all) assert.ok(known.includes(parse(bytes).expect), name);
});

for (const [name, bytes] of all) {
  Deno.test(`age() undo on the vector ${name}, whole, byte by byte and by ranges`, async () => {
    const vector = parse(bytes);
    const whole = await decrypt(vector, 1024 * 1024);
    judge(name, vector, whole);
    // Three vectors of 16 MiB come in odd pieces instead, unless there is time.
    const step = vector.file.length > 1024 * 1024 && Deno.env.get("HOLDFAST_SOAK") !== "1" ? 4099 : 1;
    judge(name, vector, await decrypt(vector, step));
    const byRanges = await decryptRanges(vector);
    if (byRanges) judgeRanges(name, vector, byRanges, whole);
    else assert.match(name, /armor/);
  });
}
