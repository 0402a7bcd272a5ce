/** Configurations that are wrong, and what is said about each; and what a right one comes to. */
import { strict as assert } from "node:assert";
import { parseConfig } from "../../src/config.ts";
import { keyPositions } from "../../src/config/positions.ts";
import { ConfigError } from "../../src/errors.ts";
import { jobFromConfig } from "../../src/plan.ts";
import { generateIdentity } from "../../src/encrypt/mod.ts";
import { scratch } from "../support.ts";

const FILE = "/etc/holdfast/backup.toml";
const { identity, recipient } = await generateIdentity();

/** A good plan, to be spoilt: `change` replaces whole lines by their key. */
function good(change: Readonly<Record<string, string>> = {}): string {
  const lines: Record<string, string> = {
    header: "[plan.app]",
    collect: 'collect = { files = ["/srv/app"] }',
    encrypt: `encrypt = { age = { recipients = ["${recipient}"] } }`,
    upload: 'upload = { to = "./backups" }',
    ...change,
  };
  return Object.values(lines).join("\n");
}

/** Everything wrong with a text, from reading it to making its plans. */
function complaint(text: string, file = FILE): string {
  try {
    const config = parseConfig(text, file);
    for (const name of config.plans.keys()) jobFromConfig(config, name);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.message;
  }
  return "nothing is wrong";
}

const RECIPES: readonly (readonly [name: string, text: string, message: string])[] = [
  [
    "an unknown key",
    good({ compress: 'compres = "zstd"' }),
    'line 5, plan.app.compres: unknown key. Did you mean "compress"?',
  ],
  [
    "an unknown key like none",
    good({ x: "colour = 1" }),
    "line 5, plan.app.colour: unknown key. Known here: name, collect, stopped, archive, compress, encrypt, sign, require, upload, prune, hooks, health, targets, notify, drill",
  ],
  [
    "an unknown key at the top",
    good({ x: "[plans.app]" }),
    'line 5, plans: unknown key. Did you mean "plan"?',
  ],
  [
    "an unknown key in a tool",
    good({ compress: "compress = { zstd = { lvl = 3 } }" }),
    'line 5, plan.app.compress.zstd.lvl: unknown key. Did you mean "level"?',
  ],
  [
    "an unknown option of files",
    good({ collect: 'collect = { files = ["a"], exlude = ["b"] }' }),
    'line 2, plan.app.collect.exlude: unknown key. Did you mean "exclude"?',
  ],
  ["a wrong type", good({ name: "name = 3" }), "line 5, plan.app.name: must be a string, not a number"],
  [
    "a list that holds a number",
    good({ collect: 'collect = { files = ["a", 7] }' }),
    "line 2, plan.app.collect.files[1]: must be a string, not a number",
  ],
  [
    "a number that is a string",
    good({ compress: 'compress = { zstd = { level = "3" } }' }),
    "line 5, plan.app.compress.zstd.level: must be a number, not a string",
  ],
  [
    "a flag that is a string",
    good({ collect: 'collect = { files = ["a"], strict = "yes" }' }),
    "line 2, plan.app.collect.strict: must be true or false, not a string",
  ],
  [
    "a plan that is no table",
    "plan = 3",
    "line 1, plan: must be a table of plans, [plan.NAME], not a number",
  ],
  ["plans that are no tables", "[plan]\napp = 3", "line 2, plan.app: must be a table, not a number"],
  ["no plan", "", "line 1, (top): holds no plan. Add a table such as [plan.app]"],
  ["an empty set of plans", "[plan]\n", "line 1, (top): holds no plan. Add a table such as [plan.app]"],
  [
    "a missing source",
    good({ collect: "" }),
    'line 1, plan.app.collect: is missing: say what to back up, such as collect = { files = ["/srv/app"] }',
  ],
  [
    "a missing store",
    good({ upload: "" }),
    'line 1, plan.app.upload: is missing: say where the backups go, such as upload = { to = "./backups" }',
  ],
  [
    "missing encryption",
    good({ encrypt: "" }),
    'line 1, plan.app.encrypt: is missing: write encrypt = { age = { recipients = ["age1..."] } }, or encrypt = "plaintext" to store in the clear',
  ],
  [
    "two sources",
    good({ collect: 'collect = { files = ["a"], command = ["b"], path = "c" }' }),
    "line 2, plan.app.collect: holds both files and command: choose one, or put each into a group = { ... }",
  ],
  [
    "no source",
    good({ collect: "collect = { file = 1 }" }),
    'line 2, plan.app.collect: names no source. Did you mean "files"?',
  ],
  [
    "a command without a path",
    good({ collect: 'collect = { command = ["pg_dump"] }' }),
    'line 2, plan.app.collect.path: is missing: name the file the output is stored as, such as path = "app.sql"',
  ],
  [
    "a command line in one string",
    good({ collect: 'collect = { command = "pg_dump app", path = "a.sql" }' }),
    'line 2, plan.app.collect.command: must be a list: the program and its arguments, such as ["pg_dump", "app"], not a string',
  ],
  [
    "a group in a group",
    good({ collect: "collect = { group = { a = { group = {} } } }" }),
    "line 2, plan.app.collect.group.a: a group cannot hold a group: put its members beside the others",
  ],
  [
    "a duplicate key",
    good({ x: "upload = 3" }),
    "line 5, column 1, plan.app.upload: is defined twice. Remove one",
  ],
  [
    "a duplicate key before a table in the same line",
    good({ x: 'upload = { to = "./b" }' }),
    "line 5, column 1, plan.app.upload: is defined twice. Remove one",
  ],
  [
    "a duplicate table",
    good({ x: "[plan.app]" }),
    "line 5, column 2, plan.app: is defined twice. Remove one",
  ],
  [
    "broken TOML",
    good({ collect: "collect = {" }),
    "line 4, column 1, plan.app.collect.upload: not TOML: expected comma or end of structure",
  ],
  [
    "a tool that is none",
    good({ compress: 'compress = "zst"' }),
    'line 5, plan.app.compress: "zst" is no compress tool. Did you mean "zstd"?',
  ],
  [
    "a tool that is a number",
    good({ compress: "compress = 3" }),
    'line 5, plan.app.compress: must be a tool such as "zstd", not a number',
  ],
  [
    "two tools",
    good({ compress: "compress = { zstd = {}, gzip = {} }" }),
    "line 5, plan.app.compress: names 2 tools (zstd, gzip): choose one",
  ],
  [
    "age without options",
    good({ encrypt: 'encrypt = "age"' }),
    'line 3, plan.app.encrypt: "age" needs options: write { age = { ... } }',
  ],
  ["no recipient at all", good({ encrypt: "encrypt = { age = {} }" }), "line 3, plan.app.encrypt: "],
  [
    "a bad recipient",
    good({ encrypt: 'encrypt = { age = { recipients = ["age1xyz"] } }' }),
    "line 3, plan.app.encrypt: Cannot encrypt with age: recipient 1",
  ],
  [
    "a recipient beside a passphrase",
    good({ encrypt: `encrypt = { age = { recipients = ["${recipient}"], passphraseFile = "p" } }` }),
    "line 3, plan.app.encrypt: ",
  ],
  [
    "two passphrases",
    good({ encrypt: 'encrypt = { age = { passphraseFile = "p", passphraseCommand = ["pass"] } }' }),
    "line 3, plan.app.encrypt: holds both passphraseFile and passphraseCommand: choose one",
  ],
  [
    "a recipients file that is not there",
    good({ encrypt: 'encrypt = { age = { recipientsFile = "nope.txt" } }' }),
    'line 3, plan.app.encrypt: Cannot read the recipients in "/etc/holdfast/nope.txt": it does not exist',
  ],
  [
    "a level beyond zstd's",
    good({ compress: "compress = { zstd = { level = 99 } }" }),
    "line 5, plan.app.compress: ",
  ],
  [
    "a signature tool that is none",
    good({ sign: 'sign = ["md5"]' }),
    'line 5, plan.app.sign[0]: "md5" is no sign tool. Known here: sha256, minisign, openpgp',
  ],
  [
    "an unknown time zone",
    good({ prune: 'prune = { keepDaily = 3, timezone = "Europe/Berlinn" }' }),
    'line 5, plan.app.prune: Cannot use the time zone "Europe/Berlinn": it is not known here. Give an IANA name such as "Europe/Berlin"',
  ],
  [
    "an empty policy",
    good({ prune: "prune = {}" }),
    "line 5, plan.app.prune: An empty policy would keep nothing: set at least one rule, such as keepDaily: 14",
  ],
  [
    "a rule that is misspelt",
    good({ prune: "prune = { keepDayly = 3 }" }),
    'line 5, plan.app.prune.keepDayly: unknown key. Did you mean "keepDaily"?',
  ],
  [
    "a fraction of a backup",
    good({ prune: "prune = { keepLast = 1.5 }" }),
    "line 5, plan.app.prune: Cannot use keepLast 1.5: give a whole number from 0, or -1 for all",
  ],
  [
    "a name outside the grammar",
    good({ name: 'name = "../x"' }),
    'line 5, plan.app.name: Cannot use "../x" as a backup name: use letters, digits, ".", "-" and "_", starting with a letter or digit, at most 100',
  ],
  [
    "a plan's name outside the grammar",
    good({ header: '[plan."a b"]' }),
    'line 1, plan."a b": Cannot use "a b" as a backup name: use letters, digits, ".", "-" and "_", starting with a letter or digit, at most 100',
  ],
  [
    "a home that is not expanded",
    good({ upload: 'upload = { to = "~/backups" }' }),
    'line 4, plan.app.upload.to: "~" is not expanded here: write the whole path',
  ],
  [
    "a store nobody knows",
    good({ upload: 'upload = { to = ["./a", "ftp://x/y"] }' }),
    "line 4, plan.app.upload.to[1]: ",
  ],
  [
    "a store in memory",
    good({ upload: 'upload = { to = ["./a", "memory:"] }' }),
    'line 4, plan.app.upload.to[1]: Cannot store in "memory:": it is gone when the command ends. Name a folder such as "./backups", or a URL',
  ],
  [
    "two plans in one series",
    good({ upload: 'upload = { to = ["./x", "./a/"] }' }) +
    `\n[plan.b]\nname = "app"\ncollect = { files = "." }\nencrypt = "plaintext"\nupload = { to = "./a" }`,
    'line 9, plan.b.upload.to: plan "b" stores as "app" where plan "app" does, so that retention and restores would mix the two. ' +
    'Give one of them another name = "..." or another store',
  ],
  [
    "one store twice",
    good({ upload: 'upload = { to = ["./a", "./a"] }' }),
    "line 4, plan.app.upload: Cannot upload: the store /etc/holdfast/a is given twice",
  ],
  [
    "a hook that is a string",
    good({ x: '[plan.app.hooks]\nafter = "echo done"' }),
    'line 6, plan.app.hooks.after: must be a list: the program and its arguments, such as ["pg_dump", "app"], not a string',
  ],
  [
    "a hook without a program",
    good({ x: "[plan.app.hooks]\nafter = []" }),
    "line 6, plan.app.hooks.after: must name a program",
  ],
  [
    "an unknown hook",
    good({ x: '[plan.app.hooks]\nbefor = ["x"]' }),
    'line 6, plan.app.hooks.befor: unknown key. Did you mean "before"?',
  ],
  [
    "an empty path",
    good({ collect: 'collect = { files = [""] }' }),
    "line 2, plan.app.collect.files[0]: must not be empty",
  ],
  [
    "a prototype",
    good({ x: "__proto__ = 1" }),
    "line 5, column 1, plan.app.__proto__: not TOML: document contains an unsafe property",
  ],
];

for (const [name, text, message] of RECIPES) {
  Deno.test(`parseConfig() says what is wrong with ${name}`, () => {
    const said = complaint(text);
    const expected = `Cannot use "${FILE}": ${message}`;
    // Where the words are another module's, only their place is checked.
    if (message.endsWith(": ") || message.endsWith("recipient 1")) assert.ok(said.startsWith(expected), said);
    else assert.equal(said, expected);
  });
}

Deno.test("parseConfig() names every mistake in the order of the file", () => {
  const said = complaint("[plan.b]\ncollect = 3\nupload = 4\nencrypt = 5\n[plan.a]\nfoo = 1\n");
  const lines = [...said.matchAll(/line (\d+), (plan\.\S+):/g)].map((match) => `${match[1]} ${match[2]}`);
  assert.deepEqual(lines, [
    "2 plan.b.collect",
    "3 plan.b.upload",
    "4 plan.b.encrypt",
    "5 plan.a.collect",
    "5 plan.a.encrypt",
    "5 plan.a.upload",
    "6 plan.a.foo",
  ]);
  assert.match(said, /^Cannot use "\/etc\/holdfast\/backup.toml": 7 mistakes\n/);
});

const SECRETS: readonly (readonly [name: string, text: string, message: RegExp])[] = [
  [
    "an identity",
    `encrypt = { age = { identity = "${identity}" } }`,
    /line 3, plan.app.encrypt.age.identity: holds a secret key.*identityFile$/,
  ],
  [
    "an identity where a recipient belongs",
    `encrypt = { age = { recipients = ["${identity}"] } }`,
    /plan.app.encrypt.age.recipients\[0\]: holds a secret key/,
  ],
  ["an identity as a tool", `encrypt = "${identity}"`, /plan.app.encrypt: holds a secret key/],
  [
    "an identity as a path",
    `encrypt = { age = { identityFile = "${identity}" } }`,
    /plan.app.encrypt.age.identityFile: holds a secret key/,
  ],
  [
    "a passphrase",
    'encrypt = { age = { passphrase = "hunter2 hunter2" } }',
    /plan.app.encrypt.age.passphrase: a secret must not stand in a configuration.*passphraseFile = "FILE" instead of passphrase$/,
  ],
  ["an identity as a key", `"${identity}" = 1`, /unknown key/],
  ["an identity on a line of its own", identity, /line 3, column \d+.*not TOML/],
  ["an identity on a broken line", `encrypt = { age = { identity = "${identity}" }`, /not TOML/],
];

for (const [name, line, message] of SECRETS) {
  Deno.test(`parseConfig() refuses ${name} and never shows it`, () => {
    const said = complaint(good({ encrypt: line }));
    assert.match(said, message);
    assert.ok(
      !said.includes(identity.slice(0, 30)) && !said.includes("hunter2"),
      "the secret is in the message",
    );
  });
}

Deno.test("parseConfig() resolves paths against the file's folder and fills in defaults", () => {
  const config = parseConfig(
    `[plan.app]
collect = { group = { db = { command = ["dump"], path = "db.sql", restore = ["load"], cwd = "work" }, files = { files = "data" } } }
encrypt = { age = { recipients = ["${recipient}"], identityFile = "../keys/app.key" } }
upload = { to = ["./a", "/mnt/b", "s3://bucket/x"] }
[plan.app.drill]
assert = ["test", "-s", "db/db.sql"]
`,
    FILE,
  );
  const plan = config.plans.get("app")!;
  assert.deepEqual(plan.upload.to, ["/etc/holdfast/a", "/mnt/b", "s3://bucket/x"]);
  assert.deepEqual(plan.encrypt.options["identityFile"], ["/etc/keys/app.key"]);
  assert.deepEqual([plan.archive.tool, plan.compress.tool, plan.sign], ["tar", "zstd", [{
    tool: "sha256",
    options: {},
  }]]);
  assert.equal(plan.collect.tool, "group");
  const { db, files } = (plan.collect as Extract<typeof plan.collect, { tool: "group" }>).members;
  assert.equal(db?.tool === "command" && db.options.cwd, "/etc/holdfast/work");
  assert.deepEqual(files?.tool === "files" && files.roots, ["/etc/holdfast/data"]);
  const job = jobFromConfig(config, "app");
  assert.deepEqual(job.drill.assert, ["test", "-s", "db/db.sql"]);
  assert.deepEqual(job.plan.stages.map(({ name }) => name), [
    "group",
    "tar",
    "zstd",
    "age",
    "sha256",
    "upload",
  ]);
});

Deno.test("jobFromConfig() knows every way to write a plan", () => {
  using dir = scratch();
  Deno.writeTextFileSync(dir.join("keys.txt"), `# ours\n\n${recipient}\n`);
  const text = `[plan.plain]
name = "other"
collect = { files = { conf = "/etc", app = "./app" }, exclude = ["cache/**"], ignoreFiles = [".backupignore"], oneFileSystem = true }
archive = { tar = { deterministic = true } }
compress = "none"
encrypt = "plaintext"
sign = []
upload = { to = "./b" }
prune = { keepDaily = 14, keepWithin = "7d", pins = ["x"], timezone = "Europe/Berlin" }
[plan.file]
collect = { files = "." }
compress = { gzip = { level = 9 } }
encrypt = { age = { recipientsFile = "keys.txt" } }
upload = { to = "./b" }
[plan.word]
collect = { files = "." }
encrypt = { age = { passphraseCommand = ["pass", "backup"] } }
upload = { to = "./b" }
`;
  const config = parseConfig(text, dir.join("backup.toml"));
  const names = (plan: string) => jobFromConfig(config, plan).plan.stages.map(({ name }) => name).join(" ");
  assert.equal(names("plain"), "files tar plaintext upload prune");
  assert.equal(names("file"), "files tar gzip age sha256 upload");
  assert.equal(names("word"), "files tar zstd age sha256 upload");
  assert.equal(jobFromConfig(config, "plain").plan.shelf?.name, "other");
});

Deno.test("keyPositions() finds keys behind everything TOML allows", () => {
  const text = `# a = 1
a = "x # y" # b = 2
"q.r" = 'z'
long = """
no = 1
"""
deep.er = { in = { line = [1, { two = 2 }] } }
list = [
  "a", # c = 3
  "b",
]
[ t . "u v" ]
k = 1979-05-27T07:32:00Z
[[many]]
x = 1
[[many]]
x = 2`;
  const found = keyPositions(text).map(({ path, line }) => `${line} ${JSON.stringify(path)}`);
  assert.deepEqual(found, [
    '2 ["a"]',
    '3 ["q.r"]',
    '4 ["long"]',
    '7 ["deep","er"]',
    '7 ["deep","er","in"]',
    '7 ["deep","er","in","line"]',
    '7 ["deep","er","in","line",0]',
    '7 ["deep","er","in","line",1]',
    '7 ["deep","er","in","line",1,"two"]',
    '8 ["list"]',
    '9 ["list",0]',
    '10 ["list",1]',
    '12 ["t","u v"]',
    '13 ["t","u v","k"]',
    '14 ["many",0]',
    '15 ["many",0,"x"]',
    '16 ["many",1]',
    '17 ["many",1,"x"]',
  ]);
});

Deno.test("keyPositions() ends on any text", () => {
  const pieces = ["[", "]", "{", "}", '"', "'", "=", ".", ",", "#", "\n", "a", '"""', "\\", " "];
  let seed = 7;
  for (let round = 0; round < 2000; round++) {
    let text = "";
    for (let i = 0; i < 12; i++) {
      seed = (seed * 1103515245 + 12345) & 0x7fffffff;
      text += pieces[seed % pieces.length];
    }
    keyPositions(text);
  }
});

Deno.test("config: sqlite names databases by a list or a table, and checks its words", () => {
  const sealed = 'encrypt = "plaintext"\nupload = { to = "./b" }\n';
  const plan = (collect: string): string => `[plan.app]\ncollect = ${collect}\n${sealed}`;
  const { collect } = parseConfig(
    plan('{ sqlite = { "x.db" = "a.db" }, check = "quick" }'),
    "/etc/h/backup.toml",
  )
    .plans.get("app")!;
  assert.deepEqual(collect, {
    tool: "sqlite",
    databases: { "x.db": "/etc/h/a.db" },
    options: { check: "quick" },
  });
  assert.throws(
    () => parseConfig(plan('{ sqlite = "a.db", check = "deep" }'), "/etc/h/backup.toml"),
    /check.*"full", "quick" or "off"/,
  );
});
