/** Who hands out keys where a plan names none: an OpenID issuer whose tokens MinIO's STS takes, and an instance's metadata service. */
import { createHash, createSign, generateKeyPairSync, type KeyObject } from "node:crypto";
import type { S3Credentials } from "../../src/store/s3.ts";
import { fieldsIn } from "./s3_sts.ts";

const CLIENT = "holdfast";

/** An issuer of tokens on loopback, as a Kubernetes cluster is one. */
export interface Issuer {
  /** What MinIO is started with to trust it. */
  readonly env: Record<string, string>;
  /** The role that its tokens may take. */
  readonly role: string;
  /** A token that ends so many seconds from now. */
  readonly token: (seconds: number) => string;
  readonly close: () => Promise<void>;
}

/** Starts an issuer (OpenID Connect Discovery 1.0, JSON Web Key Set). */
export function startIssuer(): Issuer {
  const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const jwk = { ...publicKey.export({ format: "jwk" }), kid: "1", use: "sig", alg: "RS256" };
  const server = serve(({ pathname }, base) =>
    pathname === "/keys" ? { keys: [jwk] } : {
      issuer: base,
      jwks_uri: `${base}/keys`,
      token_endpoint: `${base}/token`,
      authorization_endpoint: `${base}/authorize`,
    }
  );
  // MinIO names a role by the digest of the client's id.
  const id = createHash("sha1").update(CLIENT).digest("base64url");
  return {
    env: {
      MINIO_IDENTITY_OPENID_CONFIG_URL: `${server.base}/.well-known/openid-configuration`,
      MINIO_IDENTITY_OPENID_CLIENT_ID: CLIENT,
      MINIO_IDENTITY_OPENID_CLIENT_SECRET: "none",
      MINIO_IDENTITY_OPENID_ROLE_POLICY: "readwrite",
    },
    role: `arn:minio:iam:::role/${id}`,
    token: (seconds) => signedToken(privateKey, server.base, seconds),
    close: server.close,
  };
}

function signedToken(key: KeyObject, issuer: string, seconds: number): string {
  const now = Math.floor(Date.now() / 1000);
  const claims = {
    iss: issuer,
    sub: "system:serviceaccount:backups:app",
    aud: CLIENT,
    iat: now,
    exp: now + seconds,
  };
  const body = [{ alg: "RS256", typ: "JWT", kid: "1" }, claims]
    .map((part) =>
      new TextEncoder().encode(JSON.stringify(part)).toBase64({ alphabet: "base64url", omitPadding: true })
    )
    .join(".");
  return `${body}.${createSign("RSA-SHA256").update(body).sign(key, "base64url")}`;
}

/** Temporary keys for a token, as an instance's role would get them. */
export async function assumeRoleWith(
  token: string,
  { role }: Issuer,
  endpoint: string,
): Promise<S3Credentials & { readonly expires: string }> {
  const body = new URLSearchParams({
    Action: "AssumeRoleWithWebIdentity",
    Version: "2011-06-15",
    RoleArn: role,
    WebIdentityToken: token,
  });
  const text = await (await fetch(endpoint, { method: "POST", body })).text();
  const field = fieldsIn(text);
  return {
    accessKeyId: field("AccessKeyId"),
    secretAccessKey: field("SecretAccessKey"),
    sessionToken: field("SessionToken"),
    expires: field("Expiration"),
  };
}

/** An instance's metadata service (Amazon EC2, "Use IMDSv2"): a token first, then the role's name, then its keys. */
export function startMetadata(
  keys: () => Promise<S3Credentials & { readonly expires: string }>,
): { readonly base: string; readonly asked: string[]; readonly close: () => Promise<void> } {
  const asked: string[] = [];
  const server = serve(async ({ pathname }, _base, request) => {
    asked.push(`${request.method} ${pathname}`);
    if (request.method === "PUT") return "session-token";
    if (request.headers.get("x-aws-ec2-metadata-token") !== "session-token") return undefined;
    if (pathname.endsWith("/security-credentials/")) return "backup-role";
    const { accessKeyId, secretAccessKey, sessionToken, expires } = await keys();
    return {
      Code: "Success",
      Type: "AWS-HMAC",
      AccessKeyId: accessKeyId,
      SecretAccessKey: secretAccessKey,
      Token: sessionToken,
      Expiration: expires,
      LastUpdated: new Date().toISOString(),
    };
  });
  return { ...server, asked };
}

type Answer = object | string | undefined;

function serve(
  answer: (url: URL, base: string, request: Request) => Answer | Promise<Answer>,
): { readonly base: string; readonly close: () => Promise<void> } {
  let base = "";
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
    const said = await answer(new URL(request.url), base, request);
    if (said === undefined) return new Response(null, { status: 401 });
    return typeof said === "string"
      ? new Response(said, { headers: { "x-aws-ec2-metadata-token-ttl-seconds": "21600" } })
      : Response.json(said);
  });
  base = `http://127.0.0.1:${server.addr.port}`;
  return { base, close: () => server.shutdown() };
}
