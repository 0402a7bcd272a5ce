/** What the tests of encryption share: nouns around bytes, and what comes out of them. */
import { readAll } from "../../src/bytes.ts";
import { generateIdentity } from "../../src/encrypt/mod.ts";
import { encodeReceipt } from "../../src/receipt.ts";
import type { Archive, Body, Bytes, FactSheet, Proof, Sealed, U8 } from "../../src/stage.ts";
import { inChunks, testContext } from "../support.ts";

export const KIB64 = 64 * 1024;
export const MIB = 1024 * 1024;
/** A step of the cipher stream: 15 chunks. */
export const BATCH = 15 * KIB64;

export const soak: boolean = Deno.env.get("HOLDFAST_SOAK") === "1";
export const context = testContext();
export const facts = (): FactSheet => ({ sources: [], stages: [{ verb: "archive", tool: "tar" }] });

/** Two key pairs, made anew for each run. */
export const [alice, bob, carol] = [
  await generateIdentity(),
  await generateIdentity(),
  await generateIdentity(),
];
export const quantum = await generateIdentity("hybrid");

/** A body that comes in pieces of `chunk` bytes and can be read again. */
export function pieces(bytes: Uint8Array, chunk = 100_000): Body {
  return { read: () => inChunks(bytes, chunk) };
}

export function archiveOf(bytes: Uint8Array, index?: Uint8Array): Archive {
  return { kind: "archive", suffix: ".tar", body: pieces(bytes), index: index && pieces(index), facts };
}

export function sealedOf(bytes: Uint8Array, suffix = ".tar.age", proof?: Proof): Sealed {
  return { kind: "sealed", suffix, body: pieces(bytes), facts, proof, signers: [] };
}

export async function all(body: Body): Promise<U8> {
  return await readAll(body.read(), 2 ** 30);
}

/** Reads to the end or to the error. */
export async function drain(bytes: Bytes): Promise<{ bytes: U8; error: unknown }> {
  const chunks: Uint8Array[] = [];
  let error: unknown;
  try {
    for await (const chunk of bytes) chunks.push(chunk);
  } catch (caught) {
    error = caught;
  }
  return { bytes: new Uint8Array(await new Blob(chunks as U8[]).arrayBuffer()), error };
}

/** The error a promise rejects with. */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("It did not throw");
}

/** The evidence beside an object, with a receipt for one archive of this digest. */
export function proofOf(
  id: string,
  digest: string,
  sidecars: Readonly<Record<string, U8>> = {},
  recipients: readonly string[] = [],
): Proof {
  const receipt = encodeReceipt({
    schema: "holdfast.receipt.v1",
    event: "backup",
    name: "app",
    id,
    run: "01JDB2",
    parents: [],
    createdAt: "2026-11-20T03:00:00Z",
    completedAt: "2026-11-20T03:00:01Z",
    outcome: "complete",
    objects: [{ suffix: "", bytes: 1, sha256: digest }],
    stages: [],
    contents: { entries: 0, bytes: 0, merkleRoot: "0".repeat(64), base: null, metadata: "basic" },
    sources: [],
    recipients: [...recipients],
    warnings: {},
  });
  return { id, receipt, sidecar: (suffix) => Promise.resolve(sidecars[suffix]) };
}
