/**
 * Keys from the SDK's own chain: a role for a web identity (IRSA) by MinIO's STS, and an instance's metadata service (IMDSv2), which here is a
 * small server on loopback that hands out what MinIO's STS gives. Both kinds end in the middle of an upload and are renewed.
 */
import assert from "node:assert/strict";
import { judged, scratch } from "../support.ts";
import { assumeRoleWith, type Issuer, startIssuer, startMetadata } from "./s3_identity.ts";
import { KEYS, type Server, startServer, storeOn, toolPath } from "./s3_server.ts";

const minio = toolPath("minio");

async function withRole(run: (server: Server, issuer: Issuer) => Promise<void>): Promise<void> {
  const issuer = startIssuer();
  const server = await startServer("minio", { env: issuer.env });
  try {
    await run(server, issuer);
  } finally {
    await server.close();
    await issuer.close();
  }
}

/** Runs an upload with this environment, and nothing else of AWS's. */
async function upload(
  server: Server,
  key: string,
  mib: number,
  env: Record<string, string>,
): Promise<string> {
  const child = new URL("s3_chain_child.ts", import.meta.url);
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-prompt", child.pathname, server.endpoint, key, `${mib}`],
    clearEnv: true,
    env: {
      ...Object.fromEntries(["PATH", "DENO_DIR", "HOME"].flatMap((name) => {
        const value = Deno.env.get(name);
        return value === undefined ? [] : [[name, value]];
      })),
      AWS_CONFIG_FILE: "/nonexistent",
      AWS_SHARED_CREDENTIALS_FILE: "/nonexistent",
      AWS_REGION: "us-east-1",
      NO_COLOR: "1",
      ...env,
    },
  }).output();
  const text = new TextDecoder();
  return text.decode(stdout).trim() || text.decode(stderr);
}

judged("s3() takes a role for the token in a file, again when it ends, and says when that token has ended", [
  minio,
], async () => {
  using dir = scratch();
  await withRole(async (server, issuer) => {
    const file = dir.join("token");
    const env = {
      AWS_WEB_IDENTITY_TOKEN_FILE: file,
      AWS_ROLE_ARN: issuer.role,
      AWS_ROLE_SESSION_NAME: "app",
      AWS_ENDPOINT_URL_STS: server.endpoint,
      AWS_EC2_METADATA_DISABLED: "true",
    };
    // The keys end a second or two after they were given; the file gets a new token all the time, as a kubelet does.
    const renew = (): void => Deno.writeTextFileSync(file, issuer.token(3));
    renew();
    const timer = setInterval(renew, 500);
    try {
      assert.equal(await upload(server, "role", 24, env), "whole");
    } finally {
      clearInterval(timer);
    }
    Deno.writeTextFileSync(file, issuer.token(-60));
    const ended = await upload(server, "late", 1, env);
    assert.match(ended, /^Cannot write "late" in s3:\S+: .*token.*$/i);
    Deno.writeTextFileSync(file, "no token");
    assert.match(await upload(server, "none", 1, env), /^Cannot write "none" in s3:\S+: .+$/);
    assert.equal(await storeOn(server).head("late"), undefined);
  });
});

judged("s3() takes the keys of an instance's role, again when they end, and says when there are none", [
  minio,
], async () => {
  await withRole(async (server, issuer) => {
    const metadata = startMetadata(() => assumeRoleWith(issuer.token(4), issuer, server.endpoint));
    try {
      const env = { AWS_EC2_METADATA_SERVICE_ENDPOINT: metadata.base };
      assert.equal(await upload(server, "instance", 24, env), "whole");
      const given = metadata.asked.filter((line) => line.endsWith("/backup-role")).length;
      assert.ok(given > 1, metadata.asked.join("\n"));
    } finally {
      await metadata.close();
    }
    // The same process without the service, and with keys in the environment again.
    const nobody = await upload(server, "nobody", 1, { AWS_EC2_METADATA_SERVICE_ENDPOINT: metadata.base });
    assert.match(nobody, /^Cannot write "nobody" in s3:\S+: there are no keys/);
    const env = { AWS_ACCESS_KEY_ID: KEYS.accessKeyId, AWS_SECRET_ACCESS_KEY: KEYS.secretAccessKey };
    assert.equal(await upload(server, "keys", 1, env), "whole");
  });
});
