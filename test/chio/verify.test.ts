import { strict as assert } from "node:assert";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import type { DatabaseSync } from "node:sqlite";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { IntegrityError, NotFoundError } from "../../src/errors.ts";
import { type ChioReport, verifyChioStore } from "../../src/recipes/chio.ts";
import { canonical, type JsonObject, parseJson, parseObject } from "../../src/recipes/chio/json.ts";
import { leafHash, prove, proves, rootOf } from "../../src/recipes/chio/merkle.ts";
import { scratch } from "../support.ts";
import { kernel, makeStore, tamper, writeCheckpoint } from "./support.ts";

const SOAK = Deno.env.get("HOLDFAST_SOAK") !== undefined;
const by = kernel();

function said({ findings }: ChioReport): string[] {
  return findings.map(({ of, seq, fault }) => `${of} ${seq ?? ""}: ${fault}`);
}

for (const generation of ["first", "later"] as const) {
  Deno.test(`chio: a sound store of the ${generation} generation is sound`, async () => {
    using dir = scratch();
    makeStore(dir.join("r"), { generation, receipts: 57, batch: 10, by, childEvery: 4 });
    const report = await verifyChioStore(dir.join("r"), { trustedKeys: [by.hex] });
    assert.deepEqual(said(report), []);
    assert.deepEqual(report.warnings, []);
    const { receipts, checkpoints, tail, unchecked, keys, watermarks } = report;
    assert.deepEqual([receipts, checkpoints, tail, unchecked], [57, 5, 7, 0]);
    assert.deepEqual(keys, [by.hex]);
    assert.deepEqual([watermarks.entries, watermarks.tools, watermarks.children], [57n, 43n, 14n]);
    assert.equal(watermarks.head!.end, 50n);
  });
}

/** What somebody did, and what must be said. */
const TAMPERINGS: readonly (readonly [what: string, change: (db: DatabaseSync) => void, said: RegExp])[] = [
  ["a receipt altered in both tables", (db) => {
    for (const table of ["claim_receipt_log_entries", "chio_tool_receipts"]) {
      db.exec(
        `UPDATE ${table} SET raw_json = replace(raw_json, '"ch"', '"cH"') WHERE receipt_id IN (SELECT receipt_id FROM claim_receipt_log_entries WHERE entry_seq = 13)`,
      );
    }
  }, /^entry 13: its signature is not its key's$/m],
  ["a receipt altered in its own row alone", (db) => {
    db.exec(`UPDATE chio_tool_receipts SET raw_json = replace(raw_json, '"ch"', '"cH"') WHERE seq = 13`);
  }, /^entry 13: the log and the receipt's own row hold different receipts$/m],
  [
    "a column altered",
    (db) => db.exec("UPDATE chio_tool_receipts SET decision_kind = 'deny' WHERE seq = 21"),
    /^entry 21: its column decision_kind is not the receipt's verdict$/m,
  ],
  ["the log's id of a receipt altered", (db) => {
    db.exec("UPDATE claim_receipt_log_entries SET receipt_id = 'x' WHERE entry_seq = 22");
  }, /^entry 22: its column receipt_id is not the receipt's id$/m],
  ["a receipt dropped from the middle", (db) => drop(db, 17), /^entry 17: it is missing$/m],
  ["a receipt dropped from the end", (db) => drop(db, 57), /^entry 57: it is missing$/m],
  [
    "a receipt dropped from its own table alone",
    (db) => db.exec("DELETE FROM chio_tool_receipts WHERE seq = 17"),
    /^entry 17: its receipt's own row is missing$/m,
  ],
  [
    "a receipt dropped from the log alone",
    (db) => db.exec("DELETE FROM claim_receipt_log_entries WHERE entry_seq = 17"),
    /^store : tool receipt 17 stands in no entry of the log$/m,
  ],
  [
    "two receipts in each other's place",
    (db) =>
      db.exec(`
    UPDATE claim_receipt_log_entries SET entry_seq = -1 WHERE entry_seq = 4;
    UPDATE claim_receipt_log_entries SET entry_seq = 4 WHERE entry_seq = 5;
    UPDATE claim_receipt_log_entries SET entry_seq = 5 WHERE entry_seq = -1;`),
    /^checkpoint 1: its Merkle root is not that of its entries$/m,
  ],
  ["a checkpoint signed anew over other numbers", (db) => {
    const row = db.prepare("SELECT statement_json FROM kernel_checkpoints WHERE checkpoint_seq = 2").get()!;
    writeCheckpoint(db, { ...parseObject(String(row.statement_json)), issued_at: 1n }, by);
  }, /^checkpoint 3: the predecessor it names is another one$/m],
  ["a checkpoint altered without its key", (db) =>
    db.exec(
      "UPDATE kernel_checkpoints SET statement_json = replace(statement_json, '1710000002', '1710000009'), issued_at = 1710000009 WHERE checkpoint_seq = 2",
    ), /^checkpoint 2: its signature is bad$/m],
  ["a checkpoint with the root of another batch", (db) => {
    const [one, two] = [1, 2].map((seq) =>
      parseObject(
        String(
          db.prepare("SELECT statement_json AS s FROM kernel_checkpoints WHERE checkpoint_seq = ?").get(seq)!
            .s,
        ),
      )
    );
    writeCheckpoint(db, { ...two!, merkle_root: one!.merkle_root! }, by);
  }, /^checkpoint 2: its Merkle root is not that of its entries$/m],
  [
    "a checkpoint dropped from the middle",
    (db) => db.exec("DELETE FROM kernel_checkpoints WHERE checkpoint_seq = 3"),
    /^checkpoint 4: it follows checkpoint 2: some are missing$/m,
  ],
  [
    "a checkpoint's column altered",
    (db) => db.exec("UPDATE kernel_checkpoints SET issued_at = 7 WHERE checkpoint_seq = 5"),
    /^checkpoint 5: its column issued_at is not what was signed$/m,
  ],
  ["a lone surrogate", (db) => {
    for (const table of ["claim_receipt_log_entries", "chio_tool_receipts"]) {
      db.exec(
        `UPDATE ${table} SET raw_json = replace(raw_json, '"bash"', '"\\ud800"') WHERE receipt_id IN (SELECT receipt_id FROM claim_receipt_log_entries WHERE entry_seq = 9)`,
      );
    }
  }, /^entry 9: it cannot be read: a string holds a lone surrogate$/m],
  ["a large integer rounded as JavaScript would", (db) => {
    for (const table of ["claim_receipt_log_entries", "chio_tool_receipts"]) {
      db.exec(
        `UPDATE ${table} SET raw_json = replace(raw_json, '9223372036854775807', '9223372036854775808') WHERE receipt_id IN (SELECT receipt_id FROM claim_receipt_log_entries WHERE entry_seq = 9)`,
      );
    }
  }, /^entry 9: its signature is not its key's$/m],
];

function drop(db: DatabaseSync, entry: number): void {
  db.exec(
    `DELETE FROM chio_tool_receipts WHERE receipt_id IN (SELECT receipt_id FROM claim_receipt_log_entries WHERE entry_seq = ${entry});
    DELETE FROM claim_receipt_log_entries WHERE entry_seq = ${entry};`,
  );
}

for (const generation of ["first", "later"] as const) {
  Deno.test(`chio: every tampering with a store of the ${generation} generation is found and named`, async () => {
    using dir = scratch();
    makeStore(dir.join("sound"), { generation, receipts: SOAK ? 10_000 : 57, batch: 10, by });
    for (const [what, change, expected] of TAMPERINGS) {
      copyFileSync(dir.join("sound"), dir.join("r"));
      tamper(dir.join("r"), change);
      const report = await verifyChioStore(dir.join("r"));
      assert.match(said(report).join("\n"), expected, what);
    }
  });
}

Deno.test("chio: a stranger's key, and another kernel's checkpoint, are findings", async () => {
  using dir = scratch();
  makeStore(dir.join("r"), { generation: "later", receipts: 20, batch: 10, by });
  const trusted = await verifyChioStore(dir.join("r"), { trustedKeys: [kernel().hex] });
  assert.deepEqual(said(trusted), [`store : the key ${by.hex} signed in it and is not trusted`]);
  tamper(dir.join("r"), (db) => {
    const other = kernel();
    const row = db.prepare("SELECT statement_json AS s FROM kernel_checkpoints WHERE checkpoint_seq = 2")
      .get()!;
    writeCheckpoint(db, { ...parseObject(String(row.s)), kernel_key: other.hex }, other);
  });
  assert.deepEqual(said(await verifyChioStore(dir.join("r"))), [
    "checkpoint 2: another key than its own signed some of its entries",
  ]);
});

Deno.test("chio: chain roots are those of the checkpoints before, and stay", async () => {
  using dir = scratch();
  makeStore(dir.join("r"), { generation: "later", receipts: 30, batch: 10, by });
  const last = (change: (body: JsonObject) => JsonObject) => (db: DatabaseSync): void => {
    const row = db.prepare("SELECT statement_json AS s FROM kernel_checkpoints WHERE checkpoint_seq = 3")
      .get()!;
    writeCheckpoint(db, change(parseObject(String(row.s))), by);
  };
  tamper(dir.join("r"), last((body) => ({ ...body, chain_root: `0x${"0".repeat(64)}` })));
  assert.deepEqual(said(await verifyChioStore(dir.join("r"))), [
    "checkpoint 3: its chain_root is not that of the checkpoints before it",
  ]);
  tamper(dir.join("r"), last(({ chain_root: _gone, ...body }) => body));
  assert.deepEqual(said(await verifyChioStore(dir.join("r"))), [
    "checkpoint 3: it has no chain_root, its predecessor had one",
  ]);
});

Deno.test("chio: the later generation needs ids that are digests, and names of predecessors", async () => {
  using dir = scratch();
  makeStore(dir.join("r"), { generation: "later", receipts: 25, batch: 10, by });
  tamper(dir.join("r"), (db) => {
    const stored = db.prepare("SELECT raw_json AS s FROM chio_tool_receipts WHERE seq = 25").get()!;
    const { id: _id, signature: _signature, ...body } = parseObject(String(stored.s));
    const raw = canonical({ ...body, id: "x", signature: by.sign(canonical({ body, id: "x" })) });
    for (const table of ["claim_receipt_log_entries WHERE entry_seq", "chio_tool_receipts WHERE seq"]) {
      const [name, where] = table.split(" WHERE ");
      db.prepare(`UPDATE ${name} SET raw_json = ?, receipt_id = 'x' WHERE ${where} = 25`).run(raw);
    }
    const row = db.prepare("SELECT statement_json AS s FROM kernel_checkpoints WHERE checkpoint_seq = 2")
      .get()!;
    const { previous_checkpoint_sha256: _gone, ...rest } = parseObject(String(row.s));
    writeCheckpoint(db, rest, by);
  });
  assert.deepEqual(said(await verifyChioStore(dir.join("r"))), [
    "checkpoint 2: it names no predecessor",
    "entry 25: its id is not the digest of its content",
  ]);
});

Deno.test("chio: what was rolled back, or forked, since the last backup is found", async () => {
  using dir = scratch();
  const made = { generation: "first", batch: 10, by } as const;
  makeStore(dir.join("old"), { ...made, receipts: 30 });
  makeStore(dir.join("new"), { ...made, receipts: 50 });
  const old = await verifyChioStore(dir.join("old"));
  assert.deepEqual(said(await verifyChioStore(dir.join("new"), { previous: old.watermarks })), []);
  const { watermarks } = await verifyChioStore(dir.join("new"));
  assert.deepEqual(said(await verifyChioStore(dir.join("old"), { previous: watermarks })), [
    "store : the numbering of log entries went down from 50 to 30: it was rolled back",
    "store : the numbering of tool receipts went down from 50 to 30: it was rolled back",
    "store : checkpoint 5 of the earlier backup is gone: it was rolled back",
  ]);
  makeStore(dir.join("fork"), { ...made, receipts: 50, by: kernel() });
  assert.deepEqual(said(await verifyChioStore(dir.join("fork"), { previous: old.watermarks })), [
    "store : checkpoint 3 is another one than in the earlier backup: the chain was forked",
  ]);
});

Deno.test("chio: what retention moved to an archive is read from there, and must be there", async () => {
  using dir = scratch();
  const [live, archive] = [dir.join("r"), dir.join("archive")];
  makeStore(live, { generation: "later", receipts: 45, batch: 10, by });
  copyFileSync(live, archive);
  const { watermarks } = await verifyChioStore(live);
  tamper(live, (db) => {
    db.exec(
      `CREATE TABLE receipt_retention_watermark(archived_through_entry_seq INTEGER NOT NULL, archive_path TEXT NOT NULL);
      INSERT INTO receipt_retention_watermark VALUES (10, '${archive}'), (20, '${archive}');
      DELETE FROM chio_tool_receipts WHERE seq <= 20;
      DELETE FROM claim_receipt_log_entries WHERE entry_seq <= 20;`,
    );
  });
  const report = await verifyChioStore(live, { previous: watermarks });
  assert.deepEqual(said(report), []);
  assert.deepEqual([report.receipts, report.checkpoints], [45, 4]);

  tamper(archive, (db) => drop(db, 7));
  assert.deepEqual(said(await verifyChioStore(live)), [
    "entry 7: it is missing",
    "checkpoint 1: 9 of its 10 entries are there",
  ]);
  Deno.removeSync(archive);
  await assert.rejects(verifyChioStore(live), NotFoundError);
  assert.match(
    said(await verifyChioStore(live, { archives: [] })).join("\n"),
    /^entry 1: it and all up to 20 are missing$/m,
  );
});

Deno.test("chio: an entry that its archive has otherwise is refused", async () => {
  using dir = scratch();
  const [live, archive] = [dir.join("r"), dir.join("archive")];
  makeStore(live, { generation: "first", receipts: 10, batch: 10, by });
  makeStore(archive, { generation: "first", receipts: 10, batch: 10, by: kernel() });
  tamper(
    live,
    (db) =>
      db.exec(
        `CREATE TABLE receipt_retention_watermark(archived_through_entry_seq INTEGER NOT NULL, archive_path TEXT NOT NULL);
      INSERT INTO receipt_retention_watermark VALUES (5, '${archive}');`,
      ),
  );
  await assert.rejects(verifyChioStore(live), /its archive holds another receipt under this number/);
});

Deno.test("chio: missing guards are a warning", async () => {
  using dir = scratch();
  makeStore(dir.join("r"), { generation: "first", receipts: 10, batch: 10, by });
  tamper(dir.join("r"), () => {});
  const { DatabaseSync } = await import("node:sqlite");
  const db = new DatabaseSync(dir.join("r"));
  db.exec("DROP TRIGGER kernel_checkpoints_reject_delete");
  db.close();
  const { findings, warnings } = await verifyChioStore(dir.join("r"));
  assert.deepEqual(findings, []);
  assert.deepEqual(warnings.map(({ fault }) => fault), [
    "the guard kernel_checkpoints_reject_delete is missing",
  ]);
});

Deno.test("chio: a damaged page is an integrity error, in words", async () => {
  using dir = scratch();
  makeStore(dir.join("r"), { generation: "first", receipts: 60, batch: 10, by });
  const bytes = readFileSync(dir.join("r"));
  for (let at = 4096 * 2; at < bytes.length; at += 4096) bytes.fill(0xa5, at, at + 300);
  writeFileSync(dir.join("r"), bytes);
  await assert.rejects(
    verifyChioStore(dir.join("r")),
    (error: Error) => error instanceof IntegrityError && /it is damaged/.test(error.message),
  );
});

Deno.test("chio: strangers and unknown versions are refused", async () => {
  using dir = scratch();
  await assert.rejects(verifyChioStore(dir.join("none")), NotFoundError);
  writeFileSync(dir.join("text"), "not a database".repeat(500));
  await assert.rejects(verifyChioStore(dir.join("text")), IntegrityError);
  makeStore(dir.join("r"), { generation: "later", receipts: 1, batch: 10, by });
  const changed = async (sql: string, words: RegExp): Promise<void> => {
    copyFileSync(dir.join("r"), dir.join("c"));
    tamper(dir.join("c"), (db) => db.exec(sql));
    await assert.rejects(
      verifyChioStore(dir.join("c")),
      (error: Error) => error instanceof IntegrityError && words.test(error.message),
    );
  };
  await changed("UPDATE chio_store_schema_versions SET version = 5", /schema version 5 is newer than 4/);
  await changed("PRAGMA application_id = 7", /its application_id is 7/);
  await changed("CREATE TABLE http_receipts(id)", /chio api protect/);
});

Deno.test("chio: JSON keeps 64-bit integers and prints them exactly", () => {
  const text =
    '{"b":18446744073709551615,"a":-9223372036854775808,"c":18446744073709551616,"d":1.0,"e":1e21,"f":-0}';
  assert.equal(
    canonical(parseJson(text)),
    '{"a":-9223372036854775808,"b":18446744073709551615,"c":18446744073709552000,"d":1,"e":1e+21,"f":0}',
  );
  assert.equal(canonical("\u007f\u2028\u001f"), '"\u007f\u2028\\u001f"');
  assert.equal(canonical("\u007f\u009f", true), '"\\u007f\\u009f"');
  assert.throws(() => parseJson('{"a":"\\udc00"}'), SyntaxError);
});

Deno.test("chio: roots and inclusion proofs of every small tree", () => {
  const names = Array.from({ length: 33 }, (_, i) => `leaf-${i}`);
  // Computed from the rules with Python's hashlib.
  assert.equal(
    rootOf(names.slice(0, 7).map(leafHash)),
    "0b007fb915eb9b2a146f54b1c86ec53b664f8e455b7660b0b6ee13edc0d921c0",
  );
  for (let size = 1; size <= names.length; size++) {
    const leaves = names.slice(0, size).map((name) => leafHash(name));
    const root = rootOf(leaves);
    for (let i = 0; i < size; i++) {
      const proof = prove(leaves, i);
      assert.ok(proves(proof, names[i]!, root));
      assert.ok(!proves(proof, "another", root));
      assert.ok(!proves({ ...proof, auditPath: [...proof.auditPath, root] }, names[i]!, root));
      assert.ok(size === 1 || !proves({ ...proof, auditPath: proof.auditPath.slice(1) }, names[i]!, root));
    }
  }
});

Deno.test("chio:verify names what is wrong, exits with 5, and compares with an earlier report", async () => {
  using dir = scratch();
  makeStore(dir.join("r"), { generation: "later", receipts: 25, batch: 10, by });
  const root = fileURLToPath(new URL("../../", import.meta.url));
  const run = async (...args: readonly string[]): Promise<{ code: number; out: string; err: string }> => {
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["task", "-q", "--config", join(root, "deno.json"), "chio:verify", ...args], // with the task's own permissions
      env: { INIT_CWD: dir.path },
      cwd: dir.path,
    }).output();
    return { code, out: new TextDecoder().decode(stdout), err: new TextDecoder().decode(stderr) };
  };
  const good = await run("r", "--json");
  assert.equal(good.code, 0, good.err);
  writeFileSync(dir.join("before.json"), good.out);
  tamper(dir.join("r"), (db) => drop(db, 12));
  const bad = await run("r", "--previous", "before.json");
  assert.equal(bad.code, 5);
  assert.match(bad.err, /^r: entry 12: it is missing$/m);
  assert.match(
    bad.out,
    /^r {2}2 faults {2}24 receipts, 2 checkpoints, 5 not yet covered, 0 not checked, 1 keys$/m,
  );
  writeFileSync(dir.join("before.json"), "{}");
  assert.equal((await run("r", "--previous", "before.json")).code, 2);
});
