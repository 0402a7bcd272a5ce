/** The passphrase of a secret key, typed on a terminal: never shown, asked for once, and cancelled without a trace. */
import { strict as assert } from "node:assert";
import { judged, scratch, sh } from "../support.ts";
import { openpgpPair } from "../sign/support.ts";
import { bareEnv, ROOT, run, type User } from "./support.ts";

const SECRET = "correct horse";
const pair = await openpgpPair({ passphrase: SECRET });

/** A user with a plan that encrypts and signs with one OpenPGP key, and does not say where its passphrase is. */
function userWith(dir: { join: (...parts: string[]) => string }, sign?: string): User {
  const home = dir.join("home");
  const cwd = dir.join("work");
  for (const folder of [home, cwd, `${cwd}/src`]) Deno.mkdirSync(folder);
  Deno.writeTextFileSync(`${cwd}/src/a`, "hello");
  Deno.writeTextFileSync(`${cwd}/cert.asc`, pair.certificate);
  Deno.writeTextFileSync(`${cwd}/secret.asc`, pair.secretKey);
  Deno.writeTextFileSync(
    `${cwd}/backup.toml`,
    `[plan.app]
collect = { files = ["src"] }
encrypt = { openpgp = { recipientFiles = "cert.asc", secretKeyFile = "secret.asc" } }
sign = [${sign ?? '{ openpgp = { certificateFile = "cert.asc", secretKeyFile = "secret.asc" } }'}]
upload = { to = "store" }
`,
  );
  return { home, cwd };
}

interface Typed {
  readonly code: number;
  /** All that the terminal showed. */
  readonly screen: string;
  /** How many of the texts did not come. */
  readonly left: number;
}

/** Runs a task on a terminal; each step is a text to wait for, and what is typed then; null hangs up. */
async function typed(user: User, args: readonly string[], steps: [string, string | null][]): Promise<Typed> {
  const argv = [Deno.execPath(), "run", "-A", "--no-prompt", `${ROOT}/tasks/${args[0]}.ts`, ...args.slice(1)];
  const env = { ...bareEnv(user), TERM: "xterm" };
  const spec = JSON.stringify({ argv, cwd: user.cwd, env, steps });
  const { stdout } = await new Deno.Command("python3", { args: [`${ROOT}/test/cli/on_terminal.py`, spec] })
    .output();
  const ran: Typed = JSON.parse(new TextDecoder().decode(stdout));
  assert.ok(!ran.screen.includes(SECRET) && !ran.screen.includes("hunter2"), ran.screen);
  return ran;
}

const kept = (user: User): string[] => {
  try {
    return [...Deno.readDirSync(`${user.cwd}/store`)].map(({ name }) => name).filter((name) =>
      /\.tar/.test(name)
    );
  } catch {
    return [];
  }
};

judged(
  "a secret key's passphrase is asked for on a terminal, once for one key, and not shown",
  ["python3"],
  async () => {
    using dir = scratch();
    const user = userWith(dir);
    const ask = 'Passphrase of the secret key "';
    const made = await typed(user, ["backup"], [[ask, `${SECRET}\r`]]);
    assert.equal(made.code, 0, made.screen);
    assert.equal(made.left, 0);
    assert.ok(kept(user).some((name) => name.endsWith(".gpg.sig")));
    const back = await typed(user, ["restore", "--into", "out"], [[ask, `${SECRET}\r`]]);
    assert.equal(back.code, 0, back.screen);
    assert.equal(Deno.readTextFileSync(`${user.cwd}/out/src/a`), "hello");
  },
);

judged(
  "a wrong passphrase, Ctrl-C, and no terminal leave nothing and say what to do",
  ["python3"],
  async () => {
    using dir = scratch();
    const user = userWith(dir);
    const ask = "Passphrase of the secret key";
    const wrong = await typed(user, ["backup"], [[ask, "hunter2\r"]]);
    assert.equal(wrong.code, 4, wrong.screen);
    assert.match(wrong.screen, /Cannot unlock the OpenPGP secret key: the passphrase does not fit/);
    const cancelled = await typed(user, ["backup"], [[ask, "\x03"]]);
    assert.equal(cancelled.code, 130, cancelled.screen);
    const nobody = await run(user, "backup", []);
    assert.equal(nobody.code, 4);
    assert.match(
      nobody.err,
      /secret\.asc": it has a passphrase, and there is no terminal.*passphraseFile = "FILE"/,
    );
    assert.deepEqual(kept(user), []);
  },
);

judged(
  "a terminal that is lost cancels the run, and nothing is left behind",
  ["python3"],
  async () => {
    using dir = scratch();
    const user = userWith(dir);
    Deno.writeTextFileSync(
      `${user.cwd}/backup.toml`,
      `[plan.app]
collect = { command = ["sh", "-c", "head -c 1000000 /dev/zero; sleep 100"], path = "a" }
encrypt = "plaintext"
upload = { to = "store" }
`,
    );
    const lost = await typed(user, ["backup"], [["Reading", null]]);
    assert.equal(lost.left, 0, lost.screen);
    assert.equal(lost.code, 130);
    assert.deepEqual([...Deno.readDirSync(`${user.cwd}/store`)].map(({ name }) => name), []);
  },
);

// minisign derives its key with 1 GiB of memory, each time.
if (Deno.env.get("HOLDFAST_SOAK") === "1") {
  judged(
    "a minisign key that minisign itself has encrypted opens with what is typed",
    ["minisign", "python3"],
    async () => {
      using dir = scratch();
      sh(
        `printf '%s\\n%s\\n' '${SECRET}' '${SECRET}' | minisign -G -p ${dir.path}/n.pub -s ${dir.path}/n.sec`,
      );
      const publicKey = Deno.readTextFileSync(dir.join("n.pub")).trim().split("\n")[1]!;
      const user = userWith(dir, `{ minisign = { publicKey = "${publicKey}", secretKeyFile = "../n.sec" } }`);
      const made = await typed(user, ["backup"], [["Passphrase of the secret key", `${SECRET}\r`]]);
      assert.equal(made.code, 0, made.screen);
      const id = kept(user).find((name) => name.endsWith(".gpg"))!;
      assert.match(
        new TextDecoder().decode(sh(`minisign -Vm ${id} -P ${publicKey}`, { cwd: `${user.cwd}/store` })),
        /Signature and comment signature verified/,
      );
    },
  );
}
