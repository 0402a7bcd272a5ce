/** What goes wrong at a Chatto server, and with what it is given: a sentence, the right exit code, and live data as it was. */
import { strict as assert } from "node:assert";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { exitCode } from "../../src/cli/exit.ts";
import { frameCheck } from "../../src/collect/jetstream/frames.ts";
import {
  chattoBackup,
  chattoCollector,
  chattoExportKeys,
  chattoImportKeys,
  chattoRestore,
} from "../../src/recipes/chatto.ts";
import { ask, contents, publish, startServer } from "../jetstream/support.ts";
import { judged, noise, scratch, sh, testContext } from "../support.ts";
import { startChatto, TOKEN, tomlFor } from "./support.ts";

const passphrase = (): string => "correct horse";

/** What a call fails with: its message, and the exit code it becomes. */
async function failure(call: Promise<unknown>): Promise<[string, number]> {
  const error = await call.then(() => new Error("it did not fail"), (error) => error);
  return [error.message, exitCode(error)];
}

async function fails(call: Promise<unknown>, message: RegExp, code: number): Promise<void> {
  const [text, is] = await failure(call);
  assert.match(text, message);
  assert.equal(is, code, text);
}

judged(
  "chatto: no server, wrong credentials, no JetStream, an account without streams",
  ["nats-server"],
  async () => {
    using dir = scratch();
    const config = dir.join("chatto.toml");
    const backup = (file = config): Promise<unknown> =>
      chattoBackup({ config: file, output: dir.join("b.tar.gz") });
    writeFileSync(config, tomlFor("nats://127.0.0.1:1"));
    await fails(
      backup(),
      /Cannot connect to NATS at nats:\/\/127\.0\.0\.1:1: .*Check the address/,
      1,
    );
    // A wrong path would only show as a server that is not there.
    const was = Deno.env.get("CHATTO_NATS_CLIENT_URL");
    Deno.env.set("CHATTO_NATS_CLIENT_URL", "nats://127.0.0.1:1");
    await fails(
      backup(dir.join("wrong.toml")),
      /127\.0\.0\.1:1: .*wrong\.toml" does not exist: the address is from/,
      1,
    );
    if (was === undefined) Deno.env.delete("CHATTO_NATS_CLIENT_URL");
    await using empty = await startChatto({ fill: false });
    writeFileSync(config, tomlFor(empty.server.url));
    await fails(backup(), /Cannot back up Chatto at nats:\S+: it has no data yet/, 1);
    writeFileSync(config, tomlFor(empty.server.url).replace(TOKEN, "secret-wrong"));
    const [message, code] = await failure(backup());
    assert.match(message, /Check the credentials/);
    assert.ok(!message.includes("secret-wrong") && code === 1);
    await using plain = await startServer({ jetstream: false });
    writeFileSync(config, tomlFor(plain.url));
    await fails(backup(), /Cannot list the streams .*JetStream is not enabled/, 1);
    await fails(chattoRestore(dir.join("none.tar.gz"), { config }), /none\.tar\.gz/, 1);
    assert.deepEqual([...Deno.readDirSync(dir.path)].map(({ name }) => name), ["chatto.toml"]);
  },
);

judged("chatto: a stream that is deleted half-way fails the run, the others are read, nothing is stored", [
  "nats-server",
], async () => {
  await using chatto = await startChatto();
  const files = await chattoCollector({ config: `${chatto.dir}/chatto.toml` }).run(undefined, testContext());
  const seen: string[] = [];
  const read = async (): Promise<void> => {
    for await (const { path } of files.entries()) {
      seen.push(path);
      // EVT is read before any other.
      if (path === "backup/streams/EVT") await ask(chatto.server.nc, "STREAM.DELETE.KV_RUNTIME_STATE");
    }
  };
  await fails(
    read(),
    /Cannot back up 1 of 3 streams: "KV_RUNTIME_STATE": .*not found.*Nothing was stored/s,
    1,
  );
  assert.ok(seen.includes("backup/streams/NOTIFICATIONS/stream.tar.s2"));
});

/**
 * Bytes of which every bit counts: the first frame's type and checksum, a literal, the last frame's checksum. Not any byte: where S2 copies
 * zeros, a bit more or less of the offset gives the same zeros.
 */
function placesOf(snapshot: Uint8Array): readonly number[] {
  const literal = snapshot.indexOf("m".charCodeAt(0));
  assert.equal(new TextDecoder().decode(snapshot.subarray(literal, literal + 8)), "meta.inf");
  const frames = frameCheck();
  frames.add(snapshot);
  return [10, 14, literal, frames.lastStart() + 4];
}

judged("chatto:restore: one bit flipped in each stream, and with overwrite the live data stay as they were", [
  "nats-server",
  "tar",
], async () => {
  await using chatto = await startChatto();
  await using live = await startChatto();
  const { dir } = chatto;
  await publish(live.server.nc, "EVT", 300, 7);
  const before = await contents(live.server.nc, "EVT");
  await chattoBackup({ config: `${dir}/chatto.toml`, output: `${dir}/b.tar.gz`, includeKeys: true });
  sh("mkdir x && tar -xf b.tar.gz -C x", { cwd: dir });
  for (const stream of ["EVT", "KV_ENCRYPTION_KEYS", "KV_RUNTIME_STATE", "NOTIFICATIONS"]) {
    const file = `${dir}/x/backup/streams/${stream}/stream.tar.s2`;
    const sound = readFileSync(file);
    for (const at of placesOf(sound)) {
      const bytes = Uint8Array.from(sound);
      bytes[at]! ^= 1;
      writeFileSync(file, bytes);
      sh("tar -czf y.tar.gz -C x backup", { cwd: dir });
      await fails(
        chattoRestore(`${dir}/y.tar.gz`, { config: `${live.dir}/chatto.toml`, conflict: "overwrite" }),
        new RegExp(`Cannot restore "(?:backup/streams/)?${stream}/stream\\.tar\\.s2": `),
        5,
      );
    }
    writeFileSync(file, sound);
  }
  // The receipt's digest sees a flip anywhere before the streams' own checksums do.
  const whole = readFileSync(`${dir}/b.tar.gz`);
  whole[whole.length >> 1]! ^= 1;
  writeFileSync(`${dir}/b.tar.gz`, whole);
  await fails(
    chattoRestore(`${dir}/b.tar.gz`, { config: `${live.dir}/chatto.toml`, conflict: "overwrite" }),
    /b\.tar\.gz|gzip/,
    5,
  );
  assert.deepEqual(await contents(live.server.nc, "EVT"), before);
});

judged("chatto:restore: a full disk is said, and what was there is there", ["nats-server"], async () => {
  await using chatto = await startChatto();
  const { dir, server } = chatto;
  await ask(server.nc, "STREAM.CREATE.OBJ_BIG", { name: "OBJ_BIG", subjects: ["BIG"], storage: "file" });
  for (let i = 0; i < 12; i++) await server.nc.request("BIG", noise(900_000, i + 1), { timeout: 30_000 });
  await chattoBackup({ config: `${dir}/chatto.toml`, output: `${dir}/b.tar.gz` });
  using folder = scratch();
  // One block: a second would replace it, with the folder.
  await using small = await startServer({
    dir: folder.path,
    jetstream: false,
    extra:
      `authorization { token: "${TOKEN}" }\njetstream { store_dir: "${folder.path}/data", max_file_store: 6MB }\n`,
    auth: { token: TOKEN },
  });
  writeFileSync(`${dir}/small.toml`, tomlFor(small.url));
  await ask(small.nc, "STREAM.CREATE.EVT", { name: "EVT", subjects: ["evt.>"], storage: "file" });
  await small.nc.request("evt.live", "alive", { timeout: 10_000 });
  await fails(
    chattoRestore(`${dir}/b.tar.gz`, { config: `${dir}/small.toml`, conflict: "overwrite" }),
    /Cannot restore the stream "OBJ_BIG": .*Give the account, or the disk, more room/,
    1,
  );
  assert.deepEqual((await ask(small.nc, "STREAM.NAMES")).streams, ["EVT"]);
  assert.equal((await contents(small.nc, "EVT")).messages.length, 1);
});

judged("chatto: what is no key file, no archive, no place to write to", ["nats-server"], async () => {
  await using chatto = await startChatto();
  const { dir } = chatto;
  const config = `${dir}/chatto.toml`;
  const at = (name: string): string => `${dir}/${name}`;
  await chattoExportKeys(at("keys"), { config, passphrase });
  await chattoBackup({ config, passphrase, output: at("b.age") });
  await chattoBackup({ config, output: at("b.tar.gz") });
  const wrong = (): string => "another";
  const into = (name: string, word = passphrase): Promise<unknown> =>
    chattoImportKeys(at(name), { config, passphrase: word });
  await fails(into("keys", wrong), /Cannot import "\S+keys": .*the passphrase does not fit/, 4);
  await fails(into("b.age"), /it is a backup, not a key export\. Use chatto:restore/, 5);
  await fails(into("b.tar.gz"), /it is a backup, not a key export\. Use chatto:restore/, 5);
  await fails(into("chatto.toml"), /Cannot import "\S+chatto\.toml": .*it is not encrypted/, 5);
  await fails(into("none"), /Cannot import "\S+none": No such file/, 1);
  mkdirSync(at("folder"));
  await fails(into("folder"), /Cannot import "\S+folder": Is a directory/, 1);
  const restore = (name: string, word = passphrase): Promise<unknown> =>
    chattoRestore(at(name), { config, passphrase: word });
  await fails(restore("keys"), /this is a key export, not a backup\. Import it with chatto:keys:import/, 5);
  await fails(restore("b.age", wrong), /the passphrase does not fit/, 4);
  await fails(restore("chatto.toml"), /neither zstd, gzip nor tar/, 5);
  await fails(restore("folder"), /it is not a file/, 1);
  // Said before anything is read, and before what lies beside goes.
  writeFileSync(at("folder.receipt.json"), "mine");
  await fails(chattoBackup({ config, output: at("folder") }), /Cannot write "\S+folder": it is a folder/, 2);
  assert.equal(readFileSync(at("folder.receipt.json"), "utf8"), "mine");
  await fails(
    chattoBackup({ config, output: at("b.age/x") }),
    /Cannot write "\S+x": its folder cannot be made/,
    2,
  );
  await fails(
    chattoExportKeys(at("folder"), { config, passphrase }),
    /Cannot write "\S+folder": it is a folder/,
    2,
  );
});
