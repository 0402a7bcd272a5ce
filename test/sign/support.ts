/** Keys to sign with, and objects with their evidence, as upload would hand them back. */
import { generateKeyPairSync } from "node:crypto";
import { mkdirSync } from "node:fs";
import { blake2b } from "@noble/hashes/blake2.js";
import { generateKey, type PartialConfig } from "openpgp";
import { bodyOf, readAll, sha256 } from "../../src/bytes.ts";
import { encodeReceipt } from "../../src/receipt.ts";
import type { Proof, Sealed, Stage, U8 } from "../../src/stage.ts";
import { sh, testContext } from "../support.ts";

export const ID = "app_2026-11-20T03-00-00Z.tar.zst.age";

/** A minisign key pair without a passphrase, as `minisign -G -W` writes it. */
export function minisignPair(): { publicKey: string; secretKey: string } {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const seed = Uint8Array.fromBase64(privateKey.export({ format: "jwk" }).d!, { alphabet: "base64url" });
  const point = Uint8Array.fromBase64(publicKey.export({ format: "jwk" }).x!, { alphabet: "base64url" });
  const id = crypto.getRandomValues(new Uint8Array(8));
  const key = [...id, ...seed, ...point];
  const sum = blake2b(new Uint8Array([69, 100, ...key]), { dkLen: 32 });
  const secret = new Uint8Array([69, 100, 0, 0, 66, 50, ...new Uint8Array(48), ...key, ...sum]);
  return {
    publicKey: new Uint8Array([69, 100, ...id, ...point]).toBase64(),
    secretKey: `untrusted comment: test\n${secret.toBase64()}\n`,
  };
}

/** An OpenPGP key pair, armored; `date` is when it was made, `days` how long it is good. */
export async function openpgpPair(
  options: {
    date?: Date;
    days?: number;
    passphrase?: string;
    type?: "curve25519" | "rsa" | "ecc" | "curve448";
    config?: PartialConfig;
  } = {},
): Promise<{ certificate: string; secretKey: string; revocation: string }> {
  const { type = "ecc", days, ...rest } = options;
  const { privateKey, publicKey, revocationCertificate } = await generateKey({
    userIDs: [{ name: "Test", email: "test@example.org" }],
    ...(type === "rsa" ? { type, rsaBits: 2048 } : { type }),
    ...(days === undefined ? {} : { keyExpirationTime: days * 86_400 }),
    ...rest,
  });
  return { certificate: publicKey, secretKey: privateKey, revocation: revocationCertificate };
}

/** A GnuPG home of its own under `folder`; gives the prefix of command lines that use it. */
export function gpgIn(folder: string): string {
  mkdirSync(`${folder}/gnupg`, { mode: 0o700 });
  return `gpg --homedir ${folder}/gnupg --batch --quiet --no-tty`;
}

/** Ends the agent that gpg started in {@linkcode gpgIn}. */
export function stopAgent(folder: string): void {
  sh(`gpgconf --homedir ${folder}/gnupg --kill all || true`);
}

/** What a plan's sign stage hands on for `bytes`. */
export function sealedOf(bytes: U8, proof?: Proof): Sealed {
  return {
    kind: "sealed",
    suffix: ".tar.zst.age",
    body: bodyOf(bytes),
    facts: () => ({ sources: [], stages: [] }),
    signers: [],
    proof,
  };
}

/** A receipt for `bytes`. */
export function receiptOf(bytes: U8, id = ID): U8 {
  return encodeReceipt({
    schema: "holdfast.receipt.v1",
    event: "backup",
    name: "app",
    id,
    run: "01JDB2K3M4N5P6Q7R8S9T0V1W2",
    parents: [],
    createdAt: "2026-11-20T03:00:00Z",
    completedAt: "2026-11-20T03:00:01Z",
    outcome: "complete",
    objects: [{ suffix: "", bytes: bytes.length, sha256: sha256(bytes) }],
    stages: [],
    contents: { entries: 0, bytes: 0, merkleRoot: "0".repeat(64), base: null, metadata: "basic" },
    sources: [],
    recipients: [],
    warnings: {},
  });
}

/** The sidecar that a stage's signer makes over `bytes`. */
export async function signed(stage: Stage<Sealed, Sealed>, bytes: U8, name: string): Promise<U8> {
  const { signers } = await stage.run(sealedOf(bytes), testContext());
  const signature = await signers[0]!.begin(name);
  for (let at = 0; at < bytes.length; at += 70_001) signature.add(bytes.subarray(at, at + 70_001));
  return await signature.end();
}

/** Everything that lies beside an object signed by a stage, by suffix; "" is the object, to be spoilt at will. */
export async function stored(stage: Stage<Sealed, Sealed>, bytes: U8): Promise<Map<string, U8>> {
  const suffix = stage.seals![0]!.suffix;
  const receipt = receiptOf(bytes);
  return new Map([
    ["", bytes],
    [".receipt.json", receipt],
    [suffix, await signed(stage, bytes, ID)],
    [`.receipt.json${suffix}`, await signed(stage, receipt, `${ID}.receipt.json`)],
  ]);
}

/** Undoes a sign stage and reads all of what it hands on. */
export async function undone(stage: Stage<Sealed, Sealed>, objects: ReadonlyMap<string, U8>): Promise<U8> {
  const proof: Proof = {
    id: ID,
    receipt: objects.get(".receipt.json")!,
    sidecar: (suffix) => Promise.resolve(objects.get(suffix)),
  };
  const { body } = await stage.undo(sealedOf(objects.get("")!, proof), testContext());
  return await readAll(body.read(), 2 ** 30);
}
