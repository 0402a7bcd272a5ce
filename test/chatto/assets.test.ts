/** Assets that Chatto keeps in S3: into the archive, and back into a bucket, by real servers. */
import { strict as assert } from "node:assert";
import { existsSync } from "node:fs";
import {
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
} from "@aws-sdk/client-s3";
import { EXIT } from "../../src/cli/exit.ts";
import { readAll } from "../../src/bytes.ts";
import { chattoBackup, chattoRestore, type ChattoRestoreOptions } from "../../src/recipes/chatto.ts";
import { readAssets } from "../../src/recipes/chatto/assets.ts";
import { ask } from "../jetstream/support.ts";
import { clientOf, KEYS, type Kind, type Server, startServer as startS3 } from "../store/s3_server.ts";
import { judged, noise, sh, testContext } from "../support.ts";
import { type Chatto, s3Toml, startChatto, tomlFor } from "./support.ts";

const LARGE = noise(3 * 1024 * 1024 + 17);
const SMALL = new TextEncoder().encode("<svg/>");
/** Key, type and content, as Chatto stores them; the last is of an old server, and the one after it no asset. */
const OBJECTS: readonly (readonly [string, string, Uint8Array])[] = [
  ["attachments/aLARGE", "video/mp4", LARGE],
  ["attachments/bEMPTY", "text/plain", new Uint8Array()],
  ["attachments/cZERO-_1", "image/svg+xml", SMALL],
  ["instance/avatar1", "image/webp", SMALL],
  ["spaces/DM/attachments/old", "application/pdf", SMALL],
];

async function fill(server: Server, prefix: string): Promise<void> {
  const objects = [...OBJECTS, ["projection-snapshots/x", "application/octet-stream", SMALL] as const];
  for (const [key, ContentType, Body] of objects) await put(server, `${prefix}/${key}`, Body, ContentType);
}

async function put(server: Server, Key: string, Body: Uint8Array, ContentType: string): Promise<void> {
  await clientOf(server).send(new PutObjectCommand({ Bucket: "backups", Key, Body, ContentType }));
}

/** Keys below a prefix, as the SDK lists them. */
async function keys(server: Server, prefix: string): Promise<string[]> {
  const { Contents = [] } = await clientOf(server).send(
    new ListObjectsV2Command({ Bucket: "backups", Prefix: `${prefix}/` }),
  );
  return Contents.map(({ Key }) => Key!.slice(prefix.length + 1));
}

async function object(
  server: Server,
  Key: string,
): Promise<{ type: string | undefined; body: Uint8Array; ours: boolean }> {
  const { Body, ContentType, Metadata = {} } = await clientOf(server).send(
    new GetObjectCommand({ Bucket: "backups", Key }),
  );
  const ours = Object.hasOwn(Metadata, "holdfast-put");
  return { type: ContentType, body: await Body!.transformToByteArray(), ours };
}

const ALL = OBJECTS.map(([key]) => key).sort();

for (const kind of ["minio", "versitygw"] satisfies Kind[]) {
  judged(`chatto: assets in S3 come along and go back with what they are (${kind})`, [
    "nats-server",
    kind,
    "tar",
    "jq",
  ], async () => {
    const server = await startS3(kind);
    try {
      await fill(server, "a");
      await using chatto = await startChatto({ toml: s3Toml(server, "a") });
      await using other = await startChatto({ fill: false, toml: s3Toml(server, "b") });
      const made = await chatto.task("chatto_backup", ["-o", "b.tar.gz"]);
      assert.equal(made.code, EXIT.complete, made.err);
      const archive = `${chatto.dir}/b.tar.gz`;
      const text = (line: string): string => new TextDecoder().decode(sh(line));
      assert.deepEqual(
        text(`tar -xOf '${archive}' backup/assets.ndjson | jq -r '.key + " " + .type'`).trim().split("\n"),
        OBJECTS.map(([key, type]) => `${key} ${type}`),
      );
      assert.deepEqual(new Uint8Array(sh(`tar -xOf '${archive}' backup/assets/attachments/aLARGE`)), LARGE);
      const facts = JSON.parse(Deno.readTextFileSync(`${archive}.receipt.json`)).sources[0].facts;
      assert.deepEqual(facts.assets, { objects: 5, bytes: LARGE.length + 3 * SMALL.length, vanished: 0 });

      const back = await other.task("chatto_restore", [archive]);
      assert.equal(back.code, EXIT.complete, back.err);
      assert.match(back.err, /Restored 5 assets into s3:\/\/backups\/b/);
      assert.deepEqual(await keys(server, "b"), ALL);
      for (const [key, type, body] of OBJECTS) {
        const is = await object(server, `b/${key}`);
        assert.equal(is.type, type, key);
        assert.deepEqual(is.body, body, key);
      }
      assert.equal((await ask(other.server.nc, "INFO")).streams, 3);
    } finally {
      await server.close();
    }
  });
}

/** A backup with assets, and an empty server whose assets go to another prefix; calls in this process. */
async function withBackup(
  run: (
    context: {
      readonly server: Server;
      readonly chatto: Chatto;
      readonly other: Chatto;
      readonly restore: (options?: Partial<ChattoRestoreOptions>, file?: string) => Promise<string[]>;
    },
  ) => Promise<void>,
): Promise<void> {
  const server = await startS3("minio");
  try {
    await fill(server, "a");
    await using chatto = await startChatto({ toml: s3Toml(server, "a") });
    await using other = await startChatto({ fill: false, toml: s3Toml(server, "b") });
    await chattoBackup({ config: `${chatto.dir}/chatto.toml`, output: `${chatto.dir}/b.tar.gz` });
    const restore = async (options: Partial<ChattoRestoreOptions> = {}, file = "b"): Promise<string[]> => {
      const acts: string[] = [];
      await chattoRestore(`${chatto.dir}/${file}.tar.gz`, {
        config: `${other.dir}/chatto.toml`,
        report: (name, action) => void acts.push(`${action} ${name}`),
        ...options,
      });
      return acts;
    };
    await run({ server, chatto, other, restore });
  } finally {
    await server.close();
  }
}

judged(
  "chatto: assets that are there stay, others are a conflict, and a restore that fails takes its own back",
  ["nats-server", "minio"],
  () =>
    withBackup(async ({ server, other: { server: { nc } }, restore }) => {
      const OTHER = new TextEncoder().encode("<SVG/>"); // of the same length: only its digest tells
      const theirs = { type: "text/html", body: OTHER, ours: false };
      await put(server, "b/attachments/cZERO-_1", SMALL, "image/svg+xml");
      // Without it the server would take the folder of its streams away when the last one goes, while the next is made in it.
      await ask(nc, "STREAM.CREATE.KEPT", { name: "KEPT", subjects: ["kept"] });
      // A stream in the way is found before the bucket is touched.
      await ask(nc, "STREAM.CREATE.EVT", { name: "EVT", subjects: ["other"] });
      await assert.rejects(restore(), /1 of 3 streams exist \("EVT"\)\. Nothing was changed/);
      assert.deepEqual(await keys(server, "b"), ["attachments/cZERO-_1"]);
      await ask(nc, "STREAM.DELETE.EVT");
      await put(server, "b/instance/avatar1", OTHER, "text/html");
      await assert.rejects(
        restore(),
        /keys of 1 asset in s3:\/\/backups\/b\S* \("instance\/avatar1"\)\. Nothing was changed; use --conflict skip/,
      );
      assert.equal((await ask(nc, "INFO")).streams, 1);
      await ask(nc, "STREAM.CREATE.EVT", { name: "EVT", subjects: ["other"], storage: "memory" });
      await assert.rejects(restore({ conflict: "overwrite" }), /Cannot overwrite "EVT": it lives in memory/);
      assert.deepEqual(
        await object(server, "b/instance/avatar1"),
        theirs,
        "nothing was written, not even for a while",
      );
      await ask(nc, "STREAM.DELETE.EVT");
      // The server refuses a stream once the assets stand: they go, and the old one comes back.
      await ask(nc, "STREAM.CREATE.TAKEN", { name: "TAKEN", subjects: ["NOTIFICATIONS.>"] });
      await assert.rejects(restore({ conflict: "overwrite" }), /Cannot restore the stream "NOTIFICATIONS"/);
      assert.deepEqual(await keys(server, "b"), ["attachments/cZERO-_1", "instance/avatar1"]);
      assert.deepEqual(await object(server, "b/instance/avatar1"), { ...theirs, ours: true });
      assert.equal((await ask(nc, "INFO")).streams, 2);
      await ask(nc, "STREAM.DELETE.TAKEN");
      assert.deepEqual(await restore({ conflict: "skip", dryRun: true, only: ["assets"] }), [
        "create assets/attachments/aLARGE",
        "create assets/attachments/bEMPTY",
        "skip assets/instance/avatar1",
        "create assets/spaces/DM/attachments/old",
      ]);
      await restore({ conflict: "overwrite" });
      assert.deepEqual((await object(server, "b/instance/avatar1")).body, SMALL);
      assert.deepEqual(await keys(server, "b"), ALL);
    }),
);

judged(
  "chatto:restore refuses assets that are not what their list says, or have nowhere to go, and touches nothing",
  ["nats-server", "minio", "tar"],
  () =>
    withBackup(async ({ server, chatto, other, restore }) => {
      const bad: readonly [RegExp, string][] = [
        [/"instance\/avatar1" is not what their list says/, "echo more >> backup/assets/instance/avatar1"],
        [/"instance\/new" is not in their list/, "cp backup/manifest.json backup/assets/instance/new"],
        [/it lacks "instance\/avatar1", which is in their list/, "rm backup/assets/instance/avatar1"],
        [/is not in their list/, "rm backup/assets.ndjson"],
        [/their list cannot be read/, "echo '{}' >> backup/assets.ndjson"],
      ];
      for (const [message, change] of bad) {
        sh(
          `rm -rf x && mkdir x && tar -xf b.tar.gz -C x && (cd x && ${change}) && tar -czf y.tar.gz -C x backup`,
          {
            cwd: chatto.dir,
          },
        );
        await assert.rejects(restore({}, "y"), message);
      }
      const nowhere = { config: `${chatto.dir}/nowhere.toml` };
      Deno.writeTextFileSync(nowhere.config, tomlFor(other.server.url));
      await assert.rejects(
        restore(nowhere),
        /holds 5 assets of S3, and in chatto\.toml core\.assets\.storage_backend is not "s3"\. Nothing was changed/,
      );
      assert.equal((await ask(other.server.nc, "INFO")).streams, 0);
      assert.deepEqual(await keys(server, "b"), []);
      assert.deepEqual(await restore({ ...nowhere, assets: false, only: ["EVT", "assets"] }), ["create EVT"]);
    }),
);

judged(
  "chatto: a bucket that cannot be read fails the run; what goes while it is read was not there",
  ["nats-server", "minio"],
  () =>
    withBackup(async ({ server, chatto }) => {
      Deno.writeTextFileSync(
        `${chatto.dir}/chatto.toml`,
        tomlFor(chatto.server.url) + s3Toml(server, "a", "wrong-secret-key"),
      );
      const failed = await chatto.task("chatto_backup", ["-o", "c.tar.gz"]);
      assert.equal(failed.code, EXIT.failed);
      assert.match(
        failed.err,
        /Cannot back up Chatto's assets: .*core\.assets\.s3 in chatto\.toml, or leave the assets out/s,
      );
      assert.ok(!failed.err.includes("wrong-secret-key"));
      assert.ok(!existsSync(`${chatto.dir}/c.tar.gz`));
      const without = await chatto.task("chatto_backup", ["-o", "c.tar.gz", "--without-assets"]);
      assert.equal(without.code, EXIT.warnings);
      assert.match(without.err, /Not in this backup: attachments and avatars, which lie in S3/);

      const tally = { objects: 0, bytes: 0, vanished: 0 };
      const options = { bucket: "backups", prefix: "a", endpoint: server.endpoint, credentials: () => KEYS };
      const Key = "a/spaces/DM/attachments/zLARGE";
      await put(server, Key, LARGE, "video/mp4");
      for await (const { path, body } of readAssets(options, testContext(), undefined, tally)) {
        if (path.endsWith("aLARGE")) {
          await clientOf(server).send(new DeleteObjectCommand({ Bucket: "backups", Key }));
        }
        if (typeof body === "function") await readAll(body(), 2 ** 30);
      }
      assert.deepEqual([tally.objects, tally.vanished], [5, 1]);
    }),
);
