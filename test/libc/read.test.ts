/** What the C library tells, held against stock tools and the system. */
import { strict as assert } from "node:assert";
import { execFileSync } from "node:child_process";
import { chmodSync, linkSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { openReading, type Reading } from "../../src/libc/read.ts";
import { libraries } from "../../src/libc/open.ts";
import { aclText } from "../../src/libc/acl.ts";
import { judged, scratch, sh } from "../support.ts";

const known = libraries().length > 0;

function withReading(run: (libc: Reading, dir: ReturnType<typeof scratch>) => void): () => void {
  return () => {
    using dir = scratch();
    const libc = openReading()!;
    try {
      run(libc, dir);
    } finally {
      libc.close();
    }
  };
}

function stat(format: string, path: string): string {
  return execFileSync("stat", ["-c", format, path], { encoding: "utf8" }).trim();
}

Deno.test({
  name: "stat agrees with stat(1) on files, folders, links and times before 1970",
  ignore: !known,
  fn: withReading((libc, dir) => {
    writeFileSync(dir.join("file"), "hello");
    chmodSync(dir.join("file"), 0o4751);
    linkSync(dir.join("file"), dir.join("second"));
    mkdirSync(dir.join("folder"));
    symlinkSync("nowhere", dir.join("link"));
    sh("mkfifo pipe; touch -d @-1.000000001 file; touch -d '2100-02-03 04:05:06.123456789' folder", {
      cwd: dir.path,
    });
    const kinds = { file: "file", second: "file", folder: "directory", link: "symlink", pipe: "special" };
    for (const [name, kind] of Object.entries(kinds)) {
      const details = libc.stat(dir.join(name));
      assert.equal(details.kind, kind);
      const { mode, uid, gid, nlink, ino, size, allocated } = details;
      const shown = [mode.toString(16), uid, gid, nlink, ino, size, allocated / 512].join(" ");
      assert.equal(shown, stat("%f %u %g %h %i %s %b", dir.join(name)));
      const ns = BigInt(details.mtimeMs) * 1_000_000n + BigInt(details.mtimeNs);
      const [, seconds, fraction] = /^(-?\d+)\.(\d{9})$/.exec(stat("%.9Y", dir.join(name)))!;
      // stat(1) counts the fraction of a time before 1970 away from zero.
      const sign = seconds!.startsWith("-") ? -1n : 1n;
      assert.equal(ns, BigInt(seconds!) * 1_000_000_000n + sign * BigInt(fraction!));
    }
    assert.equal(libc.stat(dir.join("file")).id, libc.stat(dir.join("second")).id);
    assert.throws(() => libc.stat(dir.join("none")), { code: "ENOENT" });
  }),
});

judged(
  "attributes are those that getfattr shows",
  ["setfattr", "getfattr"],
  withReading((libc, dir) => {
    writeFileSync(dir.join("file"), "");
    assert.equal(libc.attributes(dir.join("file")), undefined);
    sh(
      "setfattr -n user.plain -v hello file; setfattr -n user.none file; setfattr -n user.bytes -v 0x00ff0a3d file",
      {
        cwd: dir.path,
      },
    );
    const found = libc.attributes(dir.join("file"))!;
    const shown = [...found].map(([name, value]) => `${name}=0x${value.toHex()}`).sort();
    const out = new TextDecoder().decode(sh("getfattr -e hex -d -m - file", { cwd: dir.path }));
    const lines = out.split("\n").filter((line) => line.includes(".")).map((line) => {
      return line.includes("=") ? line : `${line}=0x`;
    });
    assert.deepEqual(shown, lines.sort());
    symlinkSync("file", dir.join("link"));
    assert.equal(libc.attributes(dir.join("link")), undefined, "a link is not followed");
    assert.throws(() => libc.attributes(dir.join("none")), { code: "ENOENT" });
  }),
);

judged(
  "an ACL's text is what getfacl shows",
  ["setfacl", "getfacl"],
  withReading((libc, dir) => {
    mkdirSync(dir.join("d"));
    sh("setfacl -m u:4242:rw,u:1:r,g:4343:x,m::rwx d; setfacl -d -m u:4242:r d", { cwd: dir.path });
    const found = libc.attributes(dir.join("d"))!;
    const users = new Map([[1, "daemon"]]);
    const text = aclText(found.get("system.posix_acl_access")!, users, new Map([[4343, "od:d"]]))!;
    assert.match(text, /,user:daemon:r--:1,user:4242:rw-:4242,/);
    assert.match(text, /,group:4343:--x:4343,mask::rwx,other::r-x$/);
    const plain = text.split(",").map((entry) => entry.split(":").slice(0, 3).join(":"));
    const shown = new TextDecoder().decode(sh("getfacl -c -E d", { cwd: dir.path })).trim().split("\n");
    assert.deepEqual(plain, shown.filter((line) => !line.startsWith("default:")));
    const defaults = aclText(found.get("system.posix_acl_default")!, users, new Map())!;
    const expected = shown.filter((line) => line.startsWith("default:")).map((line) => line.slice(8));
    assert.deepEqual(defaults.split(",").map((entry) => entry.split(":").slice(0, 3).join(":")), expected);
    assert.equal(aclText(Uint8Array.of(3, 0, 0, 0), users, users), undefined);
    assert.equal(aclText(Uint8Array.of(2, 0, 0), users, users), undefined);
  }),
);

Deno.test({
  name: "names, links and files whose names are not UTF-8 are read by their bytes",
  ignore: !known,
  fn: withReading((libc, dir) => {
    sh(
      String.raw`mkdir $'d\xff'; echo hi > $'d\xff/caf\xe9'; ln -s $'caf\xe9' $'d\xff/l'; touch $'d\xff/ü'`,
      {
        cwd: dir.path,
      },
    );
    const folder = dir.join("d\u{10ffff}");
    assert.deepEqual(libc.names(folder).sort(), ["caf\u{10ffe9}", "l", "ü"]);
    assert.equal(libc.link(folder + "/l"), "caf\u{10ffe9}");
    const fd = libc.open(folder + "/caf\u{10ffe9}");
    const into = new Uint8Array(8);
    assert.equal(libc.read(fd, into, 1), 2);
    assert.equal(new TextDecoder().decode(into.subarray(0, 2)), "i\n");
    assert.equal(libc.stat(fd).size, 3);
    libc.shut(fd);
    assert.throws(() => libc.stat(fd), { code: "EBADF" });
    assert.throws(() => libc.open(folder + "/l"), { code: "ELOOP" });
    assert.throws(() => libc.names(dir.join("none")), { code: "ENOENT" });
  }),
});

Deno.test({
  name: "a folder of many names is listed whole",
  ignore: !known,
  fn: withReading((libc, dir) => {
    for (let i = 0; i < 1000; i++) writeFileSync(dir.join(`${i}${"x".repeat(i % 50)}`), "");
    assert.equal(new Set(libc.names(dir.path)).size, 1000);
  }),
});

Deno.test({
  name: "what is listed, read whole, or refused, is closed",
  ignore: !known,
  fn: withReading((libc, dir) => {
    writeFileSync(dir.join("file"), "content");
    mkdirSync(dir.join("folder"));
    const room = (size: number): Uint8Array<ArrayBuffer> => new Uint8Array(size);
    assert.equal(libc.list(dir.path).length, 2);
    assert.equal(libc.whole(dir.join("file"), 7, room)?.details.size, 7);
    assert.equal(libc.whole(dir.join("file"), 6, room), undefined);
    assert.equal(libc.whole(dir.join("folder"), 7, room), undefined);
    const open = Array.from(Deno.readDirSync("/proc/self/fd"), ({ name }) => {
      try {
        return Deno.readLinkSync(`/proc/self/fd/${name}`);
      } catch {
        return ""; // closed meanwhile, by another thread or this listing
      }
    });
    // The process has others, so only what lies in this test's folder is its own.
    assert.deepEqual(open.filter((path) => path.startsWith(dir.path)), []);
  }),
});

Deno.test({
  name: "extents are where the data lies",
  ignore: !known,
  fn: withReading((libc, dir) => {
    const extents = (line: string): readonly number[] | undefined => {
      sh(line, { cwd: dir.path });
      const fd = libc.open(dir.join("f"));
      try {
        return libc.extents(fd, libc.stat(fd).size);
      } finally {
        libc.shut(fd);
      }
    };
    const mib = 2 ** 20;
    assert.deepEqual(extents("truncate -s 4M f"), []);
    const middle = "truncate -s 4M f; printf x | dd of=f bs=1 seek=2097152 conv=notrunc status=none; sync f";
    assert.deepEqual(extents(middle), [2 * mib, 4096]);
    assert.deepEqual(extents("printf x | dd of=f bs=1 seek=4194303 conv=notrunc status=none"), [
      2 * mib,
      4096,
      4 * mib - 4096,
      4096,
    ]);
    assert.equal(extents("head -c 100000 /dev/urandom > f"), undefined, "no holes");
    assert.deepEqual(extents(": > f"), []);
  }),
});
