/** examples/chio.toml and examples/chio.cron: the lines of cron are run as they stand, against a real S3 server with a key service. */
import { strict as assert } from "node:assert";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { CreateBucketCommand, HeadObjectCommand, ListObjectsV2Command } from "@aws-sdk/client-s3";
import * as encrypt from "../../src/encrypt/mod.ts";
import { ROOT } from "../cli/support.ts";
import { clientOf, KEYS, startServer, toolPath } from "../store/s3_server.ts";
import { hasTool, judged, noise, scratch } from "../support.ts";
import { kernel } from "./support.ts";
import { makeWorld } from "./world.ts";

const minio = toolPath("minio");
const here = existsSync(minio) || hasTool(minio);

judged(
  "examples/chio.toml: nightly to S3 with SSE-KMS, a weekly anchor, a quarterly drill",
  here ? [] : [minio],
  async () => {
    using dir = scratch();
    const server = await startServer("minio", {
      env: { MINIO_KMS_SECRET_KEY: `chio:${noise(32).toBase64()}` },
    });
    try {
      const client = clientOf(server);
      for (const Bucket of ["chio-backups", "chio-custody"]) {
        await client.send(
          new CreateBucketCommand({ Bucket }),
        );
      }
      await client.send(
        new CreateBucketCommand({ Bucket: "chio-anchors", ObjectLockEnabledForBucket: true }),
      );
      const { paths } = await makeWorld(dir.path, kernel());
      await keys(dir.path);
      writeFileSync(dir.join("chio"), `#!/bin/sh\necho "$@" >> '${dir.join("hook.log")}'\n`, { mode: 0o755 });
      const endpoint = `endpoint=${server.endpoint}&region=us-east-1`;
      const here = (text: string): string =>
        text.replaceAll("/var/lib/chio/", `${dir.join("live")}/`).replaceAll("/etc/holdfast/", `${dir.path}/`)
          .replaceAll("/etc/chio/kernel.seed", paths.seed).replaceAll("/etc/chio/policy.yaml", paths.policy)
          .replaceAll("/etc/chio/peers.json", paths.peers).replaceAll("/usr/local/bin/chio", dir.join("chio"))
          .replaceAll("region=eu-central-1", endpoint).replaceAll(/kms:alias\/chio(?:-custody)?/g, "kms:chio")
          .replaceAll("/usr/local/bin/deno", Deno.execPath()).replaceAll("/opt/holdfast", ROOT)
          .replaceAll("/var/log/", `${dir.path}/`);
      writeFileSync(dir.join("chio.toml"), here(readFileSync(`${ROOT}/examples/chio.toml`, "utf8")));
      const jobs = readFileSync(`${ROOT}/examples/chio.cron`, "utf8").split("\n").filter((line) =>
        / root /.test(line)
      );
      assert.deepEqual(jobs.map((line) => /chio:\w+/.exec(line)![0]), [
        "chio:backup",
        "chio:backup",
        "chio:anchor",
        "chio:drill",
      ]);
      for (const line of jobs) {
        const [schedule, shell] = here(line).split(" root ");
        assert.match(schedule!, /^[\d*/]+(?: [\d*/]+){4}$/);
        // Cron's lines are minutes apart; a name holds one backup a second.
        await new Promise((resolve) => setTimeout(resolve, 1000));
        const { code, stderr } = await new Deno.Command("/bin/sh", {
          args: ["-c", shell!],
          env: {
            XDG_STATE_HOME: dir.join("state"),
            XDG_CONFIG_HOME: dir.join("config"),
            AWS_ACCESS_KEY_ID: KEYS.accessKeyId,
            AWS_SECRET_ACCESS_KEY: KEYS.secretAccessKey,
          },
          stderr: "piped",
          stdout: "null",
        }).output();
        assert.equal(code, 0, `${shell}: ${new TextDecoder().decode(stderr)}`);
      }
      const said = (name: string): Record<string, unknown>[] =>
        readFileSync(dir.join(name), "utf8").trimEnd().split("\n").map((line) => JSON.parse(line));
      assert.deepEqual(said("chio-backup.jsonl").map(({ plan }) => plan), [
        ...["receipts", "policies", "federation", "authority", "revocations"].map((name) => `chio-${name}`),
        "chio-receipts",
        "chio-revocations",
      ]);
      assert.equal(said("chio-drill.jsonl").length, 5);
      assert.match(
        readFileSync(dir.join("hook.log"), "utf8"),
        /^--receipt-db \S+ receipt checkpoint create --kernel-seed-file/,
      );
      // The hourly one is the newest of its hour, so the nightly one has gone.
      const hourly = String(said("chio-backup.jsonl")[5]!.id);
      const head = await client.send(
        new HeadObjectCommand({ Bucket: "chio-backups", Key: `prod/${hourly}` }),
      );
      assert.equal(head.ServerSideEncryption, "aws:kms");
      const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: "chio-anchors" }));
      assert.deepEqual(Contents.map(({ Key }) => Key), [`prod/${said("chio-anchor.jsonl")[0]!.key}`]);
      const anchor = await client.send(
        new HeadObjectCommand({ Bucket: "chio-anchors", Key: Contents[0]!.Key! }),
      );
      assert.equal(anchor.ObjectLockMode, "COMPLIANCE");
      client.destroy();
    } finally {
      await server.close();
    }
  },
);

async function keys(folder: string): Promise<void> {
  mkdirSync(folder, { recursive: true });
  for (const who of ["auditors", "custodians"]) {
    const { identity, recipient } = await encrypt.generateIdentity();
    writeFileSync(`${folder}/${who}.txt`, `${recipient}\n`);
    writeFileSync(`${folder}/${who}.key`, `${identity}\n`, { mode: 0o600 });
  }
}
