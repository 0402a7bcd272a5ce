/** Attributes, ACLs, capabilities, nanoseconds, holes and byte names in our archives, read by GNU tar, bsdtar and Python. */
import { strict as assert } from "node:assert";
import { mkdirSync, writeFileSync } from "node:fs";
import { sha256, utf8 } from "../../src/bytes.ts";
import { nameOf } from "../../src/raw_name.ts";
import type { Entry, U8 } from "../../src/stage.ts";
import { entry, pack, streamed } from "../archive/help.ts";
import { judged, noise, scratch, sh } from "../support.ts";

/** cap_net_raw=ep of capabilities(7), revision 2. */
const CAPABILITY: U8 = Uint8Array.fromHex("0100000200200000000000000000000000000000");
const ACL = "user::rw-,user:daemon:r--:1,user:4242:rw-:4242,group::r--,mask::rw-,other::---";
const DEFAULT = "user::rwx,user:4242:r-x:4242,group::r-x,mask::r-x,other::---";
const root = Deno.uid() === 0;
const MIB = 2 ** 20;
const XATTRS = new Map<string, U8>([
  ["user.plain", utf8("hello")],
  ["user.bytes", Uint8Array.of(0, 10, 61, 255)],
  ["user.none", new Uint8Array(0)],
]);

function tree(): Entry[] {
  const owner = { uid: Deno.uid() ?? 0, gid: Deno.gid() ?? 0, uname: "", gname: "" };
  return [
    entry("t", { kind: "directory", mode: 0o750, acl: { access: DEFAULT, default: DEFAULT } }),
    entry("t/acl", { mode: 0o660, acl: { access: ACL } }),
    ...root ? [entry("t/cap", { xattrs: new Map([["security.capability", CAPABILITY]]) })] : [],
    entry("t/ns", { mtimeMs: 1_700_000_000_123, mtimeNs: 456_789 }),
    entry("t/old", { mtimeMs: -86_400_002, mtimeNs: 1 }),
    entry("t/x", { xattrs: XATTRS }),
  ].map((one) => ({ ...one, ...owner }));
}

async function written(entries: readonly Entry[], dir: ReturnType<typeof scratch>): Promise<void> {
  writeFileSync(dir.join("our.tar"), (await pack(entries)).bytes);
}

function text(line: string, cwd: string): string {
  return new TextDecoder().decode(sh(line, { cwd }));
}

/** What stock tools say of an extracted tree. */
function checkTree(cwd: string): void {
  const shown = text("getfattr -e hex -d -m '^user' t/x | grep user | sort", cwd);
  assert.equal(
    shown,
    "user.bytes=0x000a3dff\nuser.none\nuser.plain=0x68656c6c6f\n".replace(
      "none\n",
      text("getfattr -e hex -n user.none t/x | grep -o 'none.*'", cwd),
    ),
  );
  assert.equal(
    text("getfacl -c -n -E t/acl", cwd).trim(),
    "user::rw-\nuser:1:r--\nuser:4242:rw-\ngroup::r--\nmask::rw-\nother::---",
  );
  assert.match(text("getfacl -c -n -E t", cwd), /^user:4242:r-x\n(?:.*\n)*default:user:4242:r-x\n/m);
  assert.equal(text("stat -c %.9Y t/ns", cwd), "1700000000.123456789\n");
  if (root) assert.match(text("getcap t/cap", cwd), /cap_net_raw[=+]ep/);
}

judged(
  "GNU tar restores what --xattrs and --acls promise",
  ["tar", "getfattr", "getfacl", "getcap"],
  async () => {
    using dir = scratch();
    await written(tree(), dir);
    const warned = text(
      "tar --xattrs --xattrs-include='*' --acls -xpf our.tar 2>&1 | grep -v implausibly || true",
      dir.path,
    );
    assert.equal(warned, "");
    checkTree(dir.path);
    // bsdtar takes the fraction of a time before 1970 for one after its second.
    assert.equal(text("stat -c %.9Y t/old", dir.path), "-86400.001999999\n");
  },
);

judged("bsdtar restores the same", ["bsdtar", "getfattr", "getfacl", "getcap"], async () => {
  using dir = scratch();
  await written(tree(), dir);
  assert.equal(text("bsdtar --xattrs --acls -xpf our.tar 2>&1", dir.path), "");
  checkTree(dir.path);
});

judged("names that are not UTF-8 come out as their bytes", ["tar", "bsdtar", "python3"], async () => {
  using dir = scratch();
  const latin = (hex: string): string => nameOf(Uint8Array.fromHex(hex));
  const deep = "d/" + "x".repeat(120) + latin("e9");
  await written([
    entry("d", { kind: "directory" }),
    entry("d/ü"),
    entry(deep),
    entry("d/" + latin("636166e9")),
    entry("d/l", { kind: "symlink", target: latin("636166e9") }),
    entry("d/h", { kind: "hardlink", target: "d/" + latin("636166e9") }),
  ], dir);
  const tools: Readonly<Record<string, string>> = {
    gnu: "tar -xf ../our.tar",
    // Its own words: in a UTF-8 locale the bytes are none, and it says that it goes on with them as they are.
    bsd: "LC_ALL=C.UTF-8 bsdtar -xf ../our.tar",
    python: `python3 -c "import tarfile; tarfile.open('../our.tar').extractall()"`,
  };
  for (const [name, line] of Object.entries(tools)) {
    mkdirSync(dir.join(name));
    const cwd = dir.join(name);
    sh(`${line} 2> ../${name}.err`, { cwd });
    const names = text("cd d; printf '%s\\n' * | LC_ALL=C sort | od -v -An -tx1 | tr -d ' \\n'", cwd);
    const expected = [
      [0x63, 0x61, 0x66, 0xe9],
      [0x68],
      [0x6c],
      [..."x".repeat(120)].map(() => 0x78).concat(0xe9),
      [0xc3, 0xbc],
    ];
    assert.equal(names, expected.map((bytes) => Uint8Array.from([...bytes, 10]).toHex()).join(""), name);
    assert.equal(text("readlink d/l | od -v -An -tx1 | tr -d ' \\n'", cwd), "636166e90a", name);
    assert.equal(text("stat -c %h d/h", cwd), "2\n", name);
  }
});

judged("holes stay holes, and the content is the same", ["tar", "bsdtar", "python3"], async () => {
  using dir = scratch();
  const size = 2 * MIB + 1000;
  const shapes: Readonly<Record<string, readonly number[]>> = {
    empty: [],
    start: [0, 4096],
    middle: [MIB - 4096, 8192, MIB + 65536, 4096],
    end: [2 * MIB, 1000],
    many: Array.from({ length: 50 }, (_, i) => [i * 40960, 4096]).flat(),
  };
  const digests = new Map<string, string>();
  const entries = Object.entries(shapes).map(([name, extents]) => {
    const content = new Uint8Array(size);
    for (let i = 0; i < extents.length; i += 2) {
      content.set(noise(extents[i + 1]!, 7 + i), extents[i]);
    }
    digests.set(name, sha256(content));
    return { ...streamed(name, content), extents };
  });
  const { bytes } = await pack(entries);
  assert.ok(bytes.length < MIB, `${bytes.length} bytes for holes`);
  writeFileSync(dir.join("our.tar"), bytes);
  const tools: Readonly<Record<string, string>> = {
    gnu: "tar -xf ../our.tar",
    bsd: "bsdtar -xf ../our.tar",
    python: `python3 -c "import tarfile; tarfile.open('../our.tar').extractall()"`,
  };
  for (const [name, line] of Object.entries(tools)) {
    mkdirSync(dir.join(name));
    const cwd = dir.join(name);
    assert.equal(text(`${line} 2>&1`, cwd), "", name);
    for (const [file, digest] of digests) {
      assert.equal(text(`sha256sum ${file} | cut -c1-64`, cwd).trim(), digest, `${name} ${file}`);
      assert.ok(Number(text(`stat -c %b ${file}`, cwd)) * 512 < MIB, `${name} has filled ${file}`);
    }
  }
});
