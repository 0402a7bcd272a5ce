/** What must not happen to a pod: tampered backups, services that refuse, half restores, hostile data. */
import { strict as assert } from "node:assert";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { backup, findError, IntegrityError, prose, restore, store } from "../../mod.ts";
import { treeOf } from "../collect/extract_support.ts";
import { judged, scratch, sh, streamOf } from "../support.ts";
import { apiData, type Pod, pod, sealing } from "./support.ts";

const IN_PLACE = { inPlace: true, conflict: "overwrite" } as const;

/** Fails, and leaves the pod exactly as it was, running. */
async function unharmed(it: Pod, work: () => Promise<unknown>, expected: RegExp): Promise<void> {
  // All below the folder, whose own time changes with what is staged in it.
  const looks = (): string => treeOf(it.dir.join("live")).split("\n").slice(1).join("\n");
  const before = looks();
  await assert.rejects(work, (error: Error) => {
    assert.match(error.message, expected);
    return true;
  });
  assert.equal(looks(), before);
  assert.ok(it.runs());
  assert.deepEqual(readdirSync(it.dir.join("journal")).filter((name) => name.endsWith(".json")), []);
}

judged("Prose: the table of sidecars, and equal bytes for equal data", ["prosody"], async () => {
  await using it = await pod();
  const { certificate: _, secretKey: __, ...keys } = await sealing();
  const ours = ["", ".index", ".receipt.json"];
  const table: readonly [Partial<prose.ProsePlanOptions>, string, readonly string[]][] = [
    [{}, ".tar.zst", [...ours, ".sha256"]],
    [{ sign: keys.sign }, ".tar.zst", [...ours, ".receipt.json.sig", ".sig"]],
    [{ encrypt: keys.encrypt }, ".tar.zst.gpg", [...ours, ".sha256"]],
    [keys, ".tar.zst.gpg", [...ours, ".receipt.json.sig", ".sig"]],
  ];
  for (const [i, [more, suffix, sidecars]] of table.entries()) {
    const folder = it.dir.join(`table${i}`);
    const { id } = await backup(it.plan({ ...more, noDowntime: true, to: store.directory(folder) }));
    assert.ok(id.endsWith(`Z${suffix}`), id);
    const names = readdirSync(folder).filter((name) => name.startsWith("prose_"));
    assert.deepEqual(names.sort(), sidecars.map((end) => id + end).sort());
  }
  const twice: Uint8Array[] = [];
  for (const folder of ["one", "two"]) {
    using sent = await apiData(it.dir);
    const to = store.directory(it.dir.join(folder));
    const { id } = await backup(it.plan({ to, podApiData: sent }), {
      now: new Date(Date.now() + twice.length * 5000),
    });
    twice.push(readFileSync(it.dir.join(folder, id)));
    // Times and owners change, what is in the files does not.
    sh(`find '${it.dir.join("live")}' -exec touch -h -d 2001-01-01 {} +`);
  }
  assert.deepEqual(twice[0], twice[1]);
});

judged("Prose: what is not whole or not itself is refused before anything stops", ["prosody"], async () => {
  await using it = await pod();
  const keys = await sealing();
  const { id } = await backup(it.plan(keys));
  const path = it.dir.join("store", id);
  const pid = it.pid();
  const good = readFileSync(path);
  chmodSync(path, 0o600);
  for (const [at, why] of [[40, "its start"], [good.length - 40, "its end"]] as const) {
    const bad = new Uint8Array(good);
    bad[at]! ^= 1;
    writeFileSync(path, bad);
    await unharmed(it, () => restore(it.plan(keys), IN_PLACE), /SHA-256|damaged|signature|Cannot/);
    assert.equal(it.pid(), pid, `${why}: never stopped`);
  }
  writeFileSync(path, good.subarray(0, -1));
  await unharmed(it, () => restore(it.plan(keys), IN_PLACE), /bytes/);
  writeFileSync(path, good);
  rmSync(`${path}.sig`);
  await unharmed(it, () => restore(it.plan(keys), IN_PLACE), /not signed|signature/);
  assert.equal(it.pid(), pid, "never stopped");
  // Archives that somebody else packed: a part is missing, something else is in it, a newer version.
  const packed: readonly [string, RegExp][] = [
    ["rm -r prosody-data", /not whole, "prosody-data" is missing/],
    ["mkdir x", /it holds "x"/],
    [`echo '{"version":2}' > metadata.json`, /version 2/],
    ["echo nonsense > metadata.json", /not JSON/],
    ["rm metadata.json", /does not start with metadata.json/],
    ["mkdir -p prose-pod-api-data; echo > prose-pod-api-data/f", /data of the Pod API/],
  ];
  for (const [change, expected] of packed) {
    sh(
      `rm -rf a; mkdir a; cp -r live/. a; cd a; echo '{"version":1}' > metadata.json; ${change}; tar -c -f ../a.tar $(ls)`,
      {
        cwd: it.dir.path,
      },
    );
    await unharmed(it, () => restore(it.plan(), { ...IN_PLACE, file: it.dir.join("a.tar") }), expected);
    assert.equal(it.pid(), pid, "never stopped");
  }
});

judged(
  "Prose: a Prosody that does not stop, or not start again, and a Pod API that refuses",
  ["prosody"],
  async (): Promise<void> => {
    await using it = await pod();
    using sent = await apiData(it.dir);
    const quick = { stopTimeoutMs: 20_000, startTimeoutMs: 20_000 };
    await backup(it.plan({ podApiData: sent }));
    const podApi = (): Promise<void> => Promise.resolve();
    it.refuse("stop");
    await unharmed(
      it,
      () => restore(it.plan({ ...quick, podApi }), IN_PLACE),
      /Cannot stop "prosody".*refuse to stop/,
    );
    await unharmed(it, () => backup(it.plan(quick)), /Cannot stop "prosody".*refuse to stop/);
    it.refuse("stop", false);
    writeFileSync(it.dir.join("live/prosody-data/marker"), "newer than the backup");
    const gone = (): Promise<void> => Promise.reject(new Error("the Pod API answered 503"));
    await unharmed(it, () => restore(it.plan({ ...quick, podApi: gone }), IN_PLACE), /answered 503/);
    // A backup with a configuration that Prosody does not start on.
    const config = `${it.paths["prosody-config"]}/prosody.cfg.lua`;
    const sound = readFileSync(config, "utf8");
    writeFileSync(config, "this is no Lua (");
    const { id } = await backup(
      it.plan({ noDowntime: true, podApiData: sent, to: store.directory(it.dir.join("bad")) }),
    );
    writeFileSync(config, sound);
    const bad = it.plan({
      stopTimeoutMs: 20_000,
      startTimeoutMs: 1500,
      podApi,
      to: store.directory(it.dir.join("bad")),
    });
    await unharmed(it, () => restore(bad, { ...IN_PLACE, id }), /took more than 1500 ms/);
    assert.equal(await it.logsIn("juliet"), true);
  },
);

judged(
  "Prose: parts that are mount points are replaced child by child, and taken back",
  ["prosody", "mount"],
  async () => {
    if (Deno.uid() !== 0) return;
    await using it = await pod();
    const mounted = [it.paths["prose-config"], it.paths["prose-pod-server-data"]];
    for (const path of mounted) {
      sh(
        `mv '${path}' '${path}.x'; mkdir '${path}'; mount -t tmpfs -o size=8m tmpfs '${path}'; cp -a '${path}.x/.' '${path}'; rm -r '${path}.x'`,
      );
    }
    try {
      using sent = await apiData(it.dir);
      await backup(it.plan({ podApiData: sent }));
      const content = treeOf(it.dir.join("live"), false);
      for (const path of mounted) writeFileSync(`${path}/stale`, "not in the backup");
      const gone = (): Promise<void> => Promise.reject(new Error("no"));
      const before = treeOf(it.dir.join("live"), false);
      await assert.rejects(restore(it.plan({ podApi: gone }), IN_PLACE), /no/);
      assert.equal(treeOf(it.dir.join("live"), false), before);
      await restore(it.plan({ podApi: () => Promise.resolve() }), IN_PLACE);
      assert.equal(treeOf(it.dir.join("live"), false), content);
      assert.ok(it.runs());
    } finally {
      for (const path of mounted) execFileSync("umount", ["-l", path]);
    }
  },
);

judged(
  "Prose: a disk that is full in the middle of a restore or a backup",
  ["prosody", "mount"],
  async () => {
    if (Deno.uid() !== 0) return;
    await using it = await pod();
    const small = it.paths["prose-pod-server-data"];
    writeFileSync(`${small}/large`, crypto.getRandomValues(new Uint8Array(65_536)));
    sh(`for i in $(seq 80); do cp '${small}/large' '${small}/large'$i; done`);
    await backup(it.plan());
    sh(
      `rm '${small}'/large*; mount -t tmpfs -o size=4m tmpfs '${small}'; echo there > '${small}/here'; touch -d @1500000000 '${small}'`,
    );
    const store2 = it.dir.join("full");
    mkdirSync(store2);
    sh(`mount -t tmpfs -o size=64k tmpfs '${store2}'; head -c 30000 /dev/zero > '${store2}/other'`);
    try {
      const pid = it.pid();
      await unharmed(it, () => restore(it.plan(), IN_PLACE), /disk is full|free/);
      assert.equal(it.pid(), pid, "never stopped");
      writeFileSync(`${small}/noise`, crypto.getRandomValues(new Uint8Array(65_536)));
      await unharmed(it, () => backup(it.plan({ to: store.directory(store2) })), /full|space|ENOSPC|free/i);
      assert.deepEqual(readdirSync(store2).filter((name) => !name.endsWith(".lease")), ["other"]);
    } finally {
      for (const path of [small, store2]) execFileSync("umount", ["-l", path]);
    }
  },
);

Deno.test("Prose: the Pod API's data is one tree below its own folder, or is refused", async () => {
  using dir = scratch();
  const wrong: readonly [string, RegExp][] = [
    ["mkdir prosody-data; echo > prosody-data/f; tar -c prosody-data", /does not lie in prose-pod-api-data/],
    ["echo > prose-pod-api-data; tar -c prose-pod-api-data", /must be a folder/],
    [
      "mkdir prose-pod-api-data; echo > prose-pod-api-data/f; tar -c -P --transform 's,f$,../../f,' prose-pod-api-data/f",
      /part/,
    ],
    [
      "mkdir prose-pod-api-data; echo > prose-pod-api-data/f; tar -c prose-pod-api-data prose-pod-api-data/f",
      /comes twice/,
    ],
    ["mkdir prose-pod-api-data; tar -c prose-pod-api-data | head -c 700", /ends|cut/],
    ["tar -c -T /dev/null", /holds nothing/],
    [
      "mkdir prose-pod-api-data; truncate -s 2M prose-pod-api-data/f; tar -c -S prose-pod-api-data",
      /is a sparse file, which is not taken here/,
    ],
    ["echo this is no archive; head -c 600 /dev/zero", /checksum|header|Cannot read/],
    [
      "mkdir prose-pod-api-data; mkfifo prose-pod-api-data/p; tar -c prose-pod-api-data",
      /pipe|not supported|Cannot/,
    ],
  ];
  for (const [i, [line, expected]] of wrong.entries()) {
    mkdirSync(dir.join(String(i)));
    const tar = sh(line, { cwd: dir.join(String(i)) });
    await assert.rejects(prose.takeApiData(streamOf(tar)), (error) => {
      assert.ok(findError(error, IntegrityError), `${line}: ${error}`);
      assert.match((error as Error).message, expected, line);
      return true;
    });
  }
  // Out of order, with links, and larger than a step: the same tree comes back.
  mkdirSync(dir.join("sound/prose-pod-api-data/b"), { recursive: true });
  sh(
    "head -c 700000 /dev/urandom > b/large; ln b/large b/same; ln -s b/large link; echo a > a; chmod 600 a",
    {
      cwd: dir.join("sound/prose-pod-api-data"),
    },
  );
  const tar = sh("tar -c prose-pod-api-data/link prose-pod-api-data/b prose-pod-api-data/a", {
    cwd: dir.join("sound"),
  });
  using data = await prose.takeApiData(streamOf(tar));
  writeFileSync(dir.join("back.tar"), new Uint8Array(await new Response(data.tar()).arrayBuffer()));
  sh(
    "mkdir got; tar -x -f back.tar -C got; diff -r got sound; stat -c %a got/prose-pod-api-data/a | grep -x 600",
    {
      cwd: dir.path,
    },
  );
  const names = new TextDecoder().decode(sh("tar -t -f back.tar", { cwd: dir.path })).trim().split("\n");
  assert.deepEqual(names, [...names].sort());
});

Deno.test("Prose: parts and stores that no restore could put back are refused when the plan is made", () => {
  const plan = (paths: object, folder = "/srv/backups"): unknown =>
    prose.prosePlan({ service: "none", require: "none", paths, to: store.directory(folder) });
  assert.throws(() => plan({ "prosody-data": "/etc/prosody/data" }), /lies in "prosody-config"/);
  assert.throws(() => plan({ other: "/x" }), /no part of it/);
  assert.throws(() => plan({ "prosody-data": "" }), /not a path/);
  assert.throws(() => plan({}, "/var/lib/prosody/backups"), /a restore replaces/);
});
