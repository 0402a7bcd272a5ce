/** The stock commands that RESTORE.txt gives for a chain, run as they stand. */
import { strict as assert } from "node:assert";
import * as fs from "node:fs";
import { archive, collect, compress, encrypt, pipeline, sign, store, upload } from "../../mod.ts";
import { text } from "../../src/bytes.ts";
import { GONE } from "../../src/layers.ts";
import { restore } from "../../src/restore.ts";
import { backup } from "../../src/run.ts";
import { judged, sh } from "../support.ts";
import { identity, recipient, type Scene, scene, shape, START } from "./support.ts";

const TOOLS = ["age", "zstd", "tar", "xargs", "sha256sum"];

/** Names that a shell, a list or a sort may trip over. */
const ODD = ["-rf", "new\nline", "sp  ace", "'q\"uote", "$HOME", "*", "ä", "~z", "back\\slash"];

judged(
  "RESTORE.txt, run as written, gives the tree of every backup of a chain, deletions included",
  TOOLS,
  async () => {
    using at = scene();
    const shapes = new Map<string, string[]>();
    for (const step of STEPS) {
      step(at.src);
      shapes.set((await at.run({ fullShare: 1000 })).id, shape(at.src));
    }
    fs.writeFileSync(at.join("store/identity.txt"), identity);
    for (const [id, wanted] of shapes) {
      sh(`rm -rf restored; BACKUP=${id}; ${script(at)}`, { cwd: at.join("store") });
      assert.deepEqual(shape(at.join("store/restored/app")), wanted, id);
      assert.deepEqual(fs.readdirSync(at.join("store/restored")), ["app"]);
    }
  },
);

const STEPS: readonly ((src: string) => void)[] = [
  (src) => {
    for (const name of ODD) {
      fs.mkdirSync(`${src}/${name}/${name}`, { recursive: true });
      fs.writeFileSync(`${src}/${name}/file`, name);
      fs.writeFileSync(`${src}/${name}/${name}/deep`, name);
    }
    fs.mkdirSync(`${src}/linked`);
    fs.writeFileSync(`${src}/linked/a`, "a");
    fs.linkSync(`${src}/linked/a`, `${src}/linked/b`);
    fs.symlinkSync("linked", `${src}/way`);
  },
  (src) => {
    for (const name of ODD.slice(0, 5)) fs.rmSync(`${src}/${name}`, { recursive: true });
    for (const name of ODD.slice(5)) fs.rmSync(`${src}/${name}/file`);
    fs.linkSync(`${src}/linked/a`, `${src}/linked/c`);
  },
  // Kinds change places: a folder for a link, a file for a folder, a link for a file.
  (src) => {
    fs.rmSync(`${src}/way`);
    fs.renameSync(`${src}/linked`, `${src}/way`);
    fs.symlinkSync("way", `${src}/linked`);
    fs.rmSync(`${src}/*`, { recursive: true });
    fs.writeFileSync(`${src}/*`, "a file now");
    fs.writeFileSync(`${src}/ä/ä/deep`, "a longer text");
  },
  () => {}, // nothing
  // One content for all names, changed behind its times: the names are linked anew.
  (src) => {
    const { mtime } = fs.statSync(`${src}/way/a`);
    fs.writeFileSync(`${src}/way/a`, "b");
    fs.utimesSync(`${src}/way/a`, mtime, mtime);
  },
  (src) => {
    fs.rmSync(`${src}/*`);
    fs.mkdirSync(`${src}/*`);
    fs.writeFileSync(`${src}/way/a`, "one for all three names");
    fs.renameSync(`${src}/~z`, `${src}/-rf`);
  },
];

function script(at: Scene): string {
  return fs.readFileSync(at.join("store/app.RESTORE.txt"), "utf8");
}

judged("RESTORE.txt stops where a list names what lies outside the target", TOOLS, async () => {
  for (const name of ["../victim", "/tmp/victim", "new\nline/../x"]) {
    using at = scene();
    fs.writeFileSync(`${at.src}/file`, "x");
    await at.run();
    fs.writeFileSync(`${at.src}/file`, "another");
    const { id } = await at.run();
    fs.writeFileSync(at.join("list"), `app/file\0${name}\0`);
    fs.writeFileSync(at.join("store/identity.txt"), identity);
    fs.writeFileSync(at.join("store/victim"), "must stay");
    // The archive made anew with stock tools, around a hostile list.
    sh(
      `mkdir x && age -d -i identity.txt '${id}' | zstd -d | tar -x -C x && cp ../list 'x/${GONE}' && ` +
        `tar -c -C x . --transform 's,^[.]/,,' | zstd | age -r ${recipient} >new && mv new '${id}' && ` +
        `sha256sum '${id}' >'${id}.sha256'`,
      { cwd: at.join("store") },
    );
    assert.match(
      text(sh(`BACKUP=${id}; { ${script(at)} } 2>&1; cat restored/app/file`, { cwd: at.join("store") })),
      /Hostile: app_.* lists names outside the target\nNot restored: what is in restored is not app_.*\nx$/,
    );
    assert.ok(fs.existsSync(at.join("store/victim")));
  }
});

judged("RESTORE.txt fails, and says so, where a chain cannot be put together", TOOLS, async () => {
  using at = scene();
  fs.writeFileSync(`${at.src}/file`, "x");
  const full = await at.run();
  fs.writeFileSync(`${at.src}/file`, "another");
  const { id } = await at.run();
  const run = (key: string) =>
    text(sh(`KEY=${key}; ( ${script(at)} ) 2>&1; echo "exit code $?"`, { cwd: at.join("store") }));
  fs.writeFileSync(at.join("store/identity.txt"), identity);
  fs.writeFileSync(at.join("store/wrong.txt"), "no key");
  const failed = new RegExp(`Not restored: what is in restored is not ${id}\nexit code 1\n$`);
  assert.match(run("identity.txt"), /exit code 0\n$/);
  assert.match(run("wrong.txt"), failed);
  fs.rmSync(at.join(`store/${full.id}.receipt.json`));
  assert.match(run("identity.txt"), failed);
  // Without its own receipt an increment must not pass for a whole tree.
  for (const damage of [`: >'${id}.receipt.json'`, `rm '${id}.receipt.json'`]) {
    sh(damage, { cwd: at.join("store") });
    const said = run("identity.txt");
    assert.match(
      said,
      new RegExp(`Missing or damaged: ${id}.receipt.json, which says what ${id} builds on\n`),
    );
    assert.match(said, failed);
  }
});

judged("RESTORE.txt removes names that are not UTF-8, and restore() the same", TOOLS, async () => {
  using at = scene();
  const names = (cwd: string) => text(sh("find . -mindepth 1 | LC_ALL=C sort | od -An -c", { cwd }));
  sh("mkdir $'d\\xe9' && touch kept $'r\\xff' $'d\\xe9/x' $'caf\\xc3\\xa9'", { cwd: at.src });
  await at.run();
  sh("rm -r $'d\\xe9' $'r\\xff' $'caf\\xc3\\xa9'", { cwd: at.src });
  const { id } = await at.run();
  fs.writeFileSync(at.join("store/identity.txt"), identity);
  sh(`BACKUP=${id}; ${script(at)}`, { cwd: at.join("store") });
  await restore(at.plan(), { id, into: at.join("out") });
  assert.equal(names(at.join("store/restored/app")), names(at.src));
  assert.equal(names(at.join("out/app")), names(at.src));
});

judged(
  "RESTORE.txt keeps the commands for chains when the plan makes full backups again",
  TOOLS,
  async () => {
    using at = scene();
    const shapes: string[][] = [];
    const ids: string[] = [];
    fs.writeFileSync(`${at.src}/kept`, "in the first alone");
    for (const text of ["one", "three"]) {
      fs.writeFileSync(`${at.src}/file`, text);
      ids.push((await at.run()).id);
      shapes.push(shape(at.src));
    }
    fs.writeFileSync(`${at.src}/file`, "seventeen");
    const plain = pipeline(collect.files({ app: at.src }))
      .pipe(archive.tar())
      .pipe(compress.zstd())
      .pipe(encrypt.age({ recipients: [recipient], identities: () => identity }))
      .pipe(sign.sha256())
      .pipe(upload({ name: "app", to: store.directory(at.join("store")) }));
    ids.push((await backup(plain, { now: new Date(START + 86_400_000) })).id);
    shapes.push(shape(at.src));
    fs.writeFileSync(at.join("store/identity.txt"), identity);
    for (const [i, id] of ids.entries()) {
      sh(`rm -rf restored; BACKUP=${id}; ${script(at)}`, { cwd: at.join("store") });
      assert.deepEqual(shape(at.join("store/restored/app")), shapes[i]);
    }
  },
);
