/** What is refused at the edges: strangers, archives of the first generation, restores of what is not what was stored. */
import { strict as assert } from "node:assert";
import { readdirSync, rmSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { findError, IntegrityError } from "../../src/errors.ts";
import { pipeline } from "../../src/pipeline.ts";
import * as collect from "../../src/collect/mod.ts";
import * as archive from "../../src/archive/mod.ts";
import * as encrypt from "../../src/encrypt/mod.ts";
import * as sign from "../../src/sign/mod.ts";
import { backup } from "../../src/run.ts";
import { restore } from "../../src/restore.ts";
import { drill } from "../../src/drill.ts";
import { lookAtReceipts } from "../../src/recipes/chio/look/receipts.ts";
import * as chio from "../../src/recipes/chio.ts";
import type { Files, SourceFact, Stage } from "../../src/stage.ts";
import { directory } from "../../src/store/mod.ts";
import { upload } from "../../src/upload/mod.ts";
import { scratch } from "../support.ts";
import { kernel, tamper } from "./support.ts";
import {
  archiveEntries,
  makeWorld,
  newSeed,
  readRevocations,
  writeAuthority,
  writeRevocations,
  writeStore,
} from "./world.ts";

const by = kernel();
const { identity, recipient } = await encrypt.generateIdentity();
const sealer = encrypt.age({ recipients: [recipient], identities: () => [identity] });

/** A source that looks at nothing of Chio's, and records what it is told. */
function telling(source: Stage<void, Files>, said: readonly SourceFact[]): Stage<void, Files> {
  return {
    ...source,
    run: async (input, context) => {
      const files = await source.run(input, context);
      return { ...files, facts: () => ({ ...files.facts(), sources: [...files.facts().sources, ...said] }) };
    },
  };
}

// deno-lint-ignore explicit-function-return-type -- the chain's own type
function stored(source: Stage<void, Files>, folder: string) {
  return pipeline(source).pipe(archive.tar()).pipe(
    sealer,
  )
    .pipe(sign.sha256()).pipe(upload({ name: "x", to: directory(`${folder}/store`) }));
}

Deno.test("chio: a restored store is verified before it takes its place, and must have the head that was recorded", async () => {
  using dir = scratch();
  const path = dir.join("receipts.sqlite3");
  writeStore(path, by);
  const reader = stored(chio.receipts(path), dir.path);
  tamper(path, (db) => db.exec("UPDATE kernel_checkpoints SET issued_at = 7 WHERE checkpoint_seq = 3"));
  await backup(stored(collect.sqlite(path), dir.path), { now: new Date("2026-01-01T00:00:00Z") });
  await assert.rejects(
    restore(reader, { into: dir.join("out") }),
    /checkpoint 3: its column issued_at is not what was signed\. Nothing was restored/,
  );
  writeStore(path, by);
  const watermarks = {
    entries: "57",
    tools: "43",
    children: "14",
    head: { seq: "5", sha256: "00", end: "50" },
  };
  const fact = {
    tool: "chio",
    cutAt: "2026-01-01T00:00:01.000Z",
    facts: { surface: "receipts", watermarks },
  };
  const lying = telling(collect.sqlite(path), [fact]);
  await backup(stored(lying, dir.path), { now: new Date("2026-01-01T00:00:01Z") });
  await assert.rejects(
    restore(reader, { into: dir.join("out") }),
    /its newest checkpoint is not the one that the backup's receipt names/,
  );
  assert.deepEqual(readdirSync(dir.path).filter((name) => name === "out"), []);
});

Deno.test("chio: a restored seed must make a key that was recorded", async () => {
  using dir = scratch();
  const { paths } = await makeWorld(dir.path, by);
  const source = collect.group({ seeds: collect.files(paths.seed) });
  const fact = {
    tool: "chio",
    cutAt: "2026-01-01T00:00:01.000Z",
    facts: { surface: "authority", identity: ["ab".repeat(32)] },
  };
  await backup(stored(telling(source, [fact]), dir.path));
  const reader = stored(chio.authority({ seeds: [paths.seed] }), dir.path);
  await assert.rejects(
    restore(reader, { into: dir.join("out") }),
    /makes the key [0-9a-f]{64}, which the backup did not record\. Do not start Chio with it/,
  );
});

Deno.test("chio: what is not the database it should be is refused, an authority whose key is not its seed's as well", async () => {
  using dir = scratch();
  const { paths } = await makeWorld(dir.path, by);
  const run = (source: Stage<void, Files>): Promise<unknown> => backup(stored(source, dir.path));
  await assert.rejects(
    run(chio.revocations(paths.budgets)),
    /has no table revoked_capabilities\. Give the file of --revocation-db/,
  );
  await assert.rejects(run(chio.authority({ database: paths.budgets })), /has no table authority_state/);
  await assert.rejects(run(chio.receipts(paths.budgets)), /it has no receipt tables/);
  const pinned = chio.authority({ database: paths.authority, identity: ["ef".repeat(32)] });
  await assert.rejects(run(pinned), /The identity (?:ef){32}, which the plan names, is gone/);
  const seed = newSeed();
  writeAuthority(paths.authority, [seed]);
  const db = new DatabaseSync(paths.authority);
  db.prepare("UPDATE authority_state SET public_key_hex = ?").run("cd".repeat(32));
  db.close();
  const error = await run(chio.authority({ database: paths.authority })).catch((error: Error) =>
    error
  ) as Error;
  assert.match(error.message, /says its key is (?:cd){32}, but its seed makes/);
  assert.ok(findError(error, IntegrityError) && !error.message.includes(seed));
});

Deno.test("chio: terms and generations of an authority do not go back", async () => {
  using dir = scratch();
  const { paths, plans } = await makeWorld(dir.path, by);
  await chio.chioBackup([plans.authority], { now: new Date("2026-01-01T00:00:00Z") });
  const db = new DatabaseSync(paths.authority);
  db.exec("UPDATE authority_cluster_fence SET election_term = 6");
  db.close();
  const again = { now: new Date("2026-01-01T00:00:01Z") };
  await assert.rejects(
    chio.chioBackup([plans.authority], again),
    /went back: its term was 7 in "authority_.*" and is 6/,
  );
  await chio.chioBackup([plans.authority], { ...again, accept: ["rollback"] });
});

Deno.test("chio: revocations that are numbered with the authority's decisions are not merged into", async () => {
  using dir = scratch();
  const { paths, plans } = await makeWorld(dir.path, by);
  const db = new DatabaseSync(paths.revocations);
  db.exec("CREATE TABLE admission_authority_commits(commit_index INTEGER PRIMARY KEY)");
  db.close();
  await chio.chioBackup([plans.revocations]);
  writeRevocations(dir.join("newer"), [["cap-9", 9]]);
  const merged = { into: dir.join("out"), mergeRevocations: dir.join("newer") };
  await assert.rejects(
    chio.chioRestore([plans.revocations], merged),
    /numbered together with the authority's decisions/,
  );
  await assert.rejects(
    chio.chioRestore([plans.revocations], { ...merged, mergeRevocations: dir.join("none") }),
    /none": it does not exist/,
  );
  await chio.chioRestore([plans.revocations], { into: dir.join("out") });
  assert.deepEqual(readRevocations(dir.join("out/revocations/revocations.sqlite3")), {
    "cap-1": 100,
    "cap-2": 200,
  });
});

Deno.test("chio: archives of the first generation explain receipts whose entries stayed in the log", async () => {
  using dir = scratch();
  const { paths, plans } = await makeWorld(dir.path, by, { generation: "first" }, {
    archives: [dir.join("live/old.sqlite3")],
  });
  const old = dir.join("live/old.sqlite3");
  tamper(paths.receipts, (db) => {
    db.exec(`ATTACH '${old}' AS old`);
    for (const table of ["chio_tool_receipts", "chio_child_receipts"]) {
      db.exec(`CREATE TABLE old.${table} AS SELECT * FROM main.${table} WHERE timestamp <= 1700000020;
        DELETE FROM main.${table} WHERE timestamp <= 1700000020`);
    }
    db.exec("DETACH old");
  });
  const [{ result }] = await chio.chioBackup([plans.receipts]) as [chio.ChioBackup];
  const { facts } = result.receipt.sources.find(({ tool }) => tool === "chio")!;
  assert.deepEqual([facts.receipts, facts.archives, facts.generation], [57, 1, "first"]);
  const bare = await chio.verifyChioStore(paths.receipts, { archives: [] });
  assert.equal(bare.faults, 20);
  assert.match(bare.findings[0]!.fault, /its receipt's own row is missing/);
  rmSync(dir.join("live"), { recursive: true });
  await chio.chioRestore([plans.receipts], { inPlace: true });
  assert.equal((await chio.verifyChioStore(paths.receipts, { archives: [old] })).faults, 0);
});

Deno.test("chio: an archive that retention begins while the store is copied is not forgotten", async () => {
  using dir = scratch();
  const { paths } = await makeWorld(dir.path, by);
  archiveEntries(paths.receipts, dir.join("live/old.sqlite3"), 20);
  const db = new DatabaseSync(paths.receipts, { readOnly: true });
  try {
    await assert.rejects(
      lookAtReceipts([{ path: paths.receipts, db }], { main: paths.receipts }),
      /retention began the archive ".*old\.sqlite3" in this very moment\. Run again/,
    );
  } finally {
    db.close();
  }
});

Deno.test("chio: a drill sees triggers that do not do their work", async () => {
  using dir = scratch();
  const { paths, plans } = await makeWorld(dir.path, by, { childEvery: 0 });
  const db = new DatabaseSync(paths.receipts);
  const { sql } = db.prepare("SELECT sql FROM sqlite_schema WHERE name = 'tool_log'").get()!;
  const change = (text: string): void => db.exec(`DROP TRIGGER IF EXISTS tool_log; ${text}`);
  change(String(sql).replace("NEW.raw_json)", "NEW.raw_json || ' ')"));
  await chio.chioBackup([plans.receipts], { now: new Date("2026-01-01T00:00:00Z") });
  await assert.rejects(
    drill(plans.receipts),
    /entry 58: the log and the receipt's own row hold different receipts.*The drill has failed/,
  );
  change("");
  await chio.chioBackup([plans.receipts], { now: new Date("2026-01-01T00:00:01Z") });
  await assert.rejects(
    drill(plans.receipts),
    /tool receipt 58 stands in no entry of the log.*The drill has failed/,
  );
  db.close();
});
