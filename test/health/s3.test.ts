/** In a bucket, `health` sees what no listing shows. Not on MinIO: it lists uploads by whole keys alone, and ends old ones itself. */
import { strict as assert } from "node:assert";
import { CreateMultipartUploadCommand } from "@aws-sdk/client-s3";
import { backup } from "../../src/run.ts";
import { health } from "../../src/health.ts";
import { planOf, treeScratch } from "../engine/support.ts";
import { judged } from "../support.ts";
import { clientOf, startServer, storeOn, toolPath, uniqueName } from "../store/s3_server.ts";

judged(
  "health() finds an unfinished upload of its own name in a bucket",
  [toolPath("versitygw")],
  async () => {
    using dir = treeScratch();
    const server = await startServer("versitygw");
    const client = clientOf(server);
    try {
      const prefix = uniqueName();
      const plan = planOf(dir.join("src"), storeOn(server, { prefix }));
      await backup(plan);
      const begin = async (name: string): Promise<void> => {
        const Key = `${prefix}/${name}_2026-11-20T09-00-00Z.tar.zst.age`;
        await client.send(new CreateMultipartUploadCommand({ Bucket: "backups", Key }));
      };
      const later = { now: new Date(Date.now() + 25 * 3_600_000) };
      await begin("other");
      assert.deepEqual((await health(plan, later)).findings, []);
      await begin("app");
      const { findings } = await health(plan, later);
      assert.deepEqual(findings.map(({ code }) => code), ["unfinished"]);
      assert.match(findings[0]!.message, /^1 unfinished uploads in s3:\/\/backups\//);
      assert.deepEqual((await health(plan)).findings, [], "a run under way may have one");
    } finally {
      client.destroy();
      await server.close();
    }
  },
);
