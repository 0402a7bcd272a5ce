/** Full metadata on the command line: what is configured, what is printed, and what the receipt says. */
import { strict as assert } from "node:assert";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { judged, scratch, sh } from "../support.ts";
import { run, runPrinted, type User } from "./support.ts";

type Dir = ReturnType<typeof scratch>;

/** A user whose data has an attribute, a name that is not UTF-8, and a time with nanoseconds. */
function newUser(dir: Dir): User {
  mkdirSync(dir.join("home"));
  sh(
    String
      .raw`mkdir data && echo x > data/x && setfattr -n user.origin -v here data/x && echo y > $'data/b\xff'`,
    {
      cwd: dir.path,
    },
  );
  return { home: dir.join("home"), cwd: dir.path };
}

function receipt(dir: Dir, out: string): { contents: { metadata: string; entries: number } } {
  const id = out.trim().split("\n").at(-1)!.trim();
  return JSON.parse(readFileSync(dir.join("store", `${id}.receipt.json`), "utf8"));
}

function plan(more = ""): string {
  return `collect = { files = ["data"]${more} }\nencrypt = "plaintext"\nupload = { to = "./store" }\n`;
}

/** The archive as GNU tar gives it back. */
function extracted(dir: Dir): string {
  sh(
    "mkdir got && f=$(ls store/*.tar.zst) && zstd -dcq $f | tar -x --xattrs --xattrs-include='*' -C got && getfattr -h -d got/data/x > seen",
    { cwd: dir.path },
  );
  return readFileSync(dir.join("seen"), "utf8");
}

judged(
  "a plan that asks for full metadata gets a line with the library's path, which is enough for it",
  ["setfattr", "getfattr", "zstd", "tar"],
  async () => {
    using dir = scratch();
    const user = newUser(dir);
    writeFileSync(dir.join("backup.toml"), `[plan.app]\n${plan(', metadata = "full"')}`);
    const line = (await run(user, "config", ["--plan", "app", "--permissions"])).out;
    assert.match(line, / --allow-ffi=\/\S*\/libc\.\S+ /);
    const { code, out, err } = await runPrinted(user, "app");
    assert.equal(code, 0, err);
    assert.deepEqual(receipt(dir, out).contents.metadata, "full");
    assert.equal(receipt(dir, out).contents.entries, 3);
    assert.match(extracted(dir), /user\.origin="here"/);
  },
);

judged("other plans get a line without it, and what they store is basic", ["setfattr"], async () => {
  using dir = scratch();
  const user = newUser(dir);
  writeFileSync(dir.join("backup.toml"), `[plan.app]\n${plan()}`);
  const printed = await run(user, "config", ["--plan", "app", "--permissions"]);
  assert.doesNotMatch(printed.out, /ffi/);
  const { code, out, err } = await runPrinted(user, "app");
  assert.equal(code, 3, err);
  assert.match(err, /Warning \(name\): .*its name is not UTF-8\. Rename it, or grant --allow-ffi/);
  assert.equal(receipt(dir, out).contents.metadata, "basic");
});

judged("a TypeScript plan's line has the library only where it insists on it", ["setfattr"], async () => {
  using dir = scratch();
  const user = newUser(dir);
  const module = new URL("../../mod.ts", import.meta.url).href;
  for (const metadata of ["full", "basic", undefined] as const) {
    const file = `${metadata}.ts`;
    writeFileSync(
      dir.join(file),
      `import { archive, collect, encrypt, pipeline, store, upload } from ${JSON.stringify(module)};
       export const app = pipeline(collect.files("data", { metadata: ${JSON.stringify(metadata)} }))
         .pipe(archive.tar()).pipe(encrypt.plaintext()).pipe(upload({ name: "app", to: store.directory("store") }));`,
    );
    const { code, out, err } = await run(user, "config", ["--config", file, "--permissions"]);
    assert.equal(code, 0, err);
    assert.equal(/ --allow-ffi=\/\S*\/libc\.\S+ /.test(out), metadata === "full", out);
  }
});

judged("--metadata chooses for one backup, and a word that is none is refused", ["setfattr"], async () => {
  using dir = scratch();
  const user = newUser(dir);
  const basic = await run(user, "backup", ["data", "--to", "store", "--quiet", "--metadata", "basic"]);
  assert.equal(basic.code, 3, basic.err);
  assert.equal(receipt(dir, basic.out).contents.metadata, "basic");
  const usual = await run(user, "backup", ["data", "--to", "store", "--quiet", "--name", "usual"]);
  assert.equal(usual.code, 0, usual.err);
  assert.equal(receipt(dir, usual.out).contents.metadata, "full");
  const odd = await run(user, "backup", ["data", "--metadata", "all"]);
  assert.equal(odd.code, 2);
  assert.match(odd.err, /--metadata/);
  writeFileSync(dir.join("backup.toml"), `[plan.app]\n${plan(', metadata = "most"')}`);
  const wrong = await run(user, "backup", ["--plan", "app"]);
  assert.equal(wrong.code, 2);
  assert.match(wrong.err, /line 2, plan\.app\.collect\.metadata: must be "full" or "basic"/);
});
