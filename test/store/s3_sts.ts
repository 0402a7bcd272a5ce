/** Temporary keys with a policy of their own, from MinIO's STS: a policy is judged by a server that enforces it. */
import { createHash, createHmac } from "node:crypto";
import type { S3Credentials } from "../../src/store/s3.ts";
import { KEYS, type Server } from "./s3_server.ts";

/** AssumeRole (signature version 4 by hand: the SDK's client for STS is not a dependency). */
export async function assumeRole(server: Server, policy: unknown, region: string): Promise<S3Credentials> {
  const body = new URLSearchParams({
    Action: "AssumeRole",
    Version: "2011-06-15",
    DurationSeconds: "900",
    Policy: JSON.stringify(policy),
  }).toString();
  const host = new URL(server.endpoint).host;
  const time = new Date().toISOString().replace(/[-:]|\.\d+/g, "");
  const scope = `${time.slice(0, 8)}/${region}/sts/aws4_request`;
  const type = "application/x-www-form-urlencoded";
  const canonical =
    `POST\n/\n\ncontent-type:${type}\nhost:${host}\nx-amz-date:${time}\n\ncontent-type;host;x-amz-date\n${
      hex(body)
    }`;
  let key: string | Uint8Array = `AWS4${KEYS.secretAccessKey}`;
  for (const part of scope.split("/")) key = createHmac("sha256", key).update(part).digest();
  const signature = createHmac("sha256", key).update(`AWS4-HMAC-SHA256\n${time}\n${scope}\n${hex(canonical)}`)
    .digest("hex");
  const response = await fetch(server.endpoint, {
    method: "POST",
    body,
    headers: {
      "content-type": type,
      "x-amz-date": time,
      "authorization":
        `AWS4-HMAC-SHA256 Credential=${KEYS.accessKeyId}/${scope}, SignedHeaders=content-type;host;x-amz-date, Signature=${signature}`,
    },
  });
  const text = await response.text();
  const field = fieldsIn(text);
  return {
    accessKeyId: field("AccessKeyId"),
    secretAccessKey: field("SecretAccessKey"),
    sessionToken: field("SessionToken"),
  };
}

function hex(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/** The one element of a name in an XML text; throws where there is none. */
export function fieldsIn(text: string): (name: string) => string {
  return (name) => {
    const value = new RegExp(`<${name}>([^<]*)</${name}>`).exec(text)?.[1];
    if (value === undefined) throw new Error(`No ${name} in ${text}`);
    return value;
  };
}
