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

judged(
  "s3() takes keys of a web identity and of an instance, again when they end, and says when there are none",
  [
    minio,
  ],
  async () => {
    using dir = scratch();
    await withRole(async (server, issuer) => {
      const file = dir.join("token");
      const byRole = {
        AWS_WEB_IDENTITY_TOKEN_FILE: file,
        AWS_ROLE_ARN: issuer.role,
        AWS_ROLE_SESSION_NAME: "app",
        AWS_ENDPOINT_URL_STS: server.endpoint,
        AWS_EC2_METADATA_DISABLED: "true",
      };
      const metadata = startMetadata(() => assumeRoleWith(issuer.token(6), issuer, server.endpoint));
      const byInstance = { AWS_EC2_METADATA_SERVICE_ENDPOINT: metadata.base };
      // The file gets a new token all the time, as from a kubelet; keys end 6 seconds after it, and an upload takes 8.
      const renew = (): void => Deno.writeTextFileSync(file, issuer.token(6));
      renew();
      const timer = setInterval(renew, 500);
      try {
        const both = [upload(server, "role", 32, byRole), upload(server, "instance", 32, byInstance)];
        assert.deepEqual(await Promise.all(both), ["whole", "whole"]);
        assert.ok(metadata.asked.filter((line) => line.endsWith("/backup-role")).length > 1);
      } finally {
        clearInterval(timer);
        await metadata.close();
      }
      Deno.writeTextFileSync(file, issuer.token(-60));
      assert.match(await upload(server, "late", 1, byRole), /^Cannot write "late" in s3:\S+: .*token.*$/i);
      const nobody = await upload(server, "nobody", 1, byInstance);
      assert.match(nobody, /^Cannot write "nobody" in s3:\S+: there are no keys/);
      assert.equal(await storeOn(server).head("late"), undefined);
      const keys = { AWS_ACCESS_KEY_ID: KEYS.accessKeyId, AWS_SECRET_ACCESS_KEY: KEYS.secretAccessKey };
      assert.equal(await upload(server, "keys", 1, keys), "whole");
    });
  },
);
