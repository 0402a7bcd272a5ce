/** What files() stores through the C library, held against stock tools; and what it does without. */
import { strict as assert } from "node:assert";
import { Buffer } from "node:buffer";
import { mkdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { files, group } from "../../src/collect/mod.ts";
import { tar } from "../../src/archive/mod.ts";
import { readAll } from "../../src/bytes.ts";
import { keepAll, keptEntries } from "../../src/collect/stopped/keep.ts";
import { spooled } from "../../src/collect/spool.ts";
import { openReading } from "../../src/libc/read.ts";
import type { Entry, Files } from "../../src/stage.ts";
import { judged, scratch, type Seen as Saw, sh, testContext } from "../support.ts";
import { byPath, readEntries } from "./files_support.ts";

const known = Deno.build.os === "linux";
const root = Deno.uid() === 0;
const MIB = 2 ** 20;
const full = { metadata: "full" } as const;

async function collected(path: string, seen?: Saw, more: object = full): Promise<Files> {
  return await files(path, more).run(undefined, testContext(seen ? { seen } : {}));
}

function text(line: string, cwd: string): string {
  return new TextDecoder().decode(sh(line, { cwd }));
}

/** A tree with everything that only full metadata keeps. */
function plant(cwd: string): void {
  const lines = [
    String.raw`mkdir -p app/acl $'app/d\xfe/in' app/plain`,
    String
      .raw`printf deep > $'app/d\xfe/in/x'; printf bad > $'app/d\xfe/b\xc3'; printf two > $'app/\xf4\x8f\xbf\xa9'`,
    String.raw`ln $'app/d\xfe/b\xc3' app/plain/twin; ln -s $'t\xff' app/link`,
    "printf 1 > app/x; setfattr -n user.a -v 1 app/x; setfattr -n user.b -v 0x00ff app/x; setfattr -n user.f -v d app/plain",
    "printf 2 > app/y; setfacl -m u:4242:rw,g:1:r app/y; setfacl -m u:1:rx,d:u:4242:r app/acl",
    "truncate -s 3M app/hole; printf end >> app/hole; head -c 1200000 /dev/urandom > app/dense",
    ...root ? ["printf 3 > app/cap; setcap cap_net_raw+ep app/cap"] : [],
    "touch -d '2001-02-03 04:05:06.123456789' app/y",
  ];
  sh(lines.join("\n"), { cwd });
}

/** What stock tools say of a tree; SELinux labels are the system's own. */
function facts(cwd: string): string {
  return text(
    [
      "find app -printf '%y %m %T@ %n %P %l\\n' | LC_ALL=C sort",
      "getfattr -R -P -h -e hex -d -m '^(user|security.capability)' app | LC_ALL=C sort",
      "getfacl -R -P -n -s app",
      "find app -type f -exec sha256sum -- {} + | LC_ALL=C sort",
      "[ $(stat -c %b app/hole) -lt 64 ] && echo sparse",
    ].join(" && "),
    cwd,
  ).replaceAll(/^#.*\n/gm, "");
}

judged(
  "a tree stored with full metadata comes out of GNU tar and bsdtar as it was",
  ["tar", "bsdtar", "setfattr", "getfattr", "setfacl", "getfacl", "setcap"],
  async () => {
    using dir = scratch();
    plant(dir.path);
    const seen: Saw = { warnings: [], infos: [] };
    const archive = await tar().run(await collected(dir.join("app"), seen), testContext());
    writeFileSync(dir.join("our.tar"), await readAll(archive.body.read(), 64 * MIB));
    assert.deepEqual(seen.warnings, []);
    assert.equal(archive.facts().contents?.metadata, "full");
    const before = facts(dir.path);
    for (
      const line of ["tar --xattrs --xattrs-include='*' --acls -xpf", "LC_ALL=C bsdtar --xattrs --acls -xpf"]
    ) {
      const cwd = dir.join(line.includes("bsd") ? "bsd" : "gnu");
      mkdirSync(cwd);
      sh(`${line} ../our.tar`, { cwd });
      assert.equal(facts(cwd), before, line);
    }
  },
);

judged("entries have what getfattr, getfacl and stat say", ["setfattr", "setfacl", "setcap"], async () => {
  using dir = scratch();
  plant(dir.path);
  const all = byPath(await readEntries(await collected(dir.join("app"))));
  const of = (path: string): Entry => all.get(path)!;
  assert.deepEqual([...of("app/x").xattrs!].map(([name, value]) => [name, value.toHex()]), [
    ["user.a", "31"],
    ["user.b", "00ff"],
  ]);
  assert.equal(of("app/y").mtimeMs, Date.parse("2001-02-03T04:05:06.123") + new Date(0).getTimezoneOffset());
  assert.equal(of("app/y").mtimeNs, 456_789);
  assert.match(of("app/y").acl!.access!, /user:4242:rw-:4242,.*group:\w+:r--:1,mask::rw-/);
  assert.match(of("app/acl").acl!.default!, /user:4242:r--:4242/);
  assert.deepEqual([of("app/dense").extents, of("app/dense").xattrs, of("app/dense").acl], [
    undefined,
    undefined,
    undefined,
  ]);
  assert.ok(of("app/hole").extents!.length >= 2 && of("app/hole").extents![0]! > MIB);
  assert.equal(new TextDecoder().decode(all.get("app/d\u{10fffe}/in/x")!.content), "deep");
  // U+10FFE9 in UTF-8 is no byte, and is told from one by its bytes.
  assert.equal(
    new TextDecoder().decode(all.get("app/\u{10fff4}\u{10ff8f}\u{10ffbf}\u{10ffa9}")!.content),
    "two",
  );
  assert.equal(of("app/link").target, "t\u{10ffff}");
  assert.equal(of("app/plain/twin").target, "app/d\u{10fffe}/b\u{10ffc3}");
  if (root) assert.equal([...of("app/cap").xattrs!.keys()].join(), "security.capability");
});

Deno.test({
  name: "metadata basic stores none of it, and group says the least of its members",
  ignore: !known,
}, async () => {
  using dir = scratch();
  sh("mkdir app; truncate -s 3M app/hole; touch -d @1.123456789 app/hole", { cwd: dir.path });
  const basic = await collected(dir.join("app"), undefined, { metadata: "basic" });
  const hole = byPath(await readEntries(basic)).get("app/hole")!;
  assert.deepEqual([hole.extents, hole.mtimeNs], [undefined, undefined]);
  assert.equal(basic.facts().metadata, "basic");
  const options = [full, { metadata: "basic" } as const, {}];
  const members = options.map((option, i) => [`m${i}`, files(dir.join("app"), option)] as const);
  for (const [chosen, said] of [[members, "basic"], [[members[0]!, members[2]!], "full"]] as const) {
    const both = await group(Object.fromEntries(chosen)).run(undefined, testContext());
    await readEntries(both);
    assert.equal(both.facts().metadata, said);
  }
});

Deno.test(
  { name: "a deterministic archive keeps no attributes, times or holes", ignore: !known },
  async () => {
    using dir = scratch();
    sh("mkdir app; truncate -s 3M app/hole; touch -d @1.123456789 app/hole", { cwd: dir.path });
    const fixed = tar({ deterministic: true });
    const packed = async (option: object): Promise<string> => {
      const archive = await fixed.run(await collected(dir.join("app"), undefined, option), testContext());
      const bytes = await readAll(archive.body.read(), 64 * MIB);
      assert.equal(archive.facts().contents?.metadata, "basic");
      return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
    };
    assert.equal(await packed(full), await packed({ metadata: "basic" }));
  },
);

Deno.test({
  name: "what is written into a hole while it is read does not get into the archive half",
  ignore: !known,
}, async () => {
  using dir = scratch();
  sh("mkdir app; truncate -s 4M app/hole; printf x >> app/hole", { cwd: dir.path });
  const seen: Saw = { warnings: [], infos: [] };
  const built = await collected(dir.join("app"), seen);
  for await (const entry of built.entries()) {
    if (entry.kind !== "file") continue;
    sh("printf late | dd of=app/hole bs=1 seek=2097152 conv=notrunc status=none", { cwd: dir.path });
    const content = await readAll((entry.body as () => ReadableStream<Uint8Array<ArrayBuffer>>)(), 8 * MIB);
    assert.equal(content[2 * MIB], 0);
    assert.equal(content[4 * MIB], "x".charCodeAt(0));
  }
  assert.deepEqual(seen.warnings.map(({ kind }) => kind), ["changed"]);
});

judged("attributes that no header can hold are left out, with a warning", ["setfattr"], async () => {
  using dir = scratch();
  sh("mkdir app; printf 1 > app/x; setfattr -n user.a -v 1 app/x", { cwd: dir.path });
  const { detailed } = await import("../../src/collect/details.ts");
  const libc = openReading()!;
  try {
    const warnings: string[] = [];
    const state = {
      warn: (kind: string, path: string): void => void warnings.push(`${kind} ${path}`),
      users: new Map(),
      groups: new Map(),
      links: new Map(),
      // No file system here takes so many: the rest of the library is the real one.
      libc: {
        ...libc,
        attributes: () =>
          new Map([["user.a", new Uint8Array(600_000)], ["security.selinux", new Uint8Array(9)]]),
      },
    };
    const entry: Entry = {
      path: "app/x",
      kind: "file",
      mode: 0o644,
      mtimeMs: 0,
      uid: 0,
      gid: 0,
      uname: "",
      gname: "",
      bytes: 1,
    };
    assert.equal(detailed(state, dir.join("app/x"), entry).xattrs, undefined);
    assert.deepEqual(warnings, ["attributes app/x"]);
  } finally {
    libc.close();
  }
});

Deno.test({
  name: "without the permission, full is refused at the start and nothing else fails",
  ignore: !known,
}, () => {
  using dir = scratch();
  sh(String.raw`mkdir app; printf 1 > app/x; printf 2 > $'app/b\xff'`, { cwd: dir.path });
  const mod = new URL("../../src/collect/mod.ts", import.meta.url).href;
  const support = new URL("../support.ts", import.meta.url).href;
  writeFileSync(
    dir.join("main.ts"),
    `import { files } from ${JSON.stringify(mod)};
     import { testContext } from ${JSON.stringify(support)};
     const seen = { warnings: [], infos: [] };
     const built = await files(Deno.args[0]).run(undefined, testContext({ seen }));
     const got = [];
     for await (const { path } of built.entries()) got.push(path);
     const { metadata } = built.facts();
     const begin = async () => await files(Deno.args[0], { metadata: "full" }).run(undefined, testContext());
     const refused = await begin().catch((error) => error);
     console.log(JSON.stringify({ got, metadata, warned: seen.warnings, refused: refused.message, name: refused.name }));`,
  );
  const config = fileURLToPath(new URL("../../deno.json", import.meta.url));
  const run = (flags: string): Record<string, unknown> =>
    JSON.parse(
      text(
        `${Deno.execPath()} run --no-prompt --quiet --config ${config} ${flags} main.ts ${dir.join("app")}`,
        dir.path,
      ),
    );
  for (const flags of ["-A --deny-ffi", "--allow-read --allow-env --allow-sys"]) {
    const { got, metadata, warned, refused, name } = run(flags);
    assert.deepEqual(got, ["app", "app/x"]);
    assert.equal(metadata, "basic");
    assert.match(
      JSON.stringify(warned),
      /^\[\{"kind":"name","message":".*its name is not UTF-8\. Rename it, or grant --allow-ffi/,
    );
    assert.equal(name, "ConfigError");
    assert.match(
      String(refused),
      /^Cannot store full metadata: the permission --allow-ffi is not granted\. Run with/,
    );
  }
  assert.equal(run("-A").metadata, "full");
});

judged(
  "what waits in the spool of a stopped service keeps all of it",
  ["setfattr", "setfacl", "setcap"],
  async () => {
    using dir = scratch();
    plant(dir.path);
    using kept = spooled("test", dir.path);
    await keepAll(await collected(dir.join("app")), kept, testContext(), new AbortController().signal);
    const all: Entry[] = [];
    for await (const { body: _, sha256: __, ...entry } of keptEntries(kept)) all.push(entry);
    const direct: Entry[] = [];
    for await (
      const { body: _, sha256: __, ...entry } of (await collected(dir.join("app"))).entries()
    ) direct.push(entry);
    assert.deepEqual(all, direct);
  },
);

judged(
  "one file out of many has its attributes and holes, by ranges",
  ["setfattr", "setfacl", "setcap"],
  async () => {
    using dir = scratch();
    plant(dir.path);
    const archive = await tar().run(await collected(dir.join("app")), testContext());
    const bytes = await readAll(archive.body.read(), 64 * MIB);
    const reader = { size: bytes.length, at: (a: number, b: number) => Promise.resolve(bytes.slice(a, b)) };
    const body = { read: archive.body.read, open: () => Promise.resolve(reader) };
    const wanted = ["app/x", "app/acl", "app/hole"];
    const whole = byPath(await readEntries(await collected(dir.join("app"))));
    const defaults = testContext().want;
    for (const path of wanted) {
      const back = await tar().undo({ ...archive, body }, testContext({ want: { ...defaults, path } }));
      for await (const entry of back.entries((one) => one === path)) {
        const { content, body: _, sha256: __, ...expected } = whole.get(path)!;
        const { body: got, sha256: ___, ...found } = entry;
        assert.deepEqual(found, expected);
        if (typeof got === "function") {
          assert.deepEqual(
            await readAll(got(), 8 * MIB),
            new Uint8Array(content),
          );
        }
      }
    }
    // What lies where the index says is another's: its headers are held against the line, which is proven.
    const at = Buffer.from(bytes.buffer).indexOf("xattr.user.a=");
    assert.ok(at > 0);
    bytes[at + 13]! ^= 1;
    const hostile = await tar().undo(
      { ...archive, body },
      testContext({ want: { ...defaults, path: "app/x" } }),
    );
    await assert.rejects(async () => {
      for await (const _ of hostile.entries((one) => one === "app/x"));
    }, /not what it should be/);
  },
);
