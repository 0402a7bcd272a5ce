/**
 * Which server keys are known: the file format of sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT".
 *
 * @module
 */
import { createHash, createHmac } from "node:crypto";

/** A key that a file names. */
export interface KnownKey {
  /** "SHA256:..." of it. */
  readonly fingerprint: string;
  /** "ssh-ed25519"; undefined where only a fingerprint was given. */
  readonly type?: string | undefined;
  /** Where it stands, for sentences: `line 3 of "/root/.ssh/known_hosts"`. */
  readonly where: string;
  /** Whether the file says never to trust it. */
  readonly revoked: boolean;
}

/** What became of a server's key. */
export type Verdict =
  | { readonly kind: "known" }
  | { readonly kind: "unknown" }
  | { readonly kind: "changed" | "revoked"; readonly entry: KnownKey };

/** The keys a file names for a host. On another port than 22 a host is known as "[host]:port", or by its plain name. */
export function keysFor(text: string, file: string, host: string, port: number): KnownKey[] {
  const plain = host.toLowerCase();
  const names = port === 22 ? [plain] : [`[${plain}]:${port}`];
  const found = keysNamed(text, file, names);
  // As ssh does: the plain name vouches for a key, and never against one.
  return found.length > 0 || port === 22 ? found : keysNamed(text, file, [plain]);
}

function keysNamed(text: string, file: string, names: readonly string[]): KnownKey[] {
  const keys: KnownKey[] = [];
  for (const [i, line] of text.split("\n").entries()) {
    const words = line.trim().split(/\s+/);
    const marker = words[0]?.startsWith("@") ? words.shift() : undefined;
    const [hosts, type, base64] = words;
    if (hosts === undefined || hosts.startsWith("#") || type === undefined || base64 === undefined) continue;
    if (marker !== undefined && marker !== "@revoked") continue; // authorities sign certificates, which are not used here
    if (!names.some((name) => matches(hosts, name))) continue;
    const where = `line ${i + 1} of "${file}"`;
    keys.push({
      type,
      fingerprint: fingerprintOf(bytesOf(base64)),
      where,
      revoked: marker !== undefined,
    });
  }
  return keys;
}

/** Whether a list of patterns, or a hashed name, means a host. */
function matches(hosts: string, name: string): boolean {
  if (hosts.startsWith("|1|")) {
    const [, , salt = "", hash = ""] = hosts.split("|");
    return createHmac("sha1", bytesOf(salt)).update(name).digest("base64") === hash;
  }
  const patterns = hosts.toLowerCase().split(",");
  const fits = (pattern: string): boolean => patternOf(pattern).test(name);
  return patterns.some((pattern) => !pattern.startsWith("!") && fits(pattern)) &&
    !patterns.some((pattern) => pattern.startsWith("!") && fits(pattern.slice(1)));
}

function patternOf(pattern: string): RegExp {
  const escaped = pattern.replace(/[.+^${}()|[\]\\]/g, "\\$&").replaceAll("*", ".*").replaceAll("?", ".");
  return new RegExp(`^${escaped}$`);
}

/** A key that a plan names itself: "ssh-ed25519 AAAA..." or "SHA256:...". */
export function pinned(key: string): KnownKey {
  const [type, base64] = key.split(" ");
  const where = "the store's own host keys";
  if (base64 === undefined) return { fingerprint: key, where, revoked: false };
  return { type, fingerprint: fingerprintOf(bytesOf(base64)), where, revoked: false };
}

/** What the known keys say of the one that a server shows. */
export function judge(known: readonly KnownKey[], shown: Uint8Array): Verdict {
  const fingerprint = fingerprintOf(shown);
  const same = known.filter((entry) => entry.fingerprint === fingerprint);
  const revoked = same.find((entry) => entry.revoked);
  if (revoked) return { kind: "revoked", entry: revoked };
  if (same.length > 0) return { kind: "known" };
  const other = known.find((entry) => !entry.revoked && entry.type === typeOf(shown)) ??
    known.find((entry) => !entry.revoked);
  return other ? { kind: "changed", entry: other } : { kind: "unknown" };
}

/** "SHA256:..." as ssh-keygen -l shows it. */
export function fingerprintOf(key: Uint8Array): string {
  return `SHA256:${createHash("sha256").update(key).digest("base64").replace(/=+$/, "")}`;
}

/** The type that a key's bytes begin with (RFC 4253, section 6.6). */
export function typeOf(key: Uint8Array): string {
  const length = new DataView(key.buffer, key.byteOffset).getUint32(0);
  return new TextDecoder().decode(key.subarray(4, 4 + length));
}

/** The line that makes a key known. */
export function lineFor(host: string, port: number, key: Uint8Array): string {
  const name = port === 22 ? host : `[${host}]:${port}`;
  return `${name} ${typeOf(key)} ${new Uint8Array(key).toBase64()}`;
}

function bytesOf(base64: string): Uint8Array {
  try {
    return Uint8Array.fromBase64(base64);
  } catch {
    return new Uint8Array(); // damaged: nobody's key
  }
}

const RSA = ["rsa-sha2-512", "rsa-sha2-256"];
const ALL = [
  "ssh-ed25519",
  "ecdsa-sha2-nistp256",
  "ecdsa-sha2-nistp384",
  "ecdsa-sha2-nistp521",
  ...RSA,
];

/** The key algorithms to ask for, those of known keys first: else a server shows one that happens not to be known. */
export function algorithmsFor(known: readonly KnownKey[]): string[] {
  const types = known.filter(({ revoked }) => !revoked).map(({ type }) => type);
  const first = ALL.filter((name) => types.includes(RSA.includes(name) ? "ssh-rsa" : name));
  return [...first, ...ALL.filter((name) => !first.includes(name))];
}
