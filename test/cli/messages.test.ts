/** What an operator reads when something is wrong: what it is, and what to do. Each through the command line. */
import { strict as assert } from "node:assert";
import { judged, scratch, sh } from "../support.ts";
import { bareEnv, ROOT, run, type User } from "./support.ts";

type Dir = ReturnType<typeof scratch>;

/** A user who stands beside two folders called "data" with a letter each. */
function newUser(dir: Dir): User {
  for (const name of ["home", "work", "work/a", "work/a/data", "work/b", "work/b/data"]) {
    Deno.mkdirSync(dir.join(name));
  }
  for (const name of ["a", "b"]) {
    Deno.writeTextFileSync(dir.join("work", name, "data", "letter"), `Dear ${name}\n`);
  }
  return { home: dir.join("home"), cwd: dir.join("work") };
}

/** Runs a command that must end with `code` and say `text`, without a stack. */
async function says(user: User, line: readonly string[], code: number, text: RegExp): Promise<string> {
  const [task, ...args] = line;
  const ran = await run(user, task!, args);
  const err = ran.err.trimEnd();
  assert.equal(ran.code, code, `${line.join(" ")}: ${err}`);
  assert.match(err, text);
  assert.ok(!/\n\s+at /.test(err), "a stack is no message");
  return err;
}

Deno.test("restore says what stands in the way of its target", async () => {
  using dir = scratch();
  const user = newUser(dir);
  assert.equal((await run(user, "backup", ["a/data"])).code, 0);
  Deno.symlinkSync("nowhere", dir.join("work", "dangling"));
  await says(
    user,
    ["restore", "--into", "dangling"],
    1,
    /"\S+\/dangling": it is a symbolic link to something that does not exist\. Nothing was changed\. Remove the link/,
  );
  await says(
    user,
    ["restore", "--into", "x", "--only", ""],
    2,
    /--only "": it names nothing\. Leave --only out/,
  );
  const none = Array.from({ length: 300 }, (_, i) => ["--only", `none${i}`]).flat();
  const err = await says(
    user,
    ["restore", "--into", "x", ...none],
    1,
    /"none3", "none4" and 295 more\. Nothing was/,
  );
  assert.ok(!err.includes("none5"));
  const some = await run(user, "restore", ["--into", "x", "--only", "data", ...none]);
  assert.equal(some.code, 3, some.err);
  assert.match(some.err, /Nothing in the backup matches "none0".* and 295 more/);
});

Deno.test({
  name: "restore says which folder an ordinary user may not look into, or write in",
  ignore: Deno.build.os !== "linux" || Deno.uid() !== 0,
  fn: () => {
    using dir = scratch();
    const user = newUser(dir);
    sh("tar -C a -cf a.tar data && mkdir -p full/sub shut && echo x > full/x && chmod 700 shut", {
      cwd: user.cwd,
    });
    sh(`chmod 755 . && chown -R 65534:65534 home work && chown -R 0:0 work/shut && chmod 555 work/full`, {
      cwd: dir.path,
    });
    // The bundle spares the user the right to read the project's folder and the package cache.
    const made = `-o '${dir.join("restore.js")}' tasks/restore.ts && cp '${Deno.execPath()}' '${
      dir.join("deno")
    }'`;
    sh(`'${Deno.execPath()}' bundle -q --no-check --platform deno --external ssh2 ${made}`, { cwd: ROOT });
    const restore = (into: string): string =>
      new TextDecoder().decode(sh(
        `export HOME='${dir.join("home")}' DENO_DIR='${dir.join("home", "cache")}'; ` +
          "setpriv --reuid=65534 --regid=65534 --clear-groups ../deno run -A --no-prompt --cached-only --no-remote " +
          `../restore.js a.tar --into ${into} 2>&1 || echo "exit code $?"`,
        { cwd: user.cwd },
      ));
    const before = Deno.statSync(dir.join("work", "full")).mtime;
    assert.match(
      restore("shut/x"),
      /"\S+\/shut\/x": this user may not look into a folder above it \(EACCES\).*\nexit code 1/,
    );
    const full = restore("full");
    assert.match(
      full,
      /into "\S+\/full": this user may not write in it \(EACCES\)\. Nothing was changed\. Choose.*\nexit code 1/,
    );
    assert.deepEqual([...Deno.readDirSync(dir.join("work", "full"))].map(({ name }) => name).sort(), [
      "sub",
      "x",
    ]);
    assert.deepEqual(Deno.statSync(dir.join("work", "full")).mtime, before);
    assert.match(restore("fresh"), /\/fresh\n/);
  },
});

judged("restore FILE says what is wrong with a hostile archive, and what to do", ["tar"], async () => {
  using dir = scratch();
  const user = newUser(dir);
  const tar = (line: string): void => void sh(line, { cwd: user.cwd });
  tar("cd a && tar -P -cf ../up.tar --transform 's,^,../,' data/letter");
  await says(
    user,
    ["restore", "up.tar", "--into", "x"],
    5,
    /up\.tar: .*leave the target\. The archive is damaged or hostile.*Take another/,
  );
  tar("cd a && tar -cf ../twice.tar data/letter && tar -rf ../twice.tar data/letter");
  const twice = await says(
    user,
    ["restore", "twice.tar", "--into", "x"],
    5,
    /holds this name twice\. .*--only restores what/,
  );
  assert.ok(!twice.includes("only by case"), twice);
  tar("ln -s /tmp l && tar -cf link.tar l && rm l && mkdir l && touch l/f && tar -rf link.tar l/f");
  await says(
    user,
    ["restore", "link.tar", "--into", "x"],
    5,
    /"l" above it is a symbolic link.*--only restores what/,
  );
  // What is advised works.
  assert.equal((await run(user, "restore", ["link.tar", "--into", "x", "--only", "l", "--dry-run"])).code, 0);
  assert.throws(() => Deno.lstatSync(dir.join("work", "x")), Deno.errors.NotFound);
});

judged("limits are named by the option that raises them", ["tar", "gzip"], async () => {
  using dir = scratch();
  const user = newUser(dir);
  sh("head -c 80000000 /dev/zero > zeros && tar -cf - zeros | gzip > zeros.tgz && tar -cf two.tar a/data", {
    cwd: user.cwd,
  });
  for (
    const [name, value, file] of [
      ["ratio", "100", "zeros.tgz"],
      ["bytes", "1000", "zeros.tgz"],
      ["path-bytes", "5", "two.tar"],
      ["entries", "1", "two.tar"],
    ]
  ) {
    const option = `--limit-${name}`;
    await says(
      user,
      ["restore", file!, "--into", "x", option, value!],
      5,
      new RegExp(`Raise ${option}(?: |$)`),
    );
  }
});

judged(
  "restore FILE names what is packed by something else, cut, or not there",
  ["tar", "gzip", "zstd"],
  async () => {
    using dir = scratch();
    const user = newUser(dir);
    sh(
      "tar -cf - a | gzip > a.tgz && tar -cf - a | zstd -q > a.tzst && head -c 90 a.tgz > cut.tgz && head -c 90 a.tzst > cut.tzst",
      { cwd: user.cwd },
    );
    sh("(cat a.tgz; echo more) > more.tgz && (cat a.tzst; echo more) > more.tzst", { cwd: user.cwd });
    for (const file of ["cut.tgz", "cut.tzst", "more.tgz", "more.tzst"]) {
      await says(user, ["restore", file, "--into", "x"], 5, /(?:cut|trailing bytes).*Take another copy$/);
    }
    for (
      const [tool, magic] of [
        ["xz -d", "\xfd7zXZ\0"],
        ["bzip2 -d", "BZh9"],
        ["unzip", "PK\x03\x04"],
      ]
    ) {
      Deno.writeFileSync(
        dir.join("work", "f"),
        Uint8Array.from(magic!.padEnd(40), (char) => char.charCodeAt(0)),
      );
      await says(
        user,
        ["restore", "f", "--into", "x"],
        5,
        new RegExp(`data, which is not read here\\. Unpack it first with "${tool}"$`),
      );
    }
    await says(
      user,
      ["restore", "./nofile.tar", "--into", "x"],
      1,
      /restore "\S+\/work\/nofile\.tar": there is no such file\. Check the path; of a backup in a store give the file name alone/,
    );
    await says(
      user,
      ["restore", "./a", "--into", "x"],
      2,
      /"\S+\/work\/a": it is a folder\. .*--from \.\/a names its store/,
    );
    await says(
      user,
      ["verify", "./a.tgz"],
      2,
      /it is a file, and verify reads stores\. restore \.\/a\.tgz --into DIR --dry-run reads it/,
    );
    await says(user, ["drill", "./none.tgz"], 1, /drill "\S+\/none\.tgz": it does not exist/);
    await says(user, ["cat", "./a", "x"], 2, /it is a folder/);
  },
);

judged(
  "a key that does not fit, or is not there, is named with what to pass",
  ["age", "age-keygen", "tar"],
  async () => {
    using dir = scratch();
    const user = newUser(dir);
    sh("age-keygen -o wrong 2>&1 && age-keygen -o right 2>&1 && tar -cf - a | age -e -i right -o a.tar.age", {
      cwd: user.cwd,
    });
    const line = ["restore", "a.tar.age", "--into", "x"];
    await says(
      user,
      [...line, "--identity", "wrong"],
      4,
      /a\.tar\.age: .*the identity does not fit\. .*Pass --identity FILE, the one that fits$/,
    );
    await says(
      user,
      line,
      4,
      /There is no key at \S+\/home\/\.config\/holdfast\/identity\.txt\. .*Pass --identity FILE/,
    );
    await says(
      user,
      [...line, "--identity", "gone"],
      4,
      /identity in "\S+\/gone": it does not exist\. .*Pass --identity FILE/,
    );
    const homeless = { ...user, env: { HOME: "" } };
    await says(
      homeless,
      line,
      4,
      /There is no key, and no folder to look for one: HOME is not set\. .*Pass --identity FILE/,
    );
    assert.equal((await run(user, "restore", [...line.slice(1), "--identity", "right"])).code, 0);

    assert.equal((await run(user, "backup", ["a/data"])).code, 0);
    const recipient = Deno.readTextFileSync(dir.join("home", ".config", "holdfast", "recipient.txt")).trim();
    const stranger = { ...user, home: dir.join("work") };
    const err = await says(
      stranger,
      ["restore", "--into", "y"],
      4,
      /There is no key at .*the one that belongs to age1/,
    );
    assert.ok(err.includes(recipient), err);
  },
);

Deno.test("backup of two paths says its name, and refuses two of the same name with what works", async () => {
  using dir = scratch();
  const user = newUser(dir);
  const err = await says(
    user,
    ["backup", "a/data", "b/data"],
    2,
    /Cannot store "\S+\/a\/data" and "\S+\/b\/data" both as "data".*with a --name each, or write a backup\.toml/,
  );
  // What it says to write works.
  const collect = /collect = .*\}/.exec(err)![0];
  Deno.writeTextFileSync(
    dir.join("work", "two.toml"),
    `[plan.two]\n${collect}\nencrypt = "plaintext"\nupload = { to = "s" }\n`,
  );
  assert.equal((await run(user, "backup", ["--config", "two.toml"])).code, 0);
  await says(user, ["backup", "a", "a/"], 2, /Cannot back up "\S+\/work\/a" twice in one run\. Name it once/);
  const named = await run(user, "backup", ["a/data", "b"]);
  assert.equal(named.code, 0, named.err);
  assert.match(named.err, /Storing 2 paths as "data", the first path's name; --name gives another/);
  assert.match(named.out, /^data_/);
  for (const args of [["a/data", "b", "--name", "n"], ["a"], ["a", "b", "--quiet"]]) {
    assert.ok(
      !(await run(user, "backup", [...args, "--dry-run"])).err.includes("first path's name"),
      args.join(" "),
    );
  }
});

Deno.test("prune with two stores says which is which, and how many it removed", async () => {
  using dir = scratch();
  const user = newUser(dir);
  for (const store of ["s", "t"]) Deno.mkdirSync(dir.join("work", store));
  for (let i = 0; i < 2; i++) {
    if (i > 0) await new Promise((resolve) => setTimeout(resolve, 1000));
    assert.equal((await run(user, "backup", ["a", "--to", "s", "--to", "t"])).code, 0);
  }
  const args = ["--from", "s", "--from", "t", "--keep-last", "1", "--confirm"];
  const { code, out, err } = await run(user, "prune", args);
  assert.equal(code, 0, err);
  for (const store of ["s", "t"]) {
    assert.match(out, new RegExp(`^removed  \\S+  [\\d.]+ KiB  \\S+/work/${store}  `, "m"));
  }
  assert.match(err, /Removed 2 of 4, [\d.]+ KiB\n/);
});

judged(
  "a database's password that cannot be read is a mistake of the configuration",
  ["redis-cli"],
  async () => {
    using dir = scratch();
    const user = newUser(dir);
    const write = (password: string): void => {
      if (password !== "") Deno.writeTextFileSync(dir.join("work/password"), password);
      Deno.writeTextFileSync(
        dir.join("work/backup.toml"),
        '[plan.app]\ncollect = { redis = { port = 1, passwordFile = "password" } }\nencrypt = "plaintext"\nupload = { to = "b" }\n',
      );
    };
    write("");
    await says(
      user,
      ["backup"],
      2,
      /read the password in "\S+\/password": it does not exist\. Check passwordFile/,
    );
    write("\n");
    await says(user, ["backup"], 2, /Cannot use the password in "\S+\/password": its first line is empty/);
  },
);

judged(
  "a full disk under the log is no failure, under the results it is one that says so",
  ["sh"],
  async () => {
    using dir = scratch();
    const user = { home: dir.join("home"), cwd: dir.path };
    Deno.writeTextFileSync(dir.join("a"), "a");
    const line = `'${Deno.execPath()}' run -A --no-prompt '${ROOT}/tasks/backup.ts' a --to store`;
    const shell = async (command: string): Promise<Deno.CommandOutput> =>
      await new Deno.Command("sh", {
        args: ["-c", command],
        cwd: dir.path,
        clearEnv: true,
        env: bareEnv(user),
      })
        .output();
    const unlogged = await shell(`${line} 2> /dev/full`);
    assert.equal(unlogged.code, 0);
    assert.match(new TextDecoder().decode(unlogged.stdout), /^a_\S+\.tar\.zst\.age\n/);
    const untold = await shell(`${line} > /dev/full`);
    assert.equal(untold.code, 1);
    assert.match(
      new TextDecoder().decode(untold.stderr),
      /Error: Cannot write the result to standard output: No space left on device.*stays done/,
    );
    const wrong = await shell(`${line} --bogus 2> /dev/full`);
    assert.equal(wrong.code, 2);
  },
);

judged("a key that cannot be written whole is not written, and the next run makes one", ["sh"], async () => {
  using dir = scratch();
  const user = { home: dir.join("home"), cwd: dir.path };
  // No file may grow: what a full disk does to one that has just been created.
  const line = `trap '' XFSZ; ulimit -f 0; '${Deno.execPath()}' run -A --no-prompt '${ROOT}/tasks/keygen.ts'`;
  const failed = await new Deno.Command("sh", { args: ["-c", line], clearEnv: true, env: bareEnv(user) })
    .output();
  assert.equal(failed.code, 1);
  assert.match(
    new TextDecoder().decode(failed.stderr),
    /Cannot write the identity "\S+identity\.txt": File too large.*Nothing was left there.*--out FILE/,
  );
  assert.deepEqual([...Deno.readDirSync(dir.join("home", ".config", "holdfast"))], []);
  assert.equal((await run(user, "keygen", [])).code, 0);
});

Deno.test("a backup that lacks its index, its receipt or its archive says what to do, with exit code 5", async () => {
  using dir = scratch();
  const user = newUser(dir);
  const id = (await run(user, "backup", ["a/data", "--to", "store"])).out.trim();
  const path = (suffix: string): string => dir.join("work", "store", id + suffix);
  const from = ["--from", "store"];
  const index = Deno.readFileSync(path(".index"));
  Deno.removeSync(path(".index"));
  const asked = ["restore", ...from, "--into"];
  const how = `--only '[*][*]'\` reads it without its index$`;
  await says(
    user,
    [...asked, "out"],
    5,
    new RegExp(`the object is gone\\. The archive may be whole.*${how}`),
  );
  assert.equal((await run(user, "restore", [id, ...from, "--into", "out", "--only", "**"])).code, 3);
  assert.equal(Deno.readTextFileSync(dir.join("work", "out", "data", "letter")), "Dear a\n");
  Deno.writeFileSync(path(".index"), index);

  const receipt = Deno.readTextFileSync(path(".receipt.json"));
  Deno.writeTextFileSync(path(".receipt.json"), receipt.replace("{", "["));
  await says(
    user,
    ["verify", ...from],
    5,
    /not JSON.*copy it back from another store, or take another backup$/m,
  );
  Deno.removeSync(path(".receipt.json"));
  await says(
    user,
    ["verify", ...from],
    5,
    /that is whole: what is there lacks its archive or its receipt\. Put/,
  );
  Deno.writeTextFileSync(path(".receipt.json"), receipt);
  Deno.removeSync(path(""));
  await says(
    user,
    [...asked, "again"],
    5,
    /that is whole: what is there lacks its archive or its receipt\. Put/,
  );
});
