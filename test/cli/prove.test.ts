/** Proofs of one file, checked with nothing but the receipt and the key. */
import { strict as assert } from "node:assert";
import {
  archive,
  backup,
  checkProven,
  collect,
  encrypt,
  pipeline,
  prove,
  sign,
  store,
  upload,
} from "../../mod.ts";
import { IntegrityError, NotFoundError } from "../../src/errors.ts";
import { bytesOf, identity, recipient, treeScratch } from "../engine/support.ts";
import { minisignPair } from "../sign/support.ts";
import { sh } from "../support.ts";
import { run } from "./support.ts";

const mini = minisignPair();
const stage = sign.minisign({ publicKey: mini.publicKey, secretKey: () => mini.secretKey });

Deno.test("prove() shows one file, and checkProven() needs only receipt, signature and key", async () => {
  using dir = treeScratch();
  const target = store.memory();
  const plan = pipeline(collect.files(dir.join("src"))).pipe(archive.tar())
    .pipe(encrypt.age({ recipients: [recipient], identities: () => identity }))
    .pipe(stage).pipe(upload({ name: "app", to: target }));
  const { id } = await backup(plan);
  const { proof, receipt } = await prove(plan, { path: "src/docs/readme.md" });
  const signature = await bytesOf(target, `${id}.receipt.json.minisig`);
  const seal = stage.seals![0]!;
  const found = await checkProven({ proof, receipt, signature, seal });
  assert.deepEqual([found.id, found.signer, found.entry.path, found.entry.bytes], [
    id,
    mini.publicKey,
    "src/docs/readme.md",
    600,
  ]);
  await assert.rejects(
    checkProven({ proof: { ...proof, entry: { ...proof.entry, bytes: 601 } }, receipt, signature, seal }),
    IntegrityError,
  );
  const forged = new TextEncoder().encode(
    new TextDecoder().decode(receipt).replace('"entries":', '"entries": '),
  );
  await assert.rejects(checkProven({ proof, receipt: forged, signature, seal }), /signature is wrong/);
  const other = sign.minisign({ publicKey: minisignPair().publicKey }).seals![0]!;
  await assert.rejects(checkProven({ proof, receipt, signature, seal: other }), /none of the trusted ones/);
  await assert.rejects(prove(plan, { path: "src/none" }), NotFoundError);
});

Deno.test("deno task prove writes a proof, and --check verifies it without backup or identity", async () => {
  using dir = treeScratch();
  const user = { home: dir.path, cwd: dir.path };
  await Deno.writeTextFile(dir.join("sign.key"), mini.secretKey);
  await Deno.writeTextFile(dir.join("sign.pub"), mini.publicKey);
  await Deno.writeTextFile(dir.join("app.key"), identity);
  await Deno.writeTextFile(
    dir.join("backup.toml"),
    `[plan.app]
collect = { files = ["src"] }
encrypt = { age = { recipients = ["${recipient}"], identityFile = "app.key" } }
sign = [{ minisign = { publicKey = "${mini.publicKey}", secretKeyFile = "sign.key" } }]
upload = { to = "store" }
`,
  );
  assert.equal((await run(user, "backup", ["--quiet"])).code, 0);
  const made = await run(user, "prove", ["latest", "src/docs/readme.md"]);
  assert.equal(made.code, 0, made.err);
  await Deno.mkdir(dir.join("elsewhere"));
  await Deno.writeTextFile(dir.join("elsewhere/proof.json"), made.out);
  const names = [...Deno.readDirSync(dir.join("store"))].map(({ name }) => name);
  const receipt = names.find((name) => name.endsWith(".receipt.json"))!;
  for (const name of [receipt, `${receipt}.minisig`]) {
    await Deno.copyFile(dir.join("store", name), dir.join("elsewhere", name));
  }
  await Deno.remove(dir.join("store"), { recursive: true });
  const check = ["--check", "proof.json", "--receipt", receipt, "--public-key", "../sign.pub"];
  const there = { home: dir.join("elsewhere"), cwd: dir.join("elsewhere") };
  const checked = await run(there, "prove", check);
  assert.equal(checked.code, 0, checked.err);
  assert.equal(JSON.parse(checked.out).entry.path, "src/docs/readme.md");
  await Deno.writeTextFile(dir.join("elsewhere/proof.json"), made.out.replace("readme.md", "readme.mx"));
  assert.equal((await run(there, "prove", check)).code, 5);
  await Deno.remove(dir.join("elsewhere", `${receipt}.minisig`));
  assert.equal((await run(there, "prove", check)).code, 5);
  assert.equal((await run(there, "prove", check.slice(0, 4))).code, 2);
});

Deno.test("deno task verify --head sees the newest deleted on a machine that remembers nothing", async () => {
  using dir = treeScratch();
  const there = store.directory(dir.join("backups"));
  const plan = pipeline(collect.files(dir.join("src"))).pipe(archive.tar()).pipe(encrypt.plaintext())
    .pipe(upload({ name: "src", to: there }));
  await backup(plan, { now: new Date("2026-11-20T03:00:00Z") });
  const { id } = await backup(plan, { now: new Date("2026-11-20T04:00:00Z") });
  const receipt = dir.join("backups", `${id}.receipt.json`);
  await Deno.copyFile(receipt, dir.join("kept.json"));
  await Deno.writeFile(dir.join("kept.txt"), sh(`sha256sum ${receipt}`));
  await Deno.writeTextFile(dir.join("bad.txt"), "hello\n");
  const verify = async (head: string): Promise<number> => {
    const home = await Deno.makeTempDir({ dir: dir.path });
    return (await run({ home, cwd: dir.path }, "verify", head === "" ? [] : ["--head", head])).code;
  };
  assert.deepEqual([await verify("kept.json"), await verify("kept.txt"), await verify("bad.txt")], [0, 0, 2]);
  for (const { name } of [...Deno.readDirSync(dir.join("backups"))]) {
    if (name.startsWith(id)) await Deno.remove(dir.join("backups", name));
  }
  assert.deepEqual([await verify("kept.json"), await verify("kept.txt"), await verify("")], [5, 5, 0]);
});
