/** chatto:keys: out, and back without ever overwriting or reviving one by accident. */
import { strict as assert } from "node:assert";
import { statSync, writeFileSync } from "node:fs";
import { EXIT } from "../../src/cli/exit.ts";
import { utf8 } from "../../src/bytes.ts";
import { exportKeys, importKeys } from "../../src/recipes/chatto/keys.ts";
import { connectTo } from "../../src/nats/link.ts";
import { sealText } from "../../src/recipes/chatto/chain.ts";
import { replaceFile } from "../../src/recipes/chatto/files.ts";
import { ask, startServer } from "../jetstream/support.ts";
import { judged, type Seen, testContext } from "../support.ts";
import { eraseKey, kek, KEYS_CONFIG, PASSPHRASE, putKey, ref, startChatto } from "./support.ts";

judged("chatto:keys: what is exported can be imported elsewhere, once", ["nats-server"], async () => {
  await using chatto = await startChatto();
  await using other = await startChatto({ fill: false });
  const none = await other.task("chatto_keys_export", ["-o", "k", "--passphrase-file", "pw"]);
  assert.equal(none.code, EXIT.complete, none.err);
  assert.match(none.err, /no encryption keys: no file was written/);
  const out = await chatto.task("chatto_keys_export", ["-o", "k", "--passphrase-file", "pw"]);
  assert.equal(out.code, EXIT.complete, out.err);
  assert.match(out.err, /Left out 1 keys of voice calls.*\n.*Exported 2 keys/s);
  assert.equal(statSync(`${chatto.dir}/k`).mode & 0o777, 0o600);
  const args = [`${chatto.dir}/k`, "--passphrase-file", "pw", "--json"];
  const first = await other.task("chatto_keys_import", args);
  assert.deepEqual(JSON.parse(first.out), { imported: 2, existing: 0, wrapped: 0, erased: 0, revived: 0 });
  const { message } = await ask(other.server.nc, "STREAM.MSG.GET.KV_ENCRYPTION_KEYS", {
    last_by_subj: `$KV.ENCRYPTION_KEYS.${ref("A")}`,
  });
  assert.deepEqual(Uint8Array.fromBase64(message.data), kek(1));
});

judged(
  "chatto:keys: an import keeps what exists and what was erased, and revives when told",
  ["nats-server"],
  async () => {
    await using server = await startServer();
    await ask(server.nc, "STREAM.CREATE.KV_ENCRYPTION_KEYS", KEYS_CONFIG);
    for (const letter of ["A", "B", "C"]) await putKey(server, ref(letter), kek(1));
    const link = await connectTo({ servers: server.url });
    try {
      const seen: Seen = { warnings: [], infos: [] };
      const { text, count } = await exportKeys(link, testContext({ seen }).log);
      assert.equal(count, 3);
      await putKey(server, ref("A"), kek(9));
      await eraseKey(server, ref("B"));
      const options = { replicas: 1, revive: false };
      const none = { imported: 0, existing: 2, wrapped: 0, erased: 1, revived: 0 };
      assert.deepEqual(await importKeys(link, text, options), none);
      const value = async (name: string): Promise<string> =>
        (await ask(server.nc, "STREAM.MSG.GET.KV_ENCRYPTION_KEYS", {
          last_by_subj: `$KV.ENCRYPTION_KEYS.${name}`,
        })).message.data;
      assert.equal(await value(ref("A")), kek(9).toBase64());
      assert.ok(!await value(ref("B")));
      assert.deepEqual(await importKeys(link, text, { replicas: 1, revive: true }), {
        ...none,
        erased: 0,
        revived: 1,
      });
      assert.equal(await value(ref("B")), kek(1).toBase64());
      assert.equal((await exportKeys(link, testContext().log)).count, 3);
    } finally {
      await link.close();
    }
  },
);

judged("chatto:keys: one bad record, and nothing is written; old files and wrapped keys are understood", [
  "nats-server",
], async () => {
  await using server = await startServer();
  const link = await connectTo({ servers: server.url });
  const good = { key_ref: ref("A"), key: kek(1).toBase64() };
  const file = (version: number, ...keys: unknown[]): string => JSON.stringify({ version, keys });
  const options = { replicas: 1, revive: false };
  try {
    const bad: readonly [string, RegExp][] = [
      ["no json", /this is no key file/],
      [file(4), /version 4, not 2 or 3/],
      [file(3, good, { key: good.key }), /has no reference/],
      [file(3, good, { ...good, key: "***" }), /is not base64/],
      [file(3, good, { key_ref: "call.e2ee.x", key: good.key }), /neither a kek\.\* nor a user\.\* key/],
      [file(3, good, { key_ref: "user.x", key: good.key }), /has 65 bytes, not 32/],
      [file(3, good, { key_ref: ref("B"), key: btoa("short") }), /not a key record/],
    ];
    for (const [text, message] of bad) await assert.rejects(importKeys(link, text, options), message);
    assert.equal((await ask(server.nc, "INFO")).streams, 0);
    const old = file(2, { user_id: "bob", key: new Uint8Array(32).toBase64() }, {
      key_ref: "dek.x",
      key: "",
    });
    assert.deepEqual(await importKeys(link, old, options), {
      imported: 1,
      existing: 0,
      wrapped: 1,
      erased: 0,
      revived: 0,
    });
    await ask(server.nc, "STREAM.MSG.GET.KV_ENCRYPTION_KEYS", {
      last_by_subj: "$KV.ENCRYPTION_KEYS.user.bob",
    });
    await putKey(server, "odd.key", new Uint8Array(32));
    await assert.rejects(
      exportKeys(link, testContext().log),
      /Cannot export the keys: "odd\.key" is neither/,
    );
  } finally {
    await link.close();
  }
});

judged("chatto:keys:import says how many erased keys it left, and exits 3", ["nats-server"], async () => {
  await using chatto = await startChatto();
  const keys = JSON.stringify({ version: 3, keys: [{ key_ref: ref("A"), key: kek(1).toBase64() }] });
  await replaceFile(`${chatto.dir}/k`, await sealText(utf8(keys), () => PASSPHRASE, testContext()));
  await eraseKey(chatto.server, ref("A"));
  const { code, err } = await chatto.task("chatto_keys_import", ["k", "--passphrase-file", "pw"]);
  assert.equal(code, EXIT.warnings, err);
  assert.match(err, /1 keys have been erased since the export and stay so; --revive/);
  writeFileSync(`${chatto.dir}/clear`, keys);
  const clear = await chatto.task("chatto_keys_import", ["clear", "--passphrase-file", "pw"]);
  assert.equal(clear.code, EXIT.integrity, clear.err);
});
