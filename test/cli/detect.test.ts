/** Backups and files encrypted with OpenPGP, read with no configuration at hand. */
import { strict as assert } from "node:assert";
import { gpgIn, openpgpPair, stopAgent } from "../sign/support.ts";
import { judged, scratch, sh } from "../support.ts";
import { run, type User } from "./support.ts";

Deno.test("a store of a plan with OpenPGP is listed, verified and restored without its configuration", async () => {
  using dir = scratch();
  const pair = await openpgpPair({ passphrase: "correct horse" });
  const user: User = { home: dir.join("home"), cwd: dir.join("work") };
  for (const folder of [user.home, user.cwd, dir.join("work/src"), dir.join("else")]) Deno.mkdirSync(folder);
  Deno.writeTextFileSync(dir.join("work/src/a"), "hello");
  Deno.writeTextFileSync(dir.join("cert.asc"), pair.certificate);
  Deno.writeTextFileSync(dir.join("secret.asc"), pair.secretKey);
  Deno.writeTextFileSync(dir.join("pass"), "correct horse\n");
  Deno.writeTextFileSync(dir.join("wrong"), "battery\n");
  Deno.writeTextFileSync(
    dir.join("work/backup.toml"),
    `[plan.app]\ncollect = { files = ["src"] }\nencrypt = { openpgp = { recipientFiles = "../cert.asc" } }\nupload = { to = "../store" }\n`,
  );
  assert.equal((await run(user, "backup", [])).code, 0);
  const elsewhere: User = { home: user.home, cwd: dir.join("else") };
  const read = (task: string, ...args: string[]): ReturnType<typeof run> =>
    run(elsewhere, task, ["--from", dir.join("store"), ...args]);
  assert.match((await read("list")).out, /app_.*\.tar\.zst\.gpg/);
  const key = ["--identity", dir.join("secret.asc"), "--passphrase-file", dir.join("pass")];
  const whole = await read("verify", "--level", "full", ...key);
  assert.equal(whole.code, 0, whole.err);
  assert.equal((await read("restore", "--into", "out", ...key)).code, 0);
  assert.equal(Deno.readTextFileSync(dir.join("else/out/src/a")), "hello");
  const without = await read("restore", "--into", "none");
  assert.equal(without.code, 4);
  assert.match(without.err, /encrypted to the OpenPGP key [0-9A-F]{16}.*--identity FILE/);
  const unfit = await read("restore", "--into", "none", ...key.slice(0, 3), dir.join("wrong"));
  assert.equal(unfit.code, 4);
  assert.match(unfit.err, /the passphrase does not fit/);
});

judged("restore reads an archive that tar and gpg made, by its content", ["gpg", "tar"], async () => {
  using dir = scratch();
  const user: User = { home: dir.join("home"), cwd: dir.join("work") };
  for (const folder of [user.home, user.cwd, dir.join("work/src")]) Deno.mkdirSync(folder);
  Deno.writeTextFileSync(dir.join("work/src/a"), "hello");
  const gpg = gpgIn(dir.path);
  try {
    sh(`${gpg} --passphrase '' --quick-gen-key t@example.org future-default default never`);
    sh(`${gpg} --export-secret-keys > own.sec`, { cwd: user.cwd });
    const to = "--trust-model always -r t@example.org -e";
    sh(`tar cf - src | ${gpg} ${to} > plain.tar.gpg; tar czf - src | ${gpg} ${to} --armor > unnamed`, {
      cwd: user.cwd,
    });
    for (const file of ["plain.tar.gpg", "unnamed"]) {
      const ran = await run(user, "restore", [file, "--into", `out-${file}`, "--identity", "own.sec"]);
      assert.equal(ran.code, 0, ran.err);
      assert.equal(Deno.readTextFileSync(dir.join("work", `out-${file}`, "src/a")), "hello");
    }
    assert.equal((await run(user, "restore", ["unnamed", "--into", "none"])).code, 4);
  } finally {
    stopAgent(dir.path);
  }
});
