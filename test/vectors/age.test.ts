/**
 * The CCTV vectors for age (C2SP): whole and byte by byte. For each, what may be given out before a failure is exactly what
 * the vector says.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { inflateSync } from "node:zlib";
import * as vectors from "cctv-age";
import { findError, IntegrityError, KeyError } from "../../src/errors.ts";
import { detect } from "../../src/encrypt/mod.ts";
import { bodyOf } from "../../src/bytes.ts";
import type { Body, Sealed, U8 } from "../../src/stage.ts";
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
  readonly digest: string;
  readonly bytes: number;
  readonly error?: unknown;
}

async function decrypt(vector: Vector, chunk: number): Promise<Outcome> {
  const stage = detect({
    identities: () => vector.identities,
    passphrase: () => vector.passphrases[0] ?? "",
  });
  const hash = createHash("sha256");
  let bytes = 0;
  let error: unknown;
  try {
    const archive = await stage.undo(sealed({ read: () => inChunks(vector.file, chunk) }), testContext());
    for await (const part of archive.body.read()) {
      hash.update(part);
      bytes += part.length;
    }
  } catch (caught) {
    error = caught;
  }
  return { digest: hash.digest("hex"), bytes, error };
}

/** The same by ranges, piece by piece from the start; undefined where there are none: armor. */
async function decryptRanges(vector: Vector): Promise<Outcome | undefined> {
  const stage = detect({
    identities: () => vector.identities,
    passphrase: () => vector.passphrases[0] ?? "",
  });
  const hash = createHash("sha256");
  let bytes = 0;
  let error: unknown;
  try {
    const archive = await stage.undo(sealed(bodyOf(vector.file)), testContext());
    const reader = await archive.body.open?.();
    if (!reader) return undefined;
    while (bytes < reader.size) {
      const part = await reader.at(bytes, Math.min(bytes + 10_000, reader.size));
      hash.update(part);
      bytes += part.length;
    }
  } catch (caught) {
    error = caught;
  }
  return { digest: hash.digest("hex"), bytes, error };
}

/** By ranges the end is looked at first: what it tells is told before any content. Never anything else than the content. */
function judgeRanges(name: string, vector: Vector, { digest, bytes, error }: Outcome): void {
  const failed = findError(error, IntegrityError);
  if (vector.expect === "success") {
    assert.equal(error, undefined, `${name}: ${error}`);
    assert.equal(digest, vector.payload);
  } else if (vector.expect === "no match") assert.ok(findError(error, KeyError), `${name}: ${error}`);
  else assert.ok(failed, `${name} by ranges: ${error}`);
  if (vector.expect !== "success" && vector.expect !== "payload failure") assert.equal(bytes, 0);
}

function sealed(body: Body): Sealed {
  const facts = () => ({ sources: [], stages: [] });
  return { kind: "sealed", suffix: ".tar.age", body, facts, signers: [] };
}

function judge(name: string, vector: Vector, { digest, bytes, error }: Outcome): void {
  const empty = createHash("sha256").digest("hex");
  assert.equal(digest, vector.payload ?? empty, `${name}: released ${bytes} bytes: ${error}`);
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
    judge(name, vector, await decrypt(vector, 1024 * 1024));
    // Three vectors of 16 MiB come in odd pieces instead, unless there is time.
    const step = vector.file.length > 1024 * 1024 && Deno.env.get("HOLDFAST_SOAK") !== "1" ? 4099 : 1;
    judge(name, vector, await decrypt(vector, step));
    const byRanges = await decryptRanges(vector);
    if (byRanges) judgeRanges(name, vector, byRanges);
    else assert.match(name, /armor/);
  });
}
