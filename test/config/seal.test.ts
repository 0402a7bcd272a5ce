/** Signing, OpenPGP and policy in a configuration: a real backup and restore, and what is said about mistakes. */
import { strict as assert } from "node:assert";
import { backup, restore, verify } from "../../mod.ts";
import { parseConfig } from "../../src/config.ts";
import { ConfigError } from "../../src/errors.ts";
import { jobFromConfig } from "../../src/plan.ts";
import { minisignPair, openpgpPair } from "../sign/support.ts";
import { scratch } from "../support.ts";

const pgp = await openpgpPair({ passphrase: "correct horse" });
const mini = minisignPair();

const config = (policy: string): string => `
[plan.app]
collect = { files = ["src"] }
encrypt = { openpgp = { recipientFiles = "cert.asc", secretKeyFile = "secret.asc", passphraseFile = "pass" } }
sign = ["sha256", { minisign = { publicKey = "${mini.publicKey}", secretKeyFile = "mini.key" } },
  { openpgp = { certificateFile = "cert.asc", secretKeyFile = "secret.asc", passphraseFile = "pass", armor = true } }]
upload = { to = "store" }
require = ${policy}
`;

Deno.test("a configuration signs with minisign and OpenPGP, encrypts with OpenPGP, and its policy holds both ways", async () => {
  using dir = scratch();
  await Deno.mkdir(dir.join("src"));
  await Deno.writeTextFile(dir.join("src/a"), "hello");
  await Deno.writeTextFile(dir.join("cert.asc"), pgp.certificate);
  await Deno.writeTextFile(dir.join("secret.asc"), pgp.secretKey);
  await Deno.writeTextFile(dir.join("mini.key"), mini.secretKey);
  await Deno.writeTextFile(dir.join("pass"), "correct horse\n");
  const job = (policy: string): ReturnType<typeof jobFromConfig> =>
    jobFromConfig(parseConfig(config(policy), dir.join("backup.toml")), "app");
  const { plan } = job('{ signature = true, encryption = true, maxAge = "26h" }');
  const { id } = await backup(plan);
  for (const suffix of ["", ".sha256", ".minisig", ".asc", ".receipt.json.minisig", ".receipt.json.asc"]) {
    assert.ok((await Deno.stat(dir.join("store", id + suffix))).isFile, suffix);
  }
  assert.equal((await verify(plan, { level: "full" })).entries, 2);
  await restore(plan, { into: dir.join("out") });
  assert.equal(await Deno.readTextFile(dir.join("out/src/a")), "hello");
  await assert.rejects(verify(job('{ signers = ["RWother"] }').plan), /accepts no signature by/);
  await Deno.remove(dir.join("store", `${id}.receipt.json.asc`));
  await assert.rejects(verify(plan), /receipt\.json\.asc" is missing/);
  assert.throws(() => job('{ maxAge = "soon" }'), ConfigError);
  assert.throws(() => job('"nothing"'), /must be a table, or "none"/);
});

Deno.test("a configuration never holds a secret key or a passphrase, and says what is missing", () => {
  const wrong = (line: string, message: RegExp): void => {
    const text =
      `[plan.app]\ncollect = { files = ["src"] }\nencrypt = "plaintext"\nupload = { to = "store" }\n${line}\n`;
    assert.throws(() => parseConfig(text, "/etc/holdfast/backup.toml"), (error) => {
      assert.ok(error instanceof ConfigError);
      assert.match(error.message, message);
      assert.ok(!error.message.includes("hunter2"));
      return true;
    });
  };
  wrong('sign = [{ minisign = { publicKey = "RW", secretKey = "hunter2" } }]', /a secret must not stand/);
  wrong(
    'sign = [{ openpgp = { certificateFile = "c", passphrase = "hunter2" } }]',
    /a secret must not stand/,
  );
  wrong("sign = [{ minisign = {} }]", /the "RW..." line/);
  wrong("sign = [{ openpgp = {} }]", /a file with the signer's certificate/);
  wrong("require = { sign = true }", /unknown key/);
});
