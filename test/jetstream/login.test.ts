/** Every way of proving who one is, against a server that asks for it: right, and wrong. */
import { strict as assert } from "node:assert";
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { credsAuthenticator, nkeyAuthenticator, nkeys } from "@nats-io/transport-node";
import * as collect from "../../src/collect/mod.ts";
import { judged, scratch, sh } from "../support.ts";
import { collected, makeStream, startServer } from "./support.ts";

type Keys = ReturnType<typeof nkeys.createUser>;
const seedOf = (keys: Keys): string => new TextDecoder().decode(keys.getSeed());

/** Backs up with the right login; then with each wrong one, which must be said and not shown. */
async function tries(
  servers: string,
  right: collect.JetStreamOptions,
  wrong: readonly [collect.JetStreamOptions, RegExp][],
): Promise<void> {
  const { entries } = await collected(collect.jetstream({ servers, ...right }));
  assert.deepEqual(entries.map(({ path }) => path), ["S", "S/backup.json", "S/stream.tar.s2"]);
  for (const [options, message] of wrong) {
    const secrets = Object.values(await options.auth?.() ?? {}).filter((value) => value !== undefined);
    await assert.rejects(collected(collect.jetstream({ servers, ...options })), (error: Error) => {
      assert.match(error.message, message);
      for (const secret of secrets) assert.ok(!error.message.includes(secret.trim()), "a secret is shown");
      return true;
    });
  }
}

const REFUSED = /Cannot connect to NATS at .*Check the credentials/;

judged("jetstream logs in with a user and a password", ["nats-server"], async () => {
  const auth = { user: "backup", pass: "right-password" };
  await using server = await startServer({
    extra: 'authorization { user: "backup", password: "right-password" }\n',
    auth,
  });
  await makeStream(server.nc, "S", 3);
  await tries(server.url, { auth: () => ({ user: "backup", password: "right-password" }) }, [
    [{ auth: () => ({ user: "backup", password: "wrong-password" }) }, REFUSED],
    [{}, REFUSED],
  ]);
});

judged("jetstream logs in with an NKey", ["nats-server"], async () => {
  const [mine, other] = [nkeys.createUser(), nkeys.createUser()];
  await using server = await startServer({
    extra: `authorization { users: [{ nkey: "${mine.getPublicKey()}" }] }\n`,
    auth: { authenticator: nkeyAuthenticator(mine.getSeed()) },
  });
  await makeStream(server.nc, "S", 3);
  await tries(server.url, { auth: () => ({ nkeySeed: seedOf(mine) }) }, [
    [{ auth: () => ({ nkeySeed: seedOf(other) }) }, REFUSED],
    [{ auth: () => ({ nkeySeed: "SUNOSEED" }) }, REFUSED],
  ]);
});

/** A JWT as NATS has them: signed with Ed25519 by the issuer's NKey. */
function jwt(issuer: Keys, subject: Keys, name: string, nats: Record<string, unknown>): string {
  const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const claims = { iat: 1, iss: issuer.getPublicKey(), sub: subject.getPublicKey(), name };
  const jti = createHash("sha256").update(JSON.stringify(claims)).digest("hex");
  const text = `${encode({ typ: "JWT", alg: "ed25519-nkey" })}.${
    encode({ jti, ...claims, nats: { version: 2, ...nats } })
  }`;
  return `${text}.${Buffer.from(issuer.sign(new TextEncoder().encode(text))).toString("base64url")}`;
}

judged("jetstream logs in with a credentials file", ["nats-server"], async () => {
  const [operator, system] = [nkeys.createOperator(), nkeys.createAccount()];
  const [account, user] = [nkeys.createAccount(), nkeys.createUser()];
  const limits = {
    ...{ subs: -1, data: -1, payload: -1, imports: -1, exports: -1, wildcards: true, conn: -1, leaf: -1 },
    ...{ mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 },
  };
  const preload = [system, account].map((keys) =>
    `${keys.getPublicKey()}: "${
      jwt(operator, keys, "app", { type: "account", limits: keys === system ? {} : limits })
    }"`
  );
  const credentials = (issuer: Keys): string =>
    `-----BEGIN NATS USER JWT-----\n${
      jwt(issuer, user, "backup", { type: "user", subs: -1, data: -1, payload: -1 })
    }\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n${
      seedOf(user)
    }\n------END USER NKEY SEED------\n`;
  const creds = credentials(account);
  await using server = await startServer({
    extra: `operator: "${jwt(operator, operator, "op", { type: "operator" })}"\nresolver: MEMORY\n` +
      `system_account: ${system.getPublicKey()}\nresolver_preload { ${preload.join("\n")} }\n`,
    auth: { authenticator: credsAuthenticator(new TextEncoder().encode(creds)) },
  });
  await makeStream(server.nc, "S", 3);
  await tries(server.url, { auth: () => ({ credentials: creds }) }, [
    [{ auth: () => ({ credentials: credentials(nkeys.createAccount()) }) }, REFUSED],
    [{ auth: () => ({ credentials: "not a credentials file" }) }, REFUSED],
  ]);
});

judged("jetstream over TLS takes the authority that it was given, and no other", [
  "nats-server",
  "openssl",
], async () => {
  using dir = scratch();
  for (const name of ["a", "b"]) {
    sh(
      `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost ` +
        `-addext subjectAltName=IP:127.0.0.1 -keyout ${name}.key -out ${name}.pem 2>&1`,
      { cwd: dir.path },
    );
  }
  const pem = (name: string): string => readFileSync(dir.join(`${name}.pem`), "utf8");
  await using server = await startServer({
    extra: `tls { cert_file: "${dir.join("a.pem")}", key_file: "${dir.join("a.key")}" }\n`,
    auth: { tls: { ca: pem("a") } },
  });
  await makeStream(server.nc, "S", 3);
  await tries(server.url, { caCert: pem("a") }, [
    [{ caCert: pem("b") }, /Cannot connect to NATS at .*certificate/i],
    [{}, /Cannot connect to NATS at .*certificate/i],
  ]);
});
