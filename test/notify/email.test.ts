/** Mail to a real server, which asks for TLS and a login. */
import { strict as assert } from "node:assert";
import { fileURLToPath } from "node:url";
import { notify } from "../../mod.ts";
import { judged, scratch, sh } from "../support.ts";
import { keeping } from "./support.ts";

interface Mail {
  readonly from: string;
  readonly to: readonly string[];
  readonly tls: boolean;
  readonly user: string | null;
  readonly text: string;
}

const SCRIPT = fileURLToPath(new URL("./smtp.py", import.meta.url));
const TOOLS = ["aiosmtpd", "openssl", "timeout"];

async function startMail(mode: "plain" | "starttls" | "smtps", folder: string): Promise<
  AsyncDisposable & { readonly port: number; readonly mails: () => Promise<Mail[]> }
> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  const child = new Deno.Command("timeout", {
    args: ["120", "/usr/bin/python3", SCRIPT, mode, `${folder}/cert.pem`, `${folder}/key.pem`, String(port)],
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (!text.includes("ready\n")) {
    const { done, value } = await reader.read();
    if (done) throw new Error("The mail server does not start");
    text += value;
  }
  let ended = false;
  const end = async (): Promise<void> => {
    if (ended) return;
    ended = true;
    await child.stdin.close();
    for (let part = await reader.read(); !part.done; part = await reader.read()) text += part.value;
    await child.status;
  };
  return {
    port,
    mails: async () => {
      await end();
      return text.split("\n").slice(1).filter((line) => line !== "").map((line) => JSON.parse(line));
    },
    [Symbol.asyncDispose]: end,
  };
}

async function send(options: Omit<notify.EmailOptions, "from" | "to">): Promise<string[]> {
  const { log, warnings } = keeping();
  const one = notify.email({
    from: "holdfast@example.com",
    to: ["ops@example.com", "boss@example.com"],
    ...options,
  });
  const subject = { task: "backup", plan: "äpp", log } as const;
  const outcome = { kind: "failure", text: "Disk full: ünï\n.\nsecond line", error: "Disk full" } as const;
  await notify.announced([one], subject, () => Promise.resolve(), () => outcome);
  return warnings;
}

function makeCertificate(folder: string): void {
  sh(
    `openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=localhost \
     -addext subjectAltName=DNS:localhost,IP:127.0.0.1 2>/dev/null`,
    { cwd: folder },
  );
}

judged("email() speaks STARTTLS and TLS, logs in, and checks the certificate", TOOLS, async () => {
  using dir = scratch();
  makeCertificate(dir.path);
  const login = { user: "ops", password: () => "correct horse\n", ca: dir.join("cert.pem") };
  for (const mode of ["starttls", "smtps"] as const) {
    await using server = await startMail(mode, dir.path);
    const url = `${mode === "smtps" ? "smtps" : "smtp"}://127.0.0.1:${server.port}`;
    assert.deepEqual(await send({ server: url, ...login }), []);
    const { ca: _, ...unknown } = login;
    assert.match((await send({ server: url, ...unknown })).join(), /self-signed|certificate/i);
    const wrong = await send({ server: url, ...login, password: () => "wrong horse" });
    assert.match(wrong.join(), /535|Authentication/i);
    assert.ok(!/wrong horse|d3JvbmcgaG9yc2U/.test(wrong.join()));
    const mails = await server.mails();
    assert.equal(mails.length, 1);
    const [mail] = mails;
    assert.deepEqual([mail!.from, mail!.to, mail!.tls, mail!.user], [
      "holdfast@example.com",
      ["ops@example.com", "boss@example.com"],
      true,
      "ops",
    ]);
    assert.match(mail!.text, /^Subject: .*=\?UTF-8\?/m);
  }
});

judged("email() refuses a server without TLS unless it is told so", TOOLS, async () => {
  using dir = scratch();
  await using server = await startMail("plain", dir.path);
  const url = `smtp://127.0.0.1:${server.port}`;
  assert.match((await send({ server: url })).join(), /STARTTLS|TLS/);
  assert.deepEqual(await send({ server: url, plain: true }), []);
  assert.equal((await server.mails()).length, 1);
});

Deno.test("email() gives up in time on a server that says nothing", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const open: Deno.Conn[] = [];
  const accepting = (async () => {
    for await (const connection of listener) open.push(connection);
  })().catch(() => {});
  const warnings = await send({
    server: `smtp://127.0.0.1:${listener.addr.port}`,
    plain: true,
    timeoutMs: 300,
  });
  assert.match(warnings.join(), /Cannot tell of the failure by email \(smtp:\/\/127\.0\.0\.1:\d+\)/);
  listener.close();
  await accepting;
  for (const connection of open) connection.close();
});

Deno.test("email() refuses what cannot be an address, a server or a safe login", () => {
  const good = { server: "smtps://mail.example.com", from: "a@example.com", to: ["b@example.com"] };
  notify.email(good);
  const refused = (options: Partial<notify.EmailOptions>, message: RegExp): void => {
    assert.throws(() => notify.email({ ...good, ...options }), message);
  };
  refused({ server: "mail.example.com" }, /write its server as "smtps/);
  refused({ server: "smtps://me:secret@mail.example.com" }, /user and password must not stand in its server/);
  refused({ from: "a@example.com\r\nBcc: x@example.com" }, /is no address/);
  refused({ to: [] }, /"to" names nobody/);
  refused({ user: "me" }, /go together/);
  refused({ user: "me", password: () => "x", plain: true }, /does not go over a line without TLS/);
});
