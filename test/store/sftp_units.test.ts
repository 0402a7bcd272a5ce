/** What an SFTP store is told, and which keys of a server are known: no server takes part. */
import { strict as assert } from "node:assert";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { algorithmsFor, fingerprintOf, judge, keysFor, pinned } from "../../src/store/sftp/known_hosts.ts";
import { settingsOf, type SftpOptions } from "../../src/store/sftp/options.ts";
import { optionsOf } from "../../src/store/sftp/url.ts";
import { scratch } from "../support.ts";
import { makeKey } from "./sftp_server.ts";
import { judged } from "../support.ts";

Deno.test("sftp() refuses options that cannot work", () => {
  const wrong: readonly Partial<SftpOptions>[] = [
    { host: "" },
    { host: "a b" },
    { host: "-oProxyCommand=x" },
    { user: "" },
    { user: "me:secret" },
    { path: "" },
    { path: "a/../b" },
    { path: "a\nb" },
    { hostKeys: [] },
    { hostKeys: ["SHA256:short"] },
    { knownHosts: "relative" },
    { passphrase: () => "x" },
  ];
  for (const options of wrong) {
    assert.throws(() => settingsOf({ host: "h", ...options }), TypeError, JSON.stringify(options));
  }
  for (const options of [{ port: 0 }, { port: 65_536 }, { retries: -1 }, { stallMs: 0 }, { idleMs: 0.5 }]) {
    assert.throws(() => settingsOf({ host: "h", ...options }), RangeError, JSON.stringify(options));
  }
  assert.equal(settingsOf({ host: "h", path: "/srv//" }).path, "/srv");
});

Deno.test("an SFTP URL says where, and which files hold secrets", () => {
  const options = optionsOf(
    "sftp://me@Host:2222/~/b%20c?knownHosts=/k&hostKey=SHA256:abc+def&agent=none&create=false&stallMs=5",
  );
  assert.deepEqual(options, {
    host: "Host",
    user: "me",
    port: 2222,
    path: "b c",
    knownHosts: "/k",
    hostKeys: ["SHA256:abc+def"],
    agent: false,
    create: false,
    stallMs: 5,
  });
  assert.equal(optionsOf("sftp://h").path, ".");
  assert.equal(optionsOf("sftp://h/").path, "/");
  for (
    const url of [
      "sftp://",
      "sftp:///a",
      "sftp://h:x/",
      "sftp://me:p@h/",
      "sftp://h/?nope=1",
      "sftp://h?key=id",
    ]
  ) {
    assert.throws(() => optionsOf(url), TypeError, url);
  }
});

judged("known_hosts is read as ssh-keygen reads it", ["ssh-keygen"], () => {
  using dir = scratch();
  for (const name of ["a", "b"]) makeKey(dir.join(name));
  const publicOf = (name: string): string =>
    readFileSync(dir.join(`${name}.pub`), "utf8").split(" ").slice(0, 2).join(" ");
  const [a, b] = [publicOf("a"), publicOf("b")];
  const blob = (line: string): Uint8Array => Uint8Array.fromBase64(line.split(" ")[1]!);
  const file = dir.join("known_hosts");
  const verdict = (text: string, host: string, port: number, shown: string): string =>
    judge(keysFor(text, file, host, port), blob(shown)).kind;

  const plain = `# comment\n\nalpha,*.beta.org,!no.beta.org ${a}\n[alpha]:2222 ${b} comment\n`;
  assert.equal(verdict(plain, "ALPHA", 22, a), "known");
  assert.equal(verdict(plain, "alpha", 22, b), "changed");
  assert.equal(verdict(plain, "alpha", 2222, b), "known");
  assert.equal(verdict(plain, "alpha", 2222, a), "changed");
  assert.equal(verdict(plain, "alpha", 2200, a), "known"); // the plain name vouches for it on any port
  assert.equal(verdict(plain, "x.beta.org", 22, a), "known");
  assert.equal(verdict(plain, "xbeta.org", 22, a), "unknown");
  assert.equal(verdict(plain, "no.beta.org", 22, a), "unknown");
  assert.equal(verdict(`@revoked * ${a}\nalpha ${a}\n`, "alpha", 22, a), "revoked");
  assert.equal(verdict(`@cert-authority * ${a}\n`, "alpha", 22, a), "unknown");
  assert.equal(verdict(`alpha ssh-ed25519 %%%\n`, "alpha", 22, a), "changed");

  // Hashed by the stock tool.
  Deno.writeTextFileSync(file, `alpha ${a}\n[alpha]:2222 ${b}\n`);
  execFileSync("ssh-keygen", ["-q", "-H", "-f", file], { stdio: "ignore" });
  const hashed = readFileSync(file, "utf8");
  assert.match(hashed, /^\|1\|/);
  assert.equal(verdict(hashed, "alpha", 22, a), "known");
  assert.equal(verdict(hashed, "alpha", 2222, b), "known");
  assert.equal(verdict(hashed, "alpha2", 22, a), "unknown");

  const shown = execFileSync("ssh-keygen", ["-l", "-f", dir.join("a.pub")]).toString().split(" ")[1]!;
  assert.equal(fingerprintOf(blob(a)), shown);
  assert.equal(judge([pinned(shown)], blob(a)).kind, "known");
  assert.equal(judge([pinned(a)], blob(b)).kind, "changed");
  assert.equal(algorithmsFor(keysFor(`alpha ssh-rsa AAAA\n`, file, "alpha", 22))[0], "rsa-sha2-512");
  assert.ok(!algorithmsFor([]).includes("ssh-rsa"));
});
