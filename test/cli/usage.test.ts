/** Wrong command lines, each with its words and its exit code; and the help that prevents them. */
import { strict as assert } from "node:assert";
import { parseSync } from "@optique/core/parser";
import type { Command } from "../../src/cli.ts";
import { backupCommand } from "../../src/cli/backup.ts";
import { catCommand } from "../../src/cli/cat.ts";
import { completionCommand } from "../../src/cli/completion.ts";
import { configCommand } from "../../src/cli/config.ts";
import { copyCommand } from "../../src/cli/copy.ts";
import { drillCommand } from "../../src/cli/drill.ts";
import { keysCommand } from "../../src/cli/keys.ts";
import { rotateCommand } from "../../src/cli/rotate.ts";
import { healthCommand } from "../../src/cli/health.ts";
import { keygenCommand } from "../../src/cli/keygen.ts";
import { listCommand } from "../../src/cli/list.ts";
import { proveCommand } from "../../src/cli/prove.ts";
import { pruneCommand } from "../../src/cli/prune.ts";
import { reportCommand } from "../../src/cli/report.ts";
import { restoreCommand } from "../../src/cli/restore.ts";
import { sqliteFollowCommand } from "../../src/cli/sqlite_follow.ts";
import { syncCommand } from "../../src/cli/sync.ts";
import { verifyCommand } from "../../src/cli/verify.ts";
import { scratch } from "../support.ts";
import { run } from "./support.ts";

const COMMANDS: readonly Command[] = [
  backupCommand,
  listCommand,
  verifyCommand,
  restoreCommand,
  pruneCommand,
  copyCommand,
  syncCommand,
  drillCommand,
  healthCommand,
  keysCommand,
  rotateCommand,
  reportCommand,
  catCommand,
  proveCommand,
  keygenCommand,
  configCommand,
  completionCommand,
  sqliteFollowCommand,
];

const TABLE: readonly (readonly [task: string, args: readonly string[], code: number, err: RegExp])[] = [
  [
    "backup",
    ["--to", "x"],
    2,
    /--to is for the backup of a PATH, and none is named\. Pass one, or leave out --to/,
  ],
  [
    "backup",
    [],
    2,
    /nothing is named\. Pass a PATH, or --config FILE, or put a backup\.toml into this folder/,
  ],
  [
    "backup",
    ["--exlude", "x", "y"],
    2,
    /Unexpected option or argument: "--exlude"\.\n\nDid you mean `--exclude`\?\nRun "deno task backup --help"/,
  ],
  ["backup", ["--to"], 2, /--to` requires/],
  ["backup", ["nowhere"], 1, /"\S+nowhere"?.*does not exist/],
  ["backup", ["x", "--config", "y.toml"], 2, /Cannot use a PATH together with --config/],
  ["backup", ["--config", "y.toml", "--to", "z"], 2, /Cannot use --to together with --config/],
  [
    "backup",
    ["--config", "nope.toml"],
    2,
    /Cannot read the configuration "\S+nope\.toml": it does not exist/,
  ],
  ["backup", ["--config", "file.yaml"], 2, /is neither a \.toml nor a \.ts file/],
  ["backup", ["--plan", "x"], 2, /holds no backup\.toml\. Pass --config FILE/],
  ["backup", ["x", "--recipient", "age1x", "--passphrase"], 2, /Cannot encrypt in two ways/],
  ["backup", ["tree", "--recipient", "age1x"], 2, /Cannot encrypt with age: recipient 1/],
  ["backup", ["tree", "--to", "ftp://x"], 2, /ftp/],
  ["backup", ["tree", "--name", "a/b"], 2, /Cannot use "a\/b" as a backup name/],
  ["backup", ["tree", "tree"], 2, /tree/],
  [
    "backup",
    ["tree", "--passphrase"],
    2,
    /Cannot ask for the passphrase: this is no terminal\. Pass --passphrase-file FILE, or -/,
  ],
  [
    "backup",
    ["tree", "--passphrase-file", "nope"],
    4,
    /Cannot read the passphrase in "\S+nope": it does not exist/,
  ],
  [
    "backup",
    ["tree", "--passphrase-file", "-"],
    4,
    /Cannot use the passphrase on standard input: its first line is empty/,
  ],
  ["backup", ["tree", "--to", "no/such/folder"], 1, /no\/such/],
  ["sqlite_follow", ["x.db", "--every", "1"], 2, /--every = "1": write a span such as "90s", "30min"/],
  ["list", ["--from", "no/such"], 1, /store folder "\S+no\/such" does not exist/],
  ["list", ["--from", "s3://x/y"], 2, /s3/],
  ["restore", [], 2, /pass exactly one of --into DIR and --in-place/],
  ["restore", ["--into", "x", "--in-place"], 2, /pass exactly one of/],
  ["restore", ["--into", "x", "--conflict", "ask"], 2, /Expected one of "error", "skip",? and "overwrite"/],
  [
    "restore",
    ["--into", "x", "--name", "app"],
    1,
    /holds neither a backup\.toml nor a folder "backups"\. Pass --from STORE/,
  ],
  ["restore", ["--into", "x", "--limit-bytes", "many"], 2, /--limit-bytes/],
  ["verify", ["--level", "deep"], 2, /Expected one of "quick" and "full"/],
  ["prune", ["--confirm", "--dry-run"], 2, /choose one/],
  ["prune", ["--keep-last", "0"], 2, /greater than or equal to 1/],
  ["cat", ["latest"], 2, /too few arguments/],
  ["config", [], 2, /holds no backup\.toml/],
  ["completion", ["tcsh"], 2, /Expected one of/],
];

for (const [task, args, code, err] of TABLE) {
  Deno.test(`${task} ${args.join(" ")} exits with ${code}`, async () => {
    using dir = scratch();
    Deno.mkdirSync(dir.join("tree"));
    Deno.writeTextFileSync(dir.join("file.yaml"), "");
    const ran = await run({ home: dir.path, cwd: dir.path }, task, args, "");
    assert.equal(ran.code, code, ran.err);
    assert.match(ran.err, err);
    assert.equal(ran.out, "");
    assert.ok(!/\n\s+at /.test(ran.err), "a stack is no message");
    const made = [...Deno.readDirSync(dir.path)].map(({ name }) => name).filter((name) => !/^\./.test(name));
    assert.deepEqual(made.filter((name) => name !== "backups").sort(), ["file.yaml", "tree"]);
  });
}

for (const definition of COMMANDS) {
  Deno.test(`${definition.name} --help goes to standard output, with examples that parse`, async () => {
    using dir = scratch();
    const { code, out, err } = await run(
      { home: dir.path, cwd: dir.path },
      definition.name.replace(":", "_"),
      ["--help"],
    );
    assert.deepEqual([code, err], [0, ""]);
    assert.ok(out.startsWith(definition.brief.slice(0, 60)), out);
    assert.ok(definition.examples.length >= 2 && out.includes("Exit codes: 0 complete"));
    for (const example of definition.examples) {
      assert.ok(out.includes(example));
      const line = /deno task (?:--quiet )?(\S+) ?([^|>)]*)/.exec(example)!;
      assert.equal(line[1], definition.name);
      const words = [...line[2]!.trim().matchAll(/'([^']*)'|(\S+)/g)].map((match) => match[1] ?? match[2]!);
      const result = parseSync(definition.parser, words);
      assert.ok(result.success, `${example}: ${JSON.stringify(result)}`);
    }
  });
}

Deno.test("a leading -- is dropped, a later one is not", async () => {
  using dir = scratch();
  const user = { home: dir.path, cwd: dir.path };
  assert.equal((await run(user, "list", ["--", "--help"])).code, 0);
  const { code, err } = await run(user, "backup", ["--dry-run", "--", "--help"]);
  assert.equal(code, 1, err);
  assert.match(err, /--help"?.*does not exist/);
});

Deno.test("keygen never overwrites, and its file is closed to others", async () => {
  using dir = scratch();
  const user = { home: dir.path, cwd: dir.path };
  const made = await run(user, "keygen", ["--out", "deep/app.key"]);
  assert.equal(made.code, 0, made.err);
  assert.match(made.out, /^age1[a-z0-9]{58}\n$/);
  assert.equal(Deno.statSync(dir.join("deep", "app.key")).mode! & 0o777, 0o600);
  const text = Deno.readTextFileSync(dir.join("deep", "app.key"));
  assert.match(text, /^# created: \S+Z\n# public key: (age1\S+)\nAGE-SECRET-KEY-1\S+\n$/);
  assert.ok(text.includes(made.out.trim()));
  const again = await run(user, "keygen", ["--out", "deep/app.key"]);
  assert.deepEqual([again.code, again.out], [1, ""]);
  assert.match(again.err, /it exists/);
  assert.equal(Deno.readTextFileSync(dir.join("deep", "app.key")), text);
  const hybrid = await run(user, "keygen", ["--hybrid"]);
  assert.match(hybrid.out, /^age1pq1/);
  assert.match(
    Deno.readTextFileSync(dir.join(".config", "holdfast", "identity.txt")),
    /^AGE-SECRET-KEY-PQ-1/m,
  );
});
