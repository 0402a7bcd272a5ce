/** chio:backup, chio:restore, chio:drill and chio:anchor as they are run. */
import { strict as assert } from "node:assert";
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import * as encrypt from "../../src/encrypt/mod.ts";
import { parseConfig } from "../../src/config.ts";
import { jobFromConfig } from "../../src/plan.ts";
import { chioHead, readAnchors } from "../../src/recipes/chio.ts";
import { directory } from "../../src/store/mod.ts";
import { lines, type Ran, run, type User } from "../cli/support.ts";
import { judged, scratch } from "../support.ts";
import { kernel, tamper } from "./support.ts";
import { makeWorld, readRevocations, type World, writeRevocations, writeStore } from "./world.ts";

const by = kernel();

/** A configuration over a world, with the plans in an order that is not the safe one. */
async function configured(folder: string, { paths }: World): Promise<User> {
  const { identity, recipient } = await encrypt.generateIdentity();
  writeFileSync(`${folder}/key.txt`, `${identity}\n`);
  const plan = (name: string, collect: string): string =>
    `[plan.${name}]
collect = { chio = ${collect} }
encrypt = { age = { recipients = ["${recipient}"], identityFile = "key.txt" } }
upload = { to = "./store" }
`;
  writeFileSync(
    `${folder}/backup.toml`,
    plan("revoked", `{ revocations = "${paths.revocations}" }`) +
      plan("keys", `{ authority = { database = "${paths.authority}", seeds = ["${paths.seed}"] } }`) +
      plan("peers", `{ federation = ["${paths.peers}"] }`) +
      plan("rules", `{ policies = ["${paths.policy}"] }`) +
      plan("money", `{ state = { "budgets.db" = "${paths.budgets}" } }`) +
      plan("log", `{ receipts = "${paths.receipts}", trustedKeys = ["${by.hex}"] }`) +
      `[plan.other]\ncollect = { files = ["${paths.policy}"] }\nencrypt = "plaintext"\nupload = { to = "./store" }\n`,
  );
  return { home: `${folder}/home`, cwd: folder };
}

function well(ran: Ran, code = 0): Ran {
  assert.equal(ran.code, code, ran.err);
  return ran;
}

Deno.test("chio:backup, chio:drill and chio:restore: from a configuration to a list", async () => {
  using dir = scratch();
  const world = await makeWorld(dir.path, by);
  const { paths } = world;
  const user = await configured(dir.path, world);
  const made = lines(well(await run(user, "chio_backup", ["--json"])).out);
  assert.deepEqual(made.map(({ plan }) => plan), ["log", "rules", "peers", "keys", "money", "revoked"]);
  assert.equal(new Set(made.map(({ id }) => id.replace(/^[^_]+/, ""))).size, 1, "one time for all");
  const drilled = lines(
    well(await run(user, "chio_drill", ["--note", "by hand", "--json", "--only", "receipts"])).out,
  );
  assert.deepEqual(drilled.map(({ plan }) => plan), ["log"]);
  const event = readdirSync(dir.join("store")).find((name) => name.endsWith(".drill.json"))!;
  assert.match(
    readFileSync(dir.join("store", event), "utf8"),
    /"note":"by hand".*"appended":\{"checkpoint":"6","entry":"58"\}/,
  );

  writeRevocations(dir.join("newer"), [["cap-7", 700]]);
  writeFileSync(
    dir.join("today.json"),
    JSON.stringify({ "peer-1": "1".repeat(64), "peer-2": "9".repeat(64) }),
  );
  const into = [
    "--into",
    dir.join("out"),
    "--merge-revocations",
    dir.join("newer"),
    "--peer-keys",
    dir.join("today.json"),
  ];
  const { out, err } = well(await run(user, "chio_restore", into), 3);
  const list = JSON.parse(out);
  assert.deepEqual(Object.keys(list), [
    ...[
      "schema",
      "restored",
      "chain",
      "revocations",
      "peers",
      "identity",
      "externalKeys",
      "trustedIssuers",
      "todo",
    ],
  ]);
  assert.deepEqual(list.peers.map(({ state }: { state: string }) => state), ["handshake", "differs"]);
  assert.deepEqual([list.chain.head.seq, list.chain.fork, list.revocations.merged], ["5", false, {
    added: 1,
    raised: 0,
  }]);
  assert.match(err, /key of the peer "peer-2" is not the one of today/);
  assert.deepEqual(Object.keys(readRevocations(dir.join("out/revocations/revocations.sqlite3"))), [
    "cap-1",
    "cap-2",
    "cap-7",
  ]);
  assert.ok(existsSync(dir.join("out/authority/seeds/edge.seed")));

  well(await run(user, "chio_restore", ["--in-place", "--quiet"]), 1);
  const open = new DatabaseSync(paths.budgets);
  open.prepare("SELECT count(*) FROM capability_grant_budgets").get();
  const busy = well(await run(user, "chio_restore", ["--in-place", "--conflict", "overwrite"]), 6);
  open.close();
  assert.match(busy.err, /budgets\.sqlite3": it is open in process \d+\. Stop Chio/);
  const before = statSync(paths.policy).ino;
  well(await run(user, "chio_restore", ["--in-place", "--conflict", "overwrite", "--quiet"]));
  assert.notEqual(statSync(paths.policy).ino, before);
});

judged(
  "chio:anchor: heads that no later store may contradict, for a store and for a program",
  ["openssl"],
  async () => {
    using dir = scratch();
    const world = await makeWorld(dir.path, by);
    const { receipts } = world.paths;
    const user = await configured(dir.path, world);
    well(await run(user, "chio_backup", ["--only", "receipts"]));
    writeStore(receipts, by, { receipts: 80 });
    const anchor = ["--to", "./anchors", "--json"];
    const [said] = lines(well(await run(user, "chio_anchor", anchor)).out);
    assert.deepEqual([said.seq, said.sha256], ["8", chioHead(receipts).sha256]);
    well(await run(user, "chio_anchor", [receipts, ...anchor]), 0);
    assert.equal((await readAnchors(directory(dir.join("anchors")))).length, 1, "the same head once");

    const program = [
      "/bin/sh",
      "-c",
      "cat; echo; openssl pkeyutl -verify -pubin -inkey $2 -rawin -in $0 -sigfile $1",
      "{body}",
      "{signature}",
      "{key}",
    ];
    const ran = well(
      await run(user, "chio_anchor", [receipts, "--quiet", ...program.flatMap((arg) => ["--run", arg])]),
    );
    assert.match(ran.out, /^\{"body":\{"batch_end_seq":80.*\nSignature Verified Successfully/s);
    const failed = well(await run(user, "chio_anchor", [receipts, "--run", "false"]), 1);
    assert.match(failed.err, /Cannot publish checkpoint 8 with "false": it ended with exit code 1/);

    // The backup is from before the anchor: going on from it would issue checkpoint 6 again.
    const restored = well(
      await run(user, "chio_restore", ["--only", "receipts", "--into", "r", "--anchors", "./anchors"]),
      3,
    );
    const { chain, todo } = JSON.parse(restored.out);
    assert.deepEqual([chain.fork, chain.known.seq], [true, "8"]);
    assert.match(todo[0], /^Do not serve yet/);
    // It did go on, and made another checkpoint 8.
    writeStore(receipts, kernel(), { receipts: 90 });
    const forked = well(await run(user, "chio_anchor", [receipts, ...anchor]), 5);
    assert.match(
      forked.err,
      /another checkpoint 8 than the anchor "chio\.checkpoint_0+8_[0-9a-f]{16}\.json" knows/,
    );
    writeStore(receipts, by, { receipts: 60 });
    assert.match(
      well(await run(user, "chio_anchor", [receipts, ...anchor]), 5).err,
      /ends before checkpoint 8.*rolled back/,
    );
    const key = readdirSync(dir.join("anchors")).find((name) => name.startsWith("chio."))!;
    writeFileSync(
      dir.join("anchors", key),
      readFileSync(dir.join("anchors", key), "utf8").replace('"tree_size":10', '"tree_size":11'),
    );
    const altered = await run(user, "chio_restore", [
      "--only",
      "receipts",
      "--into",
      "r2",
      "--anchors",
      "./anchors",
    ]);
    assert.match(well(altered, 5).err, /Cannot trust the anchor .* its signature is not its kernel's/);
    assert.ok(!existsSync(dir.join("r2")));
  },
);

Deno.test("chio: what is wrong exits with its code and says what to do", async () => {
  using dir = scratch();
  const world = await makeWorld(dir.path, by);
  const user = await configured(dir.path, world);
  tamper(world.paths.receipts, (db) => db.exec("DELETE FROM claim_receipt_log_entries WHERE entry_seq = 21"));
  const { err, out } = well(
    await run(user, "chio_backup", ["--json", "--only", "receipts", "--only", "policies"]),
    5,
  );
  assert.match(err, /log: .*entry 21: it is missing.*Nothing was stored/s);
  assert.deepEqual(lines(out).map(({ plan, exitCode }) => [plan, exitCode]), [["log", 5], ["rules", 0]]);
  rmSync(world.paths.receipts);
  assert.match(
    well(await run(user, "chio_backup", ["--only", "receipts"]), 1).err,
    /receipts\.sqlite3": it does not exist/,
  );
  writeFileSync(world.paths.receipts, "not a database, but long enough to be looked at as one".repeat(40));
  assert.match(well(await run(user, "chio_backup", ["--only", "receipts"]), 5).err, /not a SQLite database/);
  assert.match(
    well(await run(user, "chio_restore", []), 2).err,
    /say where to, either with --into DIR or with --in-place/,
  );
  assert.match(
    well(await run(user, "chio_restore", ["--into", "x", "--at", "noon"]), 2).err,
    /Cannot use --at "noon"/,
  );
  assert.match(
    well(await run(user, "chio_backup", ["--plan", "other"]), 2).err,
    /Cannot find a plan of Chio's/,
  );
  assert.match(well(await run(user, "chio_anchor", []), 2).err, /say where, with --to STORE/);
});

Deno.test("collect = { chio = ... }: mistakes are named with file, line and key, a seed in the clear among them", () => {
  const plan = (collect: string, rest = 'encrypt = "plaintext"'): string =>
    `[plan.x]\ncollect = { chio = ${collect} }\n${rest}\nupload = { to = "./s" }\n`;
  const made = (text: string) => (): unknown => jobFromConfig(parseConfig(text, "/etc/c.toml"), "x");
  const seed = made(plan('{ authority = { seeds = ["seed"] } }'));
  assert.throws(
    seed,
    /"\/etc\/c\.toml": line 3, plan\.x\.encrypt: Cannot store an authority's seed in the clear/,
  );
  assert.throws(
    made(plan('{ receipts = "a", revocations = "b" }')),
    /holds receipts and revocations: each surface is a plan of its own/,
  );
  assert.throws(made(plan('{ receits = "a" }')), /names no surface\. Did you mean "receipts"/);
  assert.throws(
    made(plan('{ receipts = "a", keys = [{ id = "k", publicKey = "zz" }] }')),
    /Cannot record the key "k"/,
  );
  assert.throws(
    made(plan('{ receipts = "a", accept = ["all"] }')),
    /must be "rollback", "identity" or "fork"/,
  );
  assert.throws(made(plan("{ authority = {} }")), /name its database, or a seed file/);
  made(plan('{ revocations = "b", accept = ["rollback"], timeoutMs = 100 }'))();
});
