/** The servers of the upload benchmark, and who uploads to them: shell lines over FILE, KEY and STORE. */
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { DeleteObjectCommand, ListObjectsV2Command } from "@aws-sdk/client-s3";
import { clientOf, KEYS, startServer } from "../store/s3_server.ts";
import { startSshd } from "../store/sftp_server.ts";

const flags = "-A --no-prompt --v8-flags=--max-semi-space-size=1";
const put = `deno run ${flags} test/bench/put.ts "$FILE" "$KEY"`;

/** A running server. */
export interface Target {
  /** Variables of the lines. */
  readonly env: Readonly<Record<string, string>>;
  /** Lines by name; those of "aws" and "rclone" begin with that word. */
  readonly lines: Readonly<Record<string, string>>;
  /** Removes what was uploaded. */
  readonly empty: () => Promise<void>;
  readonly close: () => Promise<void>;
}

/** MinIO. */
export async function s3Target(): Promise<Target> {
  const server = await startServer("minio");
  const client = clientOf(server);
  const rclone = "env -u AWS_CA_BUNDLE rclone copyto -q";
  return {
    env: {
      AWS_ACCESS_KEY_ID: KEYS.accessKeyId,
      AWS_SECRET_ACCESS_KEY: KEYS.secretAccessKey,
      AWS_REGION: "us-east-1",
      RCLONE_CONFIG_M_TYPE: "s3",
      RCLONE_CONFIG_M_PROVIDER: "Minio",
      RCLONE_CONFIG_M_ENV_AUTH: "true",
      RCLONE_CONFIG_M_ENDPOINT: server.endpoint,
      S3_ENDPOINT: server.endpoint,
      STORE: `s3://backups?endpoint=${server.endpoint}&region=us-east-1`,
    },
    lines: {
      "Holdfast's S3 store": put,
      "rclone": `${rclone} "$FILE" "m:backups/$KEY"`,
      "rclone, parts as Holdfast's":
        `${rclone} --s3-chunk-size 16M --s3-upload-concurrency 4 "$FILE" "m:backups/$KEY"`,
      "aws s3 cp": 'aws --endpoint-url "$S3_ENDPOINT" s3 cp --only-show-errors "$FILE" "s3://backups/$KEY"',
      "Holdfast's whole backup":
        `deno run ${flags} tasks/backup.ts "$FILE" --name "b$KEY" --to "s3://backups/$KEY?endpoint=$S3_ENDPOINT&region=us-east-1" --quiet`,
    },
    empty: async () => {
      for (;;) {
        const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: "backups" }));
        if (Contents.length === 0) return;
        for (const { Key } of Contents) {
          await client.send(new DeleteObjectCommand({ Bucket: "backups", Key }));
        }
      }
    },
    close: async () => {
      client.destroy();
      await server.close();
    },
  };
}

/** OpenSSH's sshd and its SFTP server. */
export async function sftpTarget(): Promise<Target> {
  const server = await startSshd();
  const store = new URL(`sftp://${server.user}@127.0.0.1:${server.port}${server.data}`);
  store.searchParams.set("key", server.keyFile);
  store.searchParams.set("knownHosts", server.knownHosts);
  const to =
    `--config /dev/null --sftp-host 127.0.0.1 --sftp-port ${server.port} --sftp-user ${server.user} --sftp-key-file "$SFTP_KEY"`;
  return {
    env: { STORE: store.href, SFTP_KEY: server.keyFile, SFTP_DATA: server.data },
    lines: {
      "Holdfast's SFTP store": put,
      "rclone": `rclone copyto -q ${to} "$FILE" ":sftp:$SFTP_DATA/$KEY"`,
      "rclone, no checksum after": `rclone copyto -q ${to} --ignore-checksum "$FILE" ":sftp:$SFTP_DATA/$KEY"`,
      "Holdfast's whole backup":
        `deno run ${flags} tasks/backup.ts "$FILE" --name "b$KEY" --to "$STORE" --quiet`,
    },
    empty: () => {
      for (const name of readdirSync(server.data)) rmSync(join(server.data, name), { recursive: true });
      return Promise.resolve();
    },
    close: server.close,
  };
}
