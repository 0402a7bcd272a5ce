/** Increments of databases under all that is done with backups: verify, drill, copy, dry runs, parts, in place. */
import { strict as assert } from "node:assert";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { backup, cat, collect, drill, restore, store, verify } from "../../mod.ts";
import { memoryState } from "../../src/context.ts";
import { BusyError, findError, IntegrityError } from "../../src/errors.ts";
import { chain } from "../engine/chain.ts";
import { scratch } from "../support.ts";
import { append, makeDatabase, stateOf } from "./support.ts";

Deno.test("sqlite since: verified, drilled, restored in part, as a dry run and in place like any other backup", async () => {
  using dir = scratch();
  mkdirSync(dir.join("spool"));
  for (const name of ["a.db", "b.db"]) makeDatabase(dir.join(name), 500);
  const sources = [dir.join("a.db"), dir.join("b.db")];
  const plan = chain(
    collect.sqlite(sources, { since: "latest", spoolDir: dir.join("spool") }),
    store.directory(dir.join("store")),
  );
  const state = memoryState();
  const ids: string[] = [];
  for (let i = 0; i < 3; i++) {
    ids.push((await backup(plan, { state, now: new Date(Date.UTC(2026, 0, 1, 0, 0, i)) })).id);
    const db = new DatabaseSync(dir.join("a.db"));
    append(db, 1);
    db.close();
  }
  const run = { state, id: ids[2]! };
  assert.equal((await verify(plan, { ...run, level: "full" })).entries, 2 + 6 + 6);
  const drilled = await drill(plan, {
    ...run,
    assert: ["sh", "-c", "test -s a.db && test -s b.db && test $(ls | wc -l) = 2"],
  });
  assert.equal(drilled.entries, 2);
  await restore(plan, { ...run, into: dir.join("part"), only: ["b.db"] });
  assert.deepEqual(readdirSync(dir.join("part")), ["b.db"]);
  const seen: string[] = [];
  await restore(plan, {
    ...run,
    into: dir.join("dry"),
    dryRun: true,
    report: (path, action) => void seen.push(`${action} ${path}`),
  });
  assert.deepEqual(seen, ["create a.db", "create b.db"]);
  // What stands there stays, the other one comes back.
  mkdirSync(dir.join("some"));
  writeFileSync(dir.join("some/a.db"), "mine");
  const { skipped } = await restore(plan, { ...run, into: dir.join("some"), conflict: "skip" });
  assert.deepEqual([skipped, readFileSync(dir.join("some/a.db"), "utf8")], [1, "mine"]);
  assert.equal(stateOf(dir.join("some/b.db")).seq, 500);
  await assert.rejects(
    cat(plan, { ...run, path: "a.db" }),
    /Cannot find "a\.db" in .*restore --only` puts one together/,
  );

  const held = new DatabaseSync(dir.join("a.db"));
  held.prepare("SELECT count(*) FROM log").get();
  await assert.rejects(
    restore(plan, { ...run, inPlace: true, conflict: "overwrite" }),
    (error: Error) => findError(error, BusyError) !== undefined,
  );
  held.close();
  await restore(plan, { ...run, inPlace: true, conflict: "overwrite" });
  assert.equal(stateOf(dir.join("a.db")).seq, 502);

  // A link of the chain without its archive: verify says so.
  Deno.removeSync(dir.join("store", ids[1]!));
  await assert.rejects(
    verify(plan, { ...run, level: "full" }),
    (error: Error) => findError(error, IntegrityError) !== undefined,
  );
});
