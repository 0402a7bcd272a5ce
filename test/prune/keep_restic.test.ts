/** Stock restic judges the rules both share, over one list of snapshots. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createCipheriv, createHash, randomBytes, scryptSync } from "node:crypto";
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { type Candidate, keep, type Policy } from "../../src/prune/keep.ts";
import { judged, noise, scratch } from "../support.ts";

const SOAK = Deno.env.get("HOLDFAST_SOAK") === "1";
const NEWEST = Date.parse("2020-11-20T03:00:00Z"); // past on any machine: restic knows no other now than the clock
const POLICIES = SOAK ? 1_000 : 60;
const FLAGS = {
  keepLast: "--keep-last",
  keepHourly: "--keep-hourly",
  keepDaily: "--keep-daily",
  keepWeekly: "--keep-weekly",
  keepMonthly: "--keep-monthly",
  keepYearly: "--keep-yearly",
  keepWithin: "--keep-within",
  keepWithinHourly: "--keep-within-hourly",
  keepWithinDaily: "--keep-within-daily",
  keepWithinWeekly: "--keep-within-weekly",
  keepWithinMonthly: "--keep-within-monthly",
  keepWithinYearly: "--keep-within-yearly",
} as const;

/**
 * What can differ, and so is not in the policies below: months and years back from a day the target month does not have
 * (31 March less a month is 28 February here, 3 March in restic).
 */
const LENGTHS = ["1h", "36h", "3d", "14d", "2m", "1y", "1y6m"];

judged("keep() decides as restic forget does, over 120 snapshots and seeded policies", ["restic"], () => {
  using dir = scratch();
  const random = numbers(7);
  const candidates = snapshots(random);
  const repo = fill(dir.join("repo"), candidates);
  for (let i = 0; i < POLICIES; i++) {
    const policy = somePolicy(random, i);
    const ours = keep(policy, candidates, new Date()).filter((decision) => decision.keep).map(({ id }) => id);
    assert.deepEqual(ours.sort(), forget(repo, policy).sort(), JSON.stringify(policy));
  }
});

/** Seeded whole numbers below a limit. */
function numbers(seed: number): (below: number) => number {
  const bytes = noise(1 << 20, seed);
  let at = 0;
  return (below) => {
    at = (at + 3) % (bytes.length - 3);
    return (bytes[at]! | bytes[at + 1]! << 8 | bytes[at + 2]! << 16) % below;
  };
}

/** Dense at the new end, thin at the old one, over about six years; some share an hour, none a second. */
function snapshots(random: (below: number) => number): Candidate[] {
  const times = new Set<number>([NEWEST]);
  while (times.size < 120) {
    const span = [86_400, 14 * 86_400, 120 * 86_400, 2_200 * 86_400][random(4)]!;
    times.add(NEWEST - random(span) * 1000);
  }
  return [...times].map((ms) => {
    const time = new Date(ms);
    return { id: time.toISOString().replace(".000Z", "Z"), name: "app", time, verified: false };
  });
}

/** First each rule alone, then mixtures. */
function somePolicy(random: (below: number) => number, i: number): Policy {
  const keys = Object.keys(FLAGS) as (keyof typeof FLAGS)[];
  const chosen = i < keys.length
    ? [keys[i]!]
    : keys.filter(() => random(4) === 0).concat(keys[random(keys.length)]!);
  return Object.fromEntries(
    chosen.map((
      key,
    ) => [key, key.startsWith("keepWithin") ? LENGTHS[random(LENGTHS.length)] : 1 + random(12)]),
  );
}

interface Repository {
  readonly path: string;
  readonly cache: string;
}

function restic(repo: Repository, args: readonly string[]): string {
  return execFileSync("restic", ["-r", repo.path, "--cache-dir", repo.cache, ...args], {
    env: { PATH: Deno.env.get("PATH"), RESTIC_PASSWORD: "judge", TZ: "UTC" },
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  });
}

/** The times of the snapshots restic would keep. */
function forget(repo: Repository, policy: Policy): string[] {
  const flags = Object.entries(policy).flatMap((
    [key, value],
  ) => [FLAGS[key as keyof typeof FLAGS], `${value}`]);
  const groups = JSON.parse(restic(repo, ["forget", "--dry-run", "--json", "--no-lock", ...flags])) as {
    readonly keep: readonly { readonly time: string }[];
  }[];
  return groups.flatMap((group) => group.keep.map(({ time }) => time));
}

/**
 * A repository with these snapshots. restic derives its key anew for each command (half a second on purpose), so the snapshots
 * are written here in restic's own format (doc/design.rst), together with a key that costs nothing to derive.
 */
function fill(path: string, candidates: readonly Candidate[]): Repository {
  const repo = { path, cache: `${path}-cache` };
  restic(repo, ["init", "--repository-version", "1"]);
  const master = JSON.parse(restic(repo, ["cat", "masterkey"])) as MasterKey;
  const keys = keyOf(master);
  mkdirSync(`${path}/snapshots`, { recursive: true });
  for (const { id } of candidates) {
    write(
      `${path}/snapshots`,
      seal(keys, {
        time: id,
        tree: "0".repeat(64),
        paths: ["/srv/app"],
        hostname: "host",
        username: "user",
      }),
    );
  }
  for (const name of readdirSync(`${path}/keys`)) rmSync(`${path}/keys/${name}`, { force: true });
  const salt = randomBytes(64);
  const derived = scryptSync("judge", salt, 64, { N: 2, r: 1, p: 1 });
  const user = { encrypt: derived.subarray(0, 32), k: derived.subarray(32, 48), r: derived.subarray(48) };
  const key = {
    created: "2026-11-20T03:00:00Z",
    username: "user",
    hostname: "host",
    kdf: "scrypt",
    N: 2,
    r: 1,
    p: 1,
  };
  const data = seal(user, master).toString("base64");
  write(`${path}/keys`, Buffer.from(JSON.stringify({ ...key, salt: salt.toString("base64"), data })));
  return repo;
}

interface MasterKey {
  readonly mac: { readonly k: string; readonly r: string };
  readonly encrypt: string;
}

interface Keys {
  readonly encrypt: Uint8Array;
  readonly k: Uint8Array;
  readonly r: Uint8Array;
}

function keyOf(master: MasterKey): Keys {
  const bytes = (text: string): Uint8Array => Buffer.from(text, "base64");
  return { encrypt: bytes(master.encrypt), k: bytes(master.mac.k), r: bytes(master.mac.r) };
}

/** Files are named by the SHA-256 of what they hold. */
function write(folder: string, bytes: Uint8Array): void {
  writeFileSync(`${folder}/${createHash("sha256").update(bytes).digest("hex")}`, bytes);
}

/** AES-256-CTR, then Poly1305-AES over the ciphertext: nonce, ciphertext, tag. */
function seal(keys: Keys, value: unknown): Buffer {
  const nonce = randomBytes(16);
  const cipher = createCipheriv("aes-256-ctr", keys.encrypt, nonce);
  const text = Buffer.concat([cipher.update(JSON.stringify(value)), cipher.final()]);
  const ecb = createCipheriv("aes-128-ecb", keys.k, null).setAutoPadding(false);
  const pad = Buffer.concat([ecb.update(nonce), ecb.final()]);
  return Buffer.concat([nonce, text, poly1305(text, keys.r, pad)]);
}

function poly1305(message: Uint8Array, r: Uint8Array, pad: Uint8Array): Uint8Array {
  const clamped = little(r) & 0x0ffffffc0ffffffc0ffffffc0fffffffn;
  let sum = 0n;
  for (let at = 0; at < message.length; at += 16) {
    const block = message.subarray(at, at + 16);
    sum = (sum + little(block) + (1n << BigInt(8 * block.length))) * clamped % ((1n << 130n) - 5n);
  }
  const tag = (sum + little(pad)) & ((1n << 128n) - 1n);
  return Uint8Array.from({ length: 16 }, (_, i) => Number(tag >> BigInt(8 * i) & 0xffn));
}

/** Bytes as a number, least byte first. */
function little(bytes: Uint8Array): bigint {
  return BigInt("0x" + Buffer.from(bytes).reverse().toString("hex"));
}
