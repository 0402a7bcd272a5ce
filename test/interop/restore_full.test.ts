/** Archives of GNU tar and bsdtar with all that full metadata is, restored by us and compared by stock tools. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { readTar } from "../../src/archive/read.ts";
import { extract } from "../../src/collect/extract.ts";
import { everything } from "../../src/context.ts";
import type { Bytes, Files } from "../../src/stage.ts";
import { judged, scratch, type Seen, testContext } from "../support.ts";

const TOOLS = ["tar", "bsdtar", "getfattr", "setfattr", "getfacl", "setfacl", "getcap", "setcap"];
const ROOT = Deno.uid() === 0;

function run(line: string, cwd: string): string {
  return execFileSync("/bin/bash", ["-c", `set -e -o pipefail; ${line}`], { encoding: "utf8", cwd });
}

/** A tree with everything, below `s`. */
function plant(cwd: string): void {
  fs.mkdirSync(`${cwd}/s`);
  run(
    `mkdir d ro; echo hi > f; setfattr -n user.k -v val f; setfattr -n user.bin -v 0x000aff00 f; setfattr -n user.a=b%c -v x f
    setfattr -n user.empty f; setfattr -n user.d -v dv d; setfacl -m u:daemon:rw,g:4242:r f; setfacl -d -m u:daemon:rwx d
    setfacl -m g:daemon:x d; echo b > d/in; echo ro > ro/x; setfattr -n user.ro -v 1 ro/x; chmod 0444 ro/x; ln -s f l; ln f h; echo raw > $'caf\\xe9'
    ${
      ROOT
        ? "cp /bin/true cap; chown daemon cap; setcap cap_net_raw+ep cap; setfattr -n trusted.t -v 1 f; setfattr -h -n trusted.l -v 2 l"
        : ""
    }
    touch -d '1960-02-03 04:05:06.123456789' ro/x; touch -hd '1999-01-01 00:00:00.987654321' l
    touch -d '2001-02-03 04:05:06.000000789' f; touch -d '2011-01-01 00:00:00.000000001' d .`,
    `${cwd}/s`,
  );
}

/** What stock tools say of a tree. `times`: nanoseconds too. */
function look(cwd: string, times = true): string {
  return run(
    `getfattr -R -h -d -e hex -m - . 2>/dev/null | awk -v RS= '{gsub("\\n"," ");print}' | sort
    getfacl -R -p -E . | awk -v RS= '{gsub("\\n"," ");print}' | sort; getcap -r . | sort
    find . -mindepth 1 | LC_ALL=C sort | xargs stat -c '%n %a %u %h ${times ? "%.9Y" : ""}'`,
    cwd,
  );
}

async function back(tar: string, into: string): Promise<Seen> {
  const seen: Seen = { warnings: [], infos: [] };
  const files: Files = {
    kind: "files",
    entries: () => readTar(Deno.openSync(tar).readable as Bytes, everything.limits),
    facts: () => ({ sources: [], stages: [] }),
  };
  await extract(files, testContext({ want: { into }, seen }));
  return seen;
}

judged("what GNU tar stores with --xattrs and --acls, extract() writes as it was", TOOLS, async () => {
  using tmp = scratch();
  plant(tmp.path);
  const wanted = look(tmp.join("s"));
  assert.match(wanted, /user\.a\\075b%c=0x78/);
  assert.match(wanted, /default:user:daemon:rwx/);
  const how = {
    both: "--xattrs --xattrs-include='*' --acls --format=posix",
    // The kernel's own form of the ACLs, without the text.
    attributes: "--xattrs --xattrs-include='*' --format=posix",
    numbers: "--xattrs --xattrs-include='*' --acls --numeric-owner",
  };
  for (const [name, options] of Object.entries(how)) {
    run(`tar ${options} -C s -cf ${name}.tar . 2>/dev/null`, tmp.path);
    const { warnings } = await back(tmp.join(`${name}.tar`), tmp.join(name));
    assert.deepEqual(warnings, []);
    assert.equal(look(tmp.join(name)), wanted, name);
  }
});

judged("what bsdtar stores, extract() writes as it was", TOOLS, async () => {
  using tmp = scratch();
  plant(tmp.path);
  // Its names are as in URLs, and of times it stores fractions only where it needs a PAX header anyway.
  run("bsdtar --xattrs --acls -C s -cf b.tar .", tmp.path);
  const { warnings } = await back(tmp.join("b.tar"), tmp.join("o"));
  assert.deepEqual(warnings, []);
  assert.equal(look(tmp.join("o"), false), look(tmp.join("s"), false));
  assert.equal(run("stat -c %.9Y o/f o/d", tmp.path), "981173106.000000789\n1293840000.000000001\n");
});

judged(
  "without --allow-ffi the same archive is restored, and one warning says what is missing",
  TOOLS,
  () => {
    using tmp = scratch();
    plant(tmp.path);
    run("tar --xattrs --acls --format=posix -C s -cf b.tar . 2>/dev/null", tmp.path);
    const task = new URL("../../tasks/restore.ts", import.meta.url).pathname;
    const { code, stderr } = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--deny-ffi", "--no-prompt", "--no-check", task, "./b.tar", "--into", "o"],
      cwd: tmp.path,
      env: { XDG_STATE_HOME: tmp.path, XDG_CONFIG_HOME: tmp.path },
    }).outputSync();
    const text = new TextDecoder().decode(stderr);
    assert.equal(code, 3, text);
    assert.match(
      text,
      /Left out the extended attributes and ACLs of \d things, such as "[^"]+" \(the permission --allow-ffi is not/,
    );
    assert.match(
      text,
      /Left out 1 thing whose name, or what it points to, is not UTF-8, such as "caf\\xE9" \(the permission/,
    );
    assert.equal(text.match(/Left out/g)?.length, 2);
    assert.equal(
      run("ls o | wc -l", tmp.path),
      run("ls s | wc -l", tmp.path).replace(/\d+/, (all) => String(Number(all) - 1)),
    );
    assert.equal(fs.readFileSync(tmp.join("o/f"), "utf8"), "hi\n");
    assert.equal(run("stat -c %.3Y o/ro/x; readlink o/l", tmp.path), "-312753293.877\nf\n");
  },
);

judged(
  "attributes that this host, user or file system has no place for are counted, and the rest is restored",
  TOOLS,
  async () => {
    using tmp = scratch();
    const tar = tmp.join("o.tar");
    fs.mkdirSync(tmp.join("s"));
    run("echo 1 > s/a; echo 2 > s/b; setfattr -n user.k -v v s/a; setfacl -m u:4242:r s/b", tmp.path);
    run("tar --xattrs --acls --sort=name --format=posix -C s -cf o.tar .", tmp.path);
    // The same archive with a name of the system's own, and with a user that is not here.
    const bytes = fs.readFileSync(tar, "latin1");
    fs.writeFileSync(
      tar,
      bytes.replace("xattr.user.k=v", "xattr.wild.k=v").replace("user:4242:", "user:nob1:"),
      "latin1",
    );
    const { warnings } = await back(tar, tmp.join("o"));
    assert.deepEqual(warnings.map(({ kind }) => kind), ["xattr", "acl"]);
    assert.match(
      warnings[0]!.message,
      /^Left out 1 extended attribute of the system's own, such as "wild.k" of "a"\./,
    );
    assert.match(
      warnings[1]!.message,
      /^Could not set the ACLs of 1 thing, such as "b": this host does not know the user "nob1"/,
    );
    assert.equal(run("cat o/a o/b", tmp.path), "1\n2\n");
  },
);

judged("holes that tar stores as holes are holes again", ["tar", "bsdtar"], async () => {
  using tmp = scratch();
  fs.mkdirSync(tmp.join("s"));
  run(
    `truncate -s 9M holes; truncate -s 5000000 tail; head -c 70000 /dev/urandom | dd of=tail conv=notrunc status=none
    truncate -s 12M many; for i in 0 3 4 11; do head -c 150001 /dev/urandom |
      dd of=many bs=1M seek=$i conv=notrunc status=none; done
    truncate -s 300K small; printf x | dd of=small bs=1 seek=299999 conv=notrunc status=none`,
    tmp.join("s"),
  );
  const sums = (cwd: string): string => run("stat -c '%n %s' *; sha256sum *", cwd);
  const blocks = (cwd: string): number => Number(run("stat -c %b * | awk '{s+=$1} END {print s}'", cwd));
  const forms = {
    one: "tar --format=posix -S -C s -cf one.tar .",
    old: "tar --format=gnu -S -C s -cf old.tar .",
    bsd: "bsdtar --read-sparse --format=pax -C s -cf bsd.tar .",
  };
  for (const [name, line] of Object.entries(forms)) {
    run(line, tmp.path);
    assert.deepEqual((await back(tmp.join(`${name}.tar`), tmp.join(name))).warnings, []);
    assert.equal(sums(tmp.join(name)), sums(tmp.join("s")), name);
    assert.ok(blocks(tmp.join(name)) <= blocks(tmp.join("s")) + 64, `${name}: ${blocks(tmp.join(name))}`);
  }
});

judged("what is restored below a folder with a default ACL inherits nothing of it", TOOLS, async () => {
  using tmp = scratch();
  plant(tmp.path);
  run(
    "tar --xattrs --xattrs-include='*' --acls --format=posix -C s -cf b.tar . 2>/dev/null; mkdir p; setfacl -d -m u:4242:rwx,o::- p",
    tmp.path,
  );
  await back(tmp.join("b.tar"), tmp.join("p/o"));
  assert.equal(look(tmp.join("p/o")), look(tmp.join("s")));
});

judged(
  "an ordinary user gets all but what only root can set, of files that may not be written too",
  TOOLS,
  () => {
    if (!ROOT) return; // all of these tests run so then
    using tmp = scratch();
    plant(tmp.path);
    run(
      "tar --xattrs --xattrs-include='*' --acls --format=posix -C s -cf b.tar . 2>/dev/null; mkdir -m 777 p; chmod 755 .",
      tmp.path,
    );
    const child = new URL("./restore_as_user.ts", import.meta.url).pathname;
    const { stdout, stderr } = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-prompt", "--no-check", child, tmp.join("b.tar"), tmp.join("p/o")],
    }).outputSync();
    const text = new TextDecoder().decode(stdout);
    assert.match(
      text,
      /^\[\{"kind":"xattr","message":"Left out 3 extended attributes that only root can set/,
      new TextDecoder().decode(stderr),
    );
    const attributes =
      `getfattr -R -h -d -e hex -m '^user' . | awk -v RS= '{gsub("\\n"," ");print}' | sort; getfacl -R -c -p .`;
    assert.equal(run(attributes, tmp.join("p/o")), run(attributes, tmp.join("s")));
    assert.equal(run("stat -c '%a %u' ro/x", tmp.join("p/o")), "444 65534\n");
  },
);
