/** Members of a group that store what has changed, beside others that are stored whole: each generation comes back, by stock commands too. */
import { strict as assert } from "node:assert";
import * as fs from "node:fs";
import { archive, collect, compress, encrypt, pipeline, sign, store, upload, verify } from "../../mod.ts";
import type { FilesOptions } from "../../src/collect/files.ts";
import type { Plan } from "../../src/find.ts";
import { planKey } from "../../src/collect/since/choose.ts";
import { isIncrement } from "../../src/layers.ts";
import { standardNaming } from "../../src/name.ts";
import { restore } from "../../src/restore.ts";
import { backup, type BackupResult } from "../../src/run.ts";
import { judged, scratch, sh, testContext } from "../support.ts";
import { identity, recipient, shape, START } from "./support.ts";

type Members = Parameters<typeof collect.group>[0];

interface Scene extends Disposable {
  readonly join: (...parts: string[]) => string;
  readonly said: string[];
  /** A folder to back up, with a file. */
  readonly folder: (name: string) => string;
  readonly files: (path: string, options?: FilesOptions) => Members[string];
  readonly plan: (members: Members) => Plan;
  readonly run: (members: Members) => Promise<BackupResult>;
}

function scene(): Scene {
  const dir = scratch();
  const said: string[] = [];
  let runs = 0;
  const plan = (members: Members): Plan =>
    pipeline(collect.group(members)).pipe(archive.tar()).pipe(compress.zstd())
      .pipe(encrypt.age({ recipients: [recipient], identities: () => identity })).pipe(sign.sha256())
      .pipe(upload({ name: "app", to: store.directory(dir.join("store")) }));
  const say = (message: string): void => void said.push(message);
  return {
    join: dir.join,
    said,
    folder: (name) => {
      fs.mkdirSync(dir.join(name));
      fs.writeFileSync(dir.join(name, "file"), name);
      return dir.join(name);
    },
    files: (path, options = {}) =>
      collect.files({ data: path }, {
        since: "latest",
        fullShare: 1000,
        indexDir: dir.join("since"),
        ...options,
      }),
    plan,
    run: (members) => {
      said.length = 0;
      const log = { info: say, warn: (kind: string, message: string) => say(`${kind}: ${message}`) };
      return backup(plan(members), { now: new Date(START + 3_600_000 * runs++), log });
    },
    [Symbol.dispose]: () => dir[Symbol.dispose](),
  };
}

/** The trees of a group by where they lie in an archive: as they are now, or below a folder. */
function shapes(places: Readonly<Record<string, string>>, below?: string): Record<string, string[]> {
  const at = (place: string, path: string): string => below === undefined ? path : `${below}/${place}`;
  return Object.fromEntries(Object.entries(places).map(([place, path]) => [place, shape(at(place, path))]));
}

/** Restores the latest backup: the trees are as they are now, and nothing else is there. */
async function comesBack(
  at: Scene,
  members: Members,
  places: Record<string, string>,
  id = "latest",
): Promise<void> {
  const into = at.join(crypto.randomUUID());
  await restore(at.plan(members), { id, into });
  assert.deepEqual(shapes(places, into), shapes(places));
  assert.deepEqual(fs.readdirSync(into).sort(), Object.keys(members).sort());
}

judged(
  "a group of trees with since and without comes back as it was in every generation, by its RESTORE.txt too",
  ["age", "zstd", "tar", "xargs", "sha256sum"],
  async () => {
    using at = scene();
    const [app, etc, whole] = [at.folder("app"), at.folder("etc"), at.folder("whole")];
    const members = {
      app: at.files(app),
      etc: collect.group({ data: at.files(etc) }), // a group of its own
      whole: collect.files({ data: whole }),
    };
    const places = { "app/data": app, "etc/data/data": etc, "whole/data": whole };
    const wanted = new Map<string, Record<string, string[]>>();
    const kinds: boolean[] = [];
    const steps: readonly (() => void)[] = [
      () => {},
      () => fs.writeFileSync(`${app}/new\nline`, "n"),
      () => fs.renameSync(`${whole}/file`, `${whole}/another`), // only the group can tell that "file" is gone
      () => fs.rmSync(`${app}/file`),
      () => (fs.rmSync(`${etc}/file`), fs.mkdirSync(`${etc}/file`)),
      () => (fs.rmSync(`${whole}/another`), fs.writeFileSync(`${app}/file`, "back")),
    ];
    for (const step of steps) {
      step();
      const { id, receipt } = await at.run(members);
      kinds.push(isIncrement(receipt));
      wanted.set(id, shapes(places));
      await comesBack(at, members, places);
    }
    assert.deepEqual(kinds, [false, true, true, true, true, true]);
    await verify(at.plan(members), { level: "full" });
    fs.writeFileSync(at.join("store/identity.txt"), identity);
    const script = fs.readFileSync(at.join("store/app.RESTORE.txt"), "utf8");
    for (const [id, trees] of wanted) {
      sh(`rm -rf restored; BACKUP=${id}; ${script}`, { cwd: at.join("store") });
      assert.deepEqual(shapes(places, at.join("store/restored")), trees, id);
      assert.deepEqual(fs.readdirSync(at.join("store/restored")).sort(), Object.keys(members));
    }
  },
);

Deno.test("a member whose copy is lost is stored whole beside the others' increments, and nothing of before comes back", async () => {
  using at = scene();
  const [app, etc] = [at.folder("app"), at.folder("etc")];
  const members = { app: at.files(app), etc: at.files(etc) };
  const places = { "app/data": app, "etc/data": etc };
  await at.run(members);
  const copies = fs.readdirSync(at.join("since"));
  assert.equal(copies.length, 2);
  fs.rmSync(`${app}/file`);
  const key = planKey([{ path: "data", source: app }], {
    ...testContext(),
    within: JSON.stringify([null, ["app", "etc"], "app"]),
    shelf: { name: "app", stores: [store.directory(at.join("store"))], naming: standardNaming },
  });
  fs.rmSync(at.join("since", copies.find((name) => name.startsWith(key))!));
  const { receipt } = await at.run(members);
  assert.ok(isIncrement(receipt));
  assert.deepEqual(receipt.sources.map(({ facts }) => facts.incremental), [false, true]);
  assert.match(at.said.join("\n"), /app: A full backup: this host keeps no index of/);
  await comesBack(at, members, places);
  assert.deepEqual((await at.run(members)).receipt.sources.map(({ facts }) => facts.incremental), [
    true,
    true,
  ]);
  await comesBack(at, members, places);
});

Deno.test("another set of members makes a full backup; two members over one folder do not mix", async () => {
  using at = scene();
  const [app, etc] = [at.folder("app"), at.folder("etc")];
  const one = { app: at.files(app), etc: at.files(etc), twin: at.files(app, { exclude: ["file"] }) };
  const places = { "app/data": app, "etc/data": etc };
  await at.run(one);
  assert.ok(isIncrement((await at.run(one)).receipt));
  const into = at.join("twin");
  await restore(at.plan(one), { into });
  assert.deepEqual([...fs.readdirSync(`${into}/twin/data`), ...fs.readdirSync(`${into}/app/data`)], ["file"]);
  const two = { app: one.app, etc: one.etc };
  const { receipt } = await at.run(two);
  assert.ok(!isIncrement(receipt));
  await comesBack(at, two, places);
});

Deno.test("a group is refused whose members would end its chain by different rules, or take its list's name", () => {
  using at = scene();
  const [app, etc] = [at.folder("app"), at.folder("etc")];
  assert.throws(
    () => collect.group({ app: at.files(app), etc: at.files(etc, { fullEvery: 7 }) }),
    /^TypeError: Cannot make a group: "app" and "etc" have another "fullEvery" or "fullShare"/,
  );
  assert.throws(
    () => collect.group({ "~holdfast-gone": at.files(app) }),
    /the list of what is gone has the name/,
  );
  collect.group({ "~holdfast-gone": collect.files(app) }); // the allowed twin
});

Deno.test("a command beside a tree gets what the newest backup holds of it, and the tree goes where it was", async () => {
  using at = scene();
  const app = at.folder("app");
  const dump = at.join("dump.sql");
  const members = {
    app: at.files(app),
    db: collect.command(["cat", dump], {
      path: "dump.sql",
      restore: ["/bin/sh", "-c", `cat >'${at.join("back")}'`],
    }),
  };
  for (const text of ["one", "two", "three"]) {
    fs.writeFileSync(dump, text);
    fs.writeFileSync(`${app}/${text}`, text);
    fs.rmSync(`${app}/file`, { force: true });
    await at.run(members);
  }
  const wanted = shape(app);
  fs.rmSync(app, { recursive: true });
  await restore(at.plan(members), { inPlace: true });
  assert.deepEqual(shape(app), wanted);
  assert.equal(fs.readFileSync(at.join("back"), "utf8"), "three");
});
