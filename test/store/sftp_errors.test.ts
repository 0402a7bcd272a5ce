/** What goes wrong with an SFTP server, each by a real one: one sentence that says what failed, why, and what to do. */
import { strict as assert } from "node:assert";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { KeyError, messageOf, StoreError } from "../../src/errors.ts";
import type { Store } from "../../src/stage.ts";
import { open } from "../../src/store/mod.ts";
import type { SftpOptions } from "../../src/store/sftp.ts";
import { bytesOf, keysOf } from "../contract/store.ts";
import { hasTool, judged, noise, scratch } from "../support.ts";
import { freePort } from "./s3_server.ts";
import { folderOn, makeKey, type SftpServer, SSHD, startRclone, startSshd, storeOn } from "./sftp_server.ts";

const ROOT = userInfo().uid === 0;
const server: SftpServer | undefined = hasTool(SSHD) ? await startSshd() : undefined;
if (server) Deno.test.afterAll(server.close);

/** A test against the server that all share. Connections that are idle end by themselves. */
function test(name: string, run: (server: SftpServer) => Promise<void>): void {
  judged(name, [SSHD, "ssh-keygen"], () => run(server!), { sanitizeOps: false, sanitizeResources: false });
}

/** The sentence of a refusal, of which no secret is a part. */
async function sentence(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    assert.ok(error instanceof StoreError || error instanceof KeyError, String(error));
    assert.doesNotMatch(`${messageOf(error)}`, /BEGIN OPENSSH|hunter2/);
    return messageOf(error);
  }
  throw new Error("It did not fail");
}

test("sftp() refuses an unknown server, and says which line makes it known", async (server) => {
  using dir = scratch();
  const knownHosts = dir.join("known_hosts");
  const store = storeOn(server, { knownHosts });
  const text = await sentence(store.head("app"));
  assert.match(
    text,
    /the server's key is not known\. If its owner confirms that SHA256:\S{43} \(ssh-ed25519\)/,
  );
  const line = text.split("\n")[1]!;
  assert.equal(line, `[127.0.0.1]:${server.port} ${server.hostKey}`);
  writeFileSync(knownHosts, `${line}\n`); // what the sentence says helps
  assert.equal(await store.head("app"), undefined);
});

test("sftp() refuses a server whose key has changed, loudly", async (server) => {
  using dir = scratch();
  makeKey(dir.join("other"));
  const other = readFileSync(dir.join("other.pub"), "utf8").split(" ").slice(0, 2).join(" ");
  const knownHosts = dir.join("known_hosts");
  writeFileSync(knownHosts, `\n[127.0.0.1]:${server.port} ${other}\n`);
  const text = await sentence(storeOn(server, { knownHosts }).put("app", noise(10)));
  assert.match(
    text,
    /REFUSED: THE SERVER'S KEY HAS CHANGED\. It shows SHA256:.* known is SHA256:.*line 2 of /,
  );
  writeFileSync(knownHosts, `@revoked * ${server.hostKey}\n`);
  assert.match(
    await sentence(storeOn(server, { knownHosts }).put("app", noise(10))),
    /which line 1 .* revokes/,
  );
  assert.match(await sentence(storeOn(server, { hostKeys: [other] }).head("app")), /HAS CHANGED/);
  assert.equal(await storeOn(server, { hostKeys: [server.hostKey] }).head("app"), undefined);
});

test("sftp() logs in with a key and its passphrase, and by an agent", async (server) => {
  using dir = scratch();
  const locked = dir.join("locked");
  writeFileSync(locked, server.key, { mode: 0o600 });
  execFileSync("ssh-keygen", ["-q", "-p", "-P", "", "-N", "hunter2", "-f", locked]);
  const privateKey = (): string => readFileSync(locked, "utf8");
  assert.equal(await storeOn(server, { privateKey, passphrase: () => "hunter2" }).head("x"), undefined);
  assert.match(
    await sentence(storeOn(server, { privateKey }).head("x")),
    /is encrypted\. Give its passphrase/,
  );
  assert.match(
    await sentence(storeOn(server, { privateKey, passphrase: () => "hunter" }).head("x")),
    /does not open with this passphrase/,
  );
  const publicKey = (): string => readFileSync(`${server.keyFile}.pub`, "utf8");
  assert.match(await sentence(storeOn(server, { privateKey: publicKey }).head("x")), /is a public key/);
  assert.match(await sentence(storeOn(server, { privateKey: () => "junk" }).head("x")), /cannot be read/);

  const url = `sftp://${server.user}@127.0.0.1:${server.port}/tmp?knownHosts=${server.knownHosts}`;
  assert.equal(await open(`${url}&key=${server.keyFile}`).head("no-such-thing"), undefined);
  assert.match(
    await sentence(open(`${url}&key=${dir.path}/none`).head("x")),
    /Cannot read the secret in .*not there/,
  );

  const socket = dir.join("agent");
  const agent = new Deno.Command("ssh-agent", { args: ["-D", "-a", socket], stdout: "null", stderr: "null" })
    .spawn();
  try {
    while (!existsSync(socket)) await new Promise((resolve) => setTimeout(resolve, 20));
    const without = sentence(open(`${url}&agent=${socket}`).head("x"));
    assert.match(await without, /refuses the user ".*" with the agent at /);
    execFileSync("ssh-add", ["-q", server.keyFile], {
      env: { ...Deno.env.toObject(), SSH_AUTH_SOCK: socket },
    });
    assert.equal(await open(`${url}&agent=${socket}`).head("no-such-thing"), undefined);
  } finally {
    agent.kill();
    await agent.status;
  }
});

judged("sftp() logs in with a password, on a server that only knows passwords", ["rclone"], async () => {
  const other = await startRclone("hunter2");
  try {
    const right = storeOn(other, { path: "/", password: () => Promise.resolve("hunter2") });
    await right.put("f/app", noise(100_000), { ifAbsent: true });
    assert.deepEqual(await bytesOf(right, "f/app"), noise(100_000));
    const wrong = storeOn(other, { path: "/", password: () => "hunter" });
    assert.match(
      await sentence(wrong.head("app")),
      /refuses the user "tester" with a password\. Check the user/,
    );
  } finally {
    await other.close();
  }
}, { sanitizeOps: false, sanitizeResources: false });

test("sftp() says what is wrong with an address", async (server) => {
  const at = (options: Partial<SftpOptions>): Store => storeOn(server, { retries: 0, ...options });
  const port = freePort();
  assert.match(await sentence(at({ port }).head("x")), new RegExp(`nothing listens at 127.0.0.1:${port}`));
  assert.match(
    await sentence(at({ host: "no-such-host.invalid" }).head("x")),
    /the name "no-such-host.invalid" cannot be resolved/,
  );
  assert.match(
    await sentence(at({ user: "nobody-at-all" }).head("x")),
    /refuses the user "nobody-at-all" with the key/,
  );
  const silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  try {
    const deaf = at({ port: silent.addr.port, connectMs: 300 });
    assert.match(await sentence(deaf.head("x")), /does not finish the login within 0 s|does not answer/);
  } finally {
    silent.close();
  }
  assert.match(
    await sentence(at({ privateKey: undefined, agent: false }).head("x")),
    /there is no way to log in\. Give a key/,
  );
});

test("sftp() tells a folder that is missing from objects that are", async (server) => {
  const gone = storeOn(server, { path: `${server.data}/a/b` });
  for (const work of [gone.get("x"), gone.head("x"), gone.delete("x"), keysOf(gone)]) {
    assert.match(await sentence(work), /the folder ".*\/a\/b" does not exist on the server\. Create it/);
  }
  assert.match(await sentence(gone.put("x", noise(1))), /"\S*\/a\/b" does not exist on the server/);
  const fresh = folderOn(server);
  await storeOn(server, { path: `${fresh}/new` }).put("x", noise(1)); // only the last part is made
  assert.match(
    await sentence(storeOn(server, { path: `${fresh}/other`, create: false }).put("x", noise(1))),
    /does not exist on the server/,
  );
  writeFileSync(`${fresh}/file`, "");
  assert.match(
    await sentence(storeOn(server, { path: `${fresh}/file` }).head("x")),
    /is not a folder on the server/,
  );
});

test("sftp() keeps its own among 1,000 foreign files, links and folders", async (server) => {
  const folder = folderOn(server);
  for (let i = 0; i < 1000; i++) writeFileSync(join(folder, `foreign ${i} \u00e9`), "");
  execFileSync("mkfifo", [join(folder, "pipe")]);
  execFileSync("ln", ["-s", "/etc/passwd", join(folder, "link")]);
  execFileSync("ln", ["-s", "/etc", join(folder, "way out")]);
  const store = storeOn(server, { path: folder });
  await store.put("a b/\u65e5\u672c '\"$x`; & | *.tar", noise(9), { ifAbsent: true });
  await assert.rejects(
    store.put("foreign 1 \u00e9", noise(9), { ifAbsent: true }),
    /it exists in .* with other content/,
  );
  for (const key of ["pipe", "link", "way out/passwd"]) {
    if (key !== "way out/passwd") assert.equal(await store.head(key), undefined, key);
  }
  await assert.rejects(store.put("pipe", noise(1), { ifAbsent: true }), StoreError);
  const keys = await keysOf(store);
  assert.equal(keys.length, 1001);
  assert.equal(keys[0], "a b/\u65e5\u672c '\"$x`; & | *.tar");
  assert.deepEqual(await bytesOf(store, keys[0]!), noise(9));
});

for (
  const [denied, right, work] of [
    ["open", "read files", (store: Store) => store.get("app")],
    ["write", "write and rename files", (store: Store) => store.put("new", noise(10))],
    ["posix-rename", "write and rename files", (store: Store) => store.put("app", noise(10))],
    ["remove", "delete files", (store: Store) => store.delete("app")],
    ["opendir", "read folders", (store: Store) => keysOf(store)],
  ] as const
) {
  judged(`sftp() names the right that is missing where "${denied}" is denied`, [SSHD], async () => {
    const strict = await startSshd({ sftp: `-P ${denied}` });
    try {
      writeFileSync(join(strict.data, "app"), "old");
      const store = storeOn(strict, { path: strict.data });
      if (denied === "posix-rename") {
        await work(store); // not offered, so there is another way
        return;
      }
      assert.match(
        await sentence(work(store)),
        new RegExp(`the server denies it\\. Give the user "${strict.user}" the right to ${right} in`),
      );
      assert.equal(readFileSync(join(strict.data, "app"), "utf8"), "old");
    } finally {
      await strict.close();
    }
  }, { sanitizeOps: false, sanitizeResources: false });
}

judged("sftp() on a server without SFTP says so", [SSHD], async () => {
  const bare = await startSshd({ sftp: false });
  try {
    assert.match(
      await sentence(storeOn(bare, { retries: 0 }).head("x")),
      /lets ".*" in and offers no SFTP .* Enable "Subsystem sftp internal-sftp" there/,
    );
  } finally {
    await bare.close();
  }
}, { sanitizeOps: false, sanitizeResources: false });

const chrooted = ROOT && !canMount() ? "needs the right to mount" : ROOT ? "" : "needs root";
(chrooted === "" ? judged : skipped)(
  `sftp() works in a chroot, and says when it is full${chrooted && ` [${chrooted}]`}`,
  [SSHD, "mount"],
  async () => {
    // A chroot's folders must all be root's own: /tmp is not.
    const top = mkdtempSync("/run/holdfast-test-");
    const jail = join(top, "jail");
    mkdirSync(join(jail, "home"), { recursive: true });
    chmodSync(top, 0o755);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=3m,mode=755", "tmpfs", join(jail, "home")]);
    const small = await startSshd({
      config: [`ChrootDirectory ${jail}`, "ForceCommand internal-sftp -d /home"],
      user: "nobody",
      data: join(jail, "home"),
    });
    try {
      const { uid, gid } = accountOf("nobody");
      mkdirSync(join(jail, "home", "mine"));
      chownSync(join(jail, "home", "mine"), uid, gid);
      for (const path of ["mine/backups", "/home/mine/backups"]) {
        const store = storeOn(small, { path });
        await store.put("f/app", noise(1_000_000), { ifAbsent: true });
        assert.deepEqual(await bytesOf(store, "f/app"), noise(1_000_000));
        assert.ok((await store.space!())! < 3 * 1024 * 1024);
        const text = await sentence(store.put("big", noise(2_900_000)));
        assert.match(text, /no space left on the server in "\S+"\. Free some space there, or prune$/);
        assert.deepEqual(await keysOf(store), ["f/app"]);
        assert.deepEqual(readdirSync(join(jail, "home/mine/backups")), ["f"]);
        await store.delete("f/app");
      }
      assert.match(
        await sentence(storeOn(small, { path: "/home" }).put("x", noise(1))),
        /denies it\. Give the user "nobody"/,
      );
    } finally {
      await small.close();
      execFileSync("umount", ["-l", join(jail, "home")]);
      rmSync(top, { recursive: true });
    }
  },
  { sanitizeOps: false, sanitizeResources: false },
);

test("sftp() stopped by a quota or a limit says what that is most likely", async (server) => {
  // A limit on the size of files is as silent as a quota: SFTP has one word for both.
  const limited = await startSshd({ limit: 600 * 1024 });
  try {
    const folder = folderOn(limited);
    const store = storeOn(limited, { path: folder });
    await store.put("small", noise(1000));
    const text = await sentence(store.put("big", noise(3_000_000)));
    assert.match(text, /the server stopped writing and does not say why\. Most likely the quota of the user/);
    assert.deepEqual(await keysOf(store), ["small"]);
    assert.deepEqual(readdirSync(folder), ["small"]); // no temporary file either
  } finally {
    await limited.close();
  }
  assert.ok(server);
});

function skipped(name: string): void {
  Deno.test.ignore(name, () => {});
}

function accountOf(name: string): { uid: number; gid: number } {
  const [, , uid, gid] = readFileSync("/etc/passwd", "utf8").split("\n").find((line) =>
    line.startsWith(`${name}:`)
  )!
    .split(":");
  return { uid: Number(uid), gid: Number(gid) };
}

function canMount(): boolean {
  const probe = mkdtempSync("/run/holdfast-test-");
  try {
    execFileSync("mount", ["-t", "tmpfs", "tmpfs", probe], { stdio: "ignore" });
    execFileSync("umount", [probe]);
    return true;
  } catch {
    return false;
  } finally {
    rmSync(probe, { recursive: true, force: true });
  }
}
