/** The Prose recipe beside a real Prosody, gpg, sq, zstd and tar. */
import { strict as assert } from "node:assert";
import { chownSync, readdirSync, writeFileSync } from "node:fs";
import { backup, restore, store } from "../../mod.ts";
import { readAll } from "../../src/bytes.ts";
import { treeOf } from "../collect/extract_support.ts";
import { gpgIn, stopAgent } from "../sign/support.ts";
import { judged, scratch, sh } from "../support.ts";
import { apiData, pod, sealing } from "./support.ts";

const IN_PLACE = { inPlace: true, conflict: "overwrite" } as const;
const now = new Date("2025-12-02T10:46:50Z");

judged(
  "Prose: stopped, stored by its names, opened by gpg, sq, zstd and tar, and put back with the Pod API's data",
  [
    "prosody",
    "gpg",
    "sq",
    "zstd",
  ],
  async () => {
    await using it = await pod();
    const keys = await sealing();
    const id = "prose_2025-12-02T10:46:50Z.tar.zst.gpg";
    const gpg = gpgIn(it.dir.path);
    try {
      using sent = await apiData(it.dir);
      // The archive names no owners; they come back all the same.
      if (Deno.uid() === 0) chownSync(`${it.paths["prose-config"]}/prose.toml`, 4321, 4322);
      assert.equal(await it.logsIn("juliet"), true);
      const before = it.pid();
      const { receipt, status, ...made } = await backup(it.plan({ ...keys, podApiData: sent }), { now });
      assert.deepEqual([made.id, status], [id, "complete"]);
      assert.ok(it.runs() && it.pid() !== before);
      const [own, down] = receipt.sources.map(({ facts }) => facts);
      assert.deepEqual([own!["consistent"], own!["podApiEntries"]], [true, 4]);
      assert.ok(Number(down!["downMs"]) > 0);
      assert.deepEqual(
        readdirSync(it.dir.join("store")).filter((name) => name.startsWith("prose_")).sort(),
        ["", ".index", ".receipt.json", ".receipt.json.sig", ".sig"].map((suffix) => id + suffix),
      );
      writeFileSync(it.dir.join("key"), keys.secretKey);
      writeFileSync(it.dir.join("cert"), keys.certificate);
      sh(`${gpg} --import key && ${gpg} --verify store/${id}.sig store/${id}`, { cwd: it.dir.path });
      sh(`sq verify --signer-cert cert --detached store/${id}.sig store/${id}`, { cwd: it.dir.path });
      sh(`sq decrypt --recipient-key key store/${id} | zstd -t`, { cwd: it.dir.path });
      const names = new TextDecoder().decode(
        sh(`${gpg} -d store/${id} | zstd -d | tar -t`, { cwd: it.dir.path }),
      );
      const tops = names.trim().split("\n").map((name) => name.split("/")[0]!);
      assert.equal(names.split("\n")[0], "metadata.json");
      assert.deepEqual([...new Set(tops)], [
        "metadata.json",
        "prose-pod-api-data",
        "prose-config",
        "prose-pod-server-data",
        "prosody-config",
        "prosody-data",
      ]);
      const live = treeOf(it.dir.join("live"), false);
      if (Deno.uid() === 0) assert.match(live, /4321:4322/);
      it.register("romeo");
      writeFileSync(`${it.paths["prosody-config"]}/stale.lua`, "not in the backup");
      assert.equal(await it.logsIn("romeo"), true);
      let back: Uint8Array | undefined;
      const podApi = async (tar: Parameters<typeof readAll>[0]): Promise<void> => {
        back = await readAll(tar, 1 << 20);
        assert.equal(await it.logsIn("romeo"), false, "Prosody runs on what was restored");
      };
      await restore(it.plan({ ...keys, podApi }), IN_PLACE);
      assert.equal(treeOf(it.dir.join("live"), false), live);
      assert.equal(await it.logsIn("juliet"), true);
      assert.equal(await it.logsIn("romeo"), false);
      writeFileSync(it.dir.join("back.tar"), back!);
      sh("mkdir got && tar -x -f back.tar -C got && diff -r got api", { cwd: it.dir.path });
    } finally {
      stopAgent(it.dir.path);
    }
  },
);

judged("Prose: equal data gives an equal archive, the Pod API's part before the folders", [
  "tar",
  "zstd",
], async () => {
  using dir = scratch();
  const paths = {
    "prose-config": "a",
    "prose-pod-server-data": "b",
    "prosody-config": "c",
    "prosody-data": "d",
  };
  const at = Object.fromEntries(Object.entries(paths).map(([part, name]) => [part, dir.join(name)]));
  sh("mkdir a b c d; for i in a b c d; do echo $i > $i/f; ln $i/f $i/e; done", { cwd: dir.path });
  const made = async (name: string): Promise<string> => {
    using sent = await apiData(dir);
    const options = { service: "none", paths: at, podApiData: sent, require: "none" } as const;
    const { prosePlan } = (await import("../../mod.ts")).prose;
    const { id } = await backup(prosePlan({ ...options, to: store.directory(dir.join(name)) }));
    sh(`zstd -q -d -c '${name}/${id}' > ${name}.tar`, { cwd: dir.path });
    return dir.join(`${name}.tar`);
  };
  const one = await made("one");
  sh("touch -d 2001-01-01 a/f b d; mv c/f c/g; cp c/g c/f; rm c/e c/g; ln c/f c/e", { cwd: dir.path });
  sh(`cmp '${one}' '${await made("two")}'`);
  const names = new TextDecoder().decode(sh(`tar -tf '${one}'`)).trim().split("\n");
  const api = ["", "api.db", "deep/", "deep/z"].map((name) => `prose-pod-api-data/${name}`);
  const folders = Object.keys(paths).flatMap((part) => ["", "e", "f"].map((name) => `${part}/${name}`));
  assert.deepEqual(names, ["metadata.json", ...api, ...folders]);
});

Deno.test("Prose: a plan that neither encrypts nor signs must say so; policy is never weaker than the plan", async () => {
  const { certificate: _, secretKey: __, ...keys } = await sealing();
  using dir = scratch();
  const base = { service: "none", to: store.directory(dir.path), paths: {} } as const;
  const { prosePlan } = (await import("../../mod.ts")).prose;
  assert.throws(() => prosePlan(base), /neither encrypted nor signed.*require: "none"/);
  assert.throws(() => prosePlan({ ...base, require: { maxAge: "1d" } }), /neither encrypted nor signed/);
  assert.equal(prosePlan({ ...base, require: "none" }).shelf!.require, "none");
  assert.deepEqual(
    prosePlan({ ...base, ...keys, require: { signature: false, maxAge: "1d" } }).shelf!.require,
    {
      signature: true,
      encryption: true,
      maxAge: "1d",
    },
  );
  assert.deepEqual(prosePlan({ ...base, sign: keys.sign }).shelf!.require, { signature: true });
});
