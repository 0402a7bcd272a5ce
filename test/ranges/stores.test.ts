/** Real servers, and what comes over the wire: one small file out of an archive costs a part of it, from every kind of store. */
import { strict as assert } from "node:assert";
import { archive, backup, cat, compress, pipeline, upload } from "../../mod.ts";
import type { Store } from "../../mod.ts";
import { lineTo, startServer as startNats, storeOn as natsOn } from "../store/nats_server.ts";
import { folderOn, SSHD, startSshd, storeOn as sftpOn } from "../store/sftp_server.ts";
import { relay, startServer as startS3, storeOn as s3On, toolPath } from "../store/s3_server.ts";
import { judged } from "../support.ts";
import { ageStage, textOf } from "./support.ts";
import { smallText, wide } from "./wide.ts";

const MIB = 2 ** 20;

/** Backs up 24 MiB, reads one small file, and counts. */
async function costs(to: Store, received: () => number): Promise<void> {
  const plan = pipeline(wide(24 * MIB)).pipe(archive.tar()).pipe(compress.zstd({ level: 1 })).pipe(ageStage())
    .pipe(upload({ name: "app", to }));
  await backup(plan);
  const before = received();
  const path = "data/0000/small250";
  assert.equal(await textOf(await cat(plan, { path })), smallText(path));
  const bytes = received() - before;
  assert.ok(bytes < 8 * MIB, `${bytes} bytes received`);
}

judged("s3(): cat() receives a part of the archive", [toolPath("minio")], async () => {
  const server = await startS3("minio");
  const line = relay(server.port);
  try {
    await costs(s3On(line), line.received);
  } finally {
    await line.cut();
    await server.close();
  }
});

judged("sftp(): cat() receives a part of the archive", [SSHD], async () => {
  const server = await startSshd();
  const line = relay(server.port);
  try {
    const port = Number(line.endpoint.split(":")[2]);
    await costs(sftpOn({ ...server, port }, { path: folderOn(server) }), line.received);
  } finally {
    await line.cut();
    await server.close();
  }
});

judged("nats(): cat() receives a part of the archive", ["nats-server"], async () => {
  await using server = await startNats();
  const line = lineTo(server);
  const to = natsOn(line.url);
  try {
    await costs(to, line.received);
  } finally {
    await to.close();
    await line.cut();
  }
});
