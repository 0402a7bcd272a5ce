/** The same faults on every kind of store, each on its real server: what holds in memory holds there. */
import { strict as assert } from "node:assert";
import { archive, collect, encrypt, pipeline, prune, sign, store as stores, upload } from "../../mod.ts";
import type { Store } from "../../mod.ts";
import { simulate } from "../../src/testing/mod.ts";
import { startServer as startNats, storeOn as natsOn } from "../store/nats_server.ts";
import { relay, startServer as startS3, storeOn as s3On, toolPath, uniqueName } from "../store/s3_server.ts";
import { folderOn, SSHD, startSshd, storeOn as sftpOn } from "../store/sftp_server.ts";
import { judged, scratch } from "../support.ts";

const LIVES = Deno.env.get("HOLDFAST_SOAK") ? 50 : 2;

interface Kind {
  readonly tool: string;
  /** Starts the server; gives what makes an empty store, and what ends all of them. */
  readonly start: (folder: string) => Promise<{ make: () => Store; close: () => Promise<void> }>;
}

const nothing = (): Promise<void> => Promise.resolve();

const KINDS: Readonly<Record<string, Kind>> = {
  "a folder": {
    tool: "sh",
    start: (folder) => {
      let made = 0;
      const make = (): Store => {
        const path = `${folder}/${made++}`;
        Deno.mkdirSync(path);
        return stores.directory(path);
      };
      return Promise.resolve({ make, close: nothing });
    },
  },
  "MinIO": { tool: toolPath("minio"), start: () => bucket("minio") },
  "versitygw": { tool: toolPath("versitygw"), start: () => bucket("versitygw") },
  "OpenSSH": {
    tool: SSHD,
    start: async () => {
      const server = await startSshd();
      const line = relay(server.port); // so that connections end with the test
      const port = Number(line.endpoint.split(":")[2]);
      return {
        make: () => sftpOn({ ...server, port }, { path: folderOn(server) }),
        close: async () => {
          await line.cut();
          await server.close();
        },
      };
    },
  },
  "NATS": {
    tool: "nats-server",
    start: async () => {
      const server = await startNats();
      const made: { close: () => Promise<void> }[] = [];
      return {
        make: () => {
          const one = natsOn(server.url, { prefix: uniqueName() });
          made.push(one);
          return one;
        },
        close: async () => {
          for (const one of made) await one.close();
          await server[Symbol.asyncDispose]();
        },
      };
    },
  },
};

async function bucket(
  kind: "minio" | "versitygw",
): Promise<{ make: () => Store; close: () => Promise<void> }> {
  const server = await startS3(kind);
  return { make: () => s3On(server, { prefix: uniqueName() }), close: server.close };
}

for (const [name, { tool, start }] of Object.entries(KINDS)) {
  judged(`${LIVES} lives among every fault, on ${name}`, [tool], async () => {
    using dir = scratch();
    Deno.writeTextFileSync(dir.join("file"), "content\n");
    Deno.mkdirSync(dir.join("stores"));
    const plan = pipeline(collect.files(dir.join("file")))
      .pipe(archive.tar())
      .pipe(encrypt.plaintext())
      .pipe(sign.sha256())
      .pipe(upload({ name: "app", to: stores.memory() }))
      .pipe(prune({ keepLast: 2, keepDaily: 2 }));
    const { make, close } = await start(dir.join("stores"));
    try {
      const report = await simulate(plan, { runs: LIVES, seed: 700, store: make });
      assert.deepEqual(report.violations, []);
      assert.ok(report.outcomes["complete"]! > 0);
      assert.ok(Object.keys(report.faults).length > 1, JSON.stringify(report.faults));
    } finally {
      await close();
    }
  }, { sanitizeOps: false, sanitizeResources: false });
}
