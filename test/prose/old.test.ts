/** Backups of Prose 0.5, made here by stock tools as its source makes them: names, .pgp, .blake3, .sig. */
import { strict as assert } from "node:assert";
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { blake3 } from "@noble/hashes/blake3.js";
import { findError, IntegrityError, NotFoundError, prose, store } from "../../mod.ts";
import { parseOldName } from "../../src/recipes/prose/old.ts";
import { treeOf } from "../collect/extract_support.ts";
import { gpgIn, stopAgent } from "../sign/support.ts";
import { judged, sh } from "../support.ts";
import { apiTar, type Pod, pod, sealing } from "./support.ts";

const SECONDS = 1_772_432_392;
const NAME = `prose%5Fbackup-${SECONDS}-Automatic%20backup%2E`.replace("%5F", "_");

Deno.test("names of Prose 0.5: one way to write each, or it is none", () => {
  const id = `${NAME}.tar.zst.pgp`;
  assert.deepEqual(parseOldName(id), {
    description: "Automatic backup.",
    time: new Date(SECONDS * 1000),
    encrypted: true,
  });
  const none = [
    "prose_2025-12-02T10:46:50Z.tar.zst.gpg",
    `${NAME}.tar.zst.gpg`,
    `${NAME}.tar.zst.pgp.sig`,
    `${NAME}.tar.zst.pgp/../../etc/passwd`,
    `../${id}`,
    `${id}\0`,
    id.replace(String(SECONDS), `0${SECONDS}`),
    id.replace(String(SECONDS), `+${String(SECONDS).slice(1)}`),
    id.replace("%20", " "),
    id.replace("%2E", "%2e"),
    id.replace("_", "%5F"),
    id.replace("%20", "%ff"),
    `prose_backup-${SECONDS}-${"a".repeat(4000)}.tar`,
    "",
  ];
  for (const name of none) assert.equal(parseOldName(name), undefined, name);
});

/** What Prose 0.5 would have made of the pod: layout, names, sidecars; `seal` encrypts, `sign` signs. */
function makeOld(it: Pod, gpg: string, how: { readonly seal: boolean; readonly sign: boolean }): string {
  const id = `${NAME}.tar.zst${how.seal ? ".pgp" : ""}`;
  mkdirSync(it.dir.join("old"), { recursive: true });
  writeFileSync(it.dir.join("metadata.json"), '{"version":1}');
  apiTar(it.dir);
  sh(
    `rm -f old.tar; tar --format=gnu -c -f old.tar --mode=0 --mtime=@0 metadata.json
     tar --format=gnu -r -f old.tar -C api prose-pod-api-data
     tar --format=gnu -S -r -h -f old.tar -C live prose-pod-server-data prosody-data prose-config prosody-config
     zstd -q -3 --no-check -c old.tar ${
      how.seal ? `| ${gpg} --compress-algo none --trust-model always -r test@example.org -e` : ""
    } > old/${id}
     ${
      how.sign ? `${gpg} --faked-system-time ${SECONDS}! --yes --detach-sign -o old/${id}.sig old/${id}` : ""
    }`,
    { cwd: it.dir.path },
  );
  writeFileSync(it.dir.join("old", `${id}.blake3`), blake3(readFileSync(it.dir.join("old", id))));
  return id;
}

judged("Prose 0.5's backups are restored under the plan's own policy, and refused otherwise", [
  "prosody",
  "gpg",
  "zstd",
], async () => {
  await using it = await pod();
  const gpg = gpgIn(it.dir.path);
  try {
    const { certificate: _, secretKey, ...keys } = await sealing(new Date((SECONDS - 1000) * 1000));
    writeFileSync(it.dir.join("key"), secretKey);
    sh(`${gpg} --import key`, { cwd: it.dir.path });
    const to = store.directory(it.dir.join("old"));
    const { paths, service } = it;
    const podApi = async (tar: ReadableStream): Promise<void> => void await new Response(tar).arrayBuffer();
    const base: prose.ProsePlanOptions = { service, paths, to, podApi, journalDir: it.dir.join("journal") };
    // Prose 0.5 stores what has holes without them.
    sh("truncate -s 3M hollow; echo end >> hollow", { cwd: it.paths["prosody-data"] });
    const content = treeOf(it.dir.join("live"), false);
    const restored = async (more: Partial<prose.ProsePlanOptions>, id: string): Promise<void> => {
      writeFileSync(`${it.paths["prosody-data"]}/stale`, "not in the backup");
      assert.equal(await prose.proseRestore({ ...base, ...more }, { id }), id);
      assert.equal(treeOf(it.dir.join("live"), false), content);
      assert.ok(await it.logsIn("juliet"));
    };
    const id = makeOld(it, gpg, { seal: true, sign: true });
    await restored(keys, id);
    const plain = makeOld(it, gpg, { seal: false, sign: false });
    await restored({ require: "none" }, plain);
    const pid = it.pid();
    const refused = async (more: Partial<prose.ProsePlanOptions>, id: string, why: RegExp): Promise<void> => {
      const work = prose.proseRestore({ ...base, ...more }, { id });
      await assert.rejects(work, (error) => {
        assert.match(String(error), why);
        assert.ok(findError(error, IntegrityError) ?? findError(error, NotFoundError), String(error));
        return true;
      });
      assert.equal(treeOf(it.dir.join("live"), false), content);
      assert.equal(it.pid(), pid, "never stopped");
    };
    await refused(keys, plain, /demands encryption/);
    await refused({ sign: keys.sign }, plain, /not signed.*checksum does not replace it/);
    const little = { id, limits: { bytes: 3_000_000 } };
    const work = prose.proseRestore({ ...base, ...keys }, little);
    await assert.rejects(work, /with the holes of sparse files.*Raise --limit-bytes/);
    await refused({ require: "none" }, id, /is encrypted, and the plan has no key/);
    const file = (suffix: string, name = id): string => it.dir.join("old", name + suffix);
    // Flipped; checksum forged to fit.
    const good = readFileSync(file(""));
    const bad = new Uint8Array(good);
    bad[good.length >> 1]! ^= 1;
    writeFileSync(file(""), bad);
    writeFileSync(file(".blake3"), blake3(bad));
    await refused(keys, id, /signature is wrong|damaged/);
    writeFileSync(file(""), good);
    // Renamed, and so dated anew.
    const later = id.replace(String(SECONDS), String(SECONDS + 86_400));
    for (const suffix of ["", ".sig"]) renameSync(file(suffix), file(suffix, later));
    await refused(keys, later, /It was renamed/);
    for (const suffix of ["", ".sig"]) renameSync(file(suffix, later), file(suffix));
    // Signed by somebody else; not signed any more.
    const { sign } = await sealing();
    await refused({ ...keys, sign }, id, /none of the trusted ones/);
    rmSync(file(".sig"));
    await refused(keys, id, /not signed/);
    // Only checksums: wrong, of the wrong length, absent.
    await refused({ encrypt: keys.encrypt }, id, /not what ".*blake3" says/);
    writeFileSync(file(".blake3"), "short");
    await refused({ encrypt: keys.encrypt }, id, /not 32 bytes/);
    rmSync(file(".blake3"));
    await refused({ encrypt: keys.encrypt }, id, /neither a signature/);
    writeFileSync(file(".sha256"), new Uint8Array(sh(`openssl dgst -sha256 -binary '${file("")}'`)));
    await restored({ encrypt: keys.encrypt }, id);
    // Checks that were kept elsewhere.
    mkdirSync(it.dir.join("checks"));
    renameSync(file(".sha256"), it.dir.join("checks", `${id}.sha256`));
    await restored({ encrypt: keys.encrypt, oldChecks: store.directory(it.dir.join("checks")) }, id);
  } finally {
    stopAgent(it.dir.path);
  }
});
