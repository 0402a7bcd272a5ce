/** Databases as they were at a time. */
import { strict as assert } from "node:assert";
import { readdirSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { backup, collect, restore, store } from "../../mod.ts";
import { memoryState } from "../../src/context.ts";
import { findError, IntegrityError, NotFoundError } from "../../src/errors.ts";
import { chain } from "../engine/chain.ts";
import { scratch } from "../support.ts";
import { append, makeDatabase, stateOf } from "./support.ts";

Deno.test("restore at: the newest backup whose data were read not after the time, not the one whose run began before it", async () => {
  using dir = scratch();
  makeDatabase(dir.join("app.db"), 200);
  const plan = chain(
    collect.sqlite(dir.join("app.db"), { since: "latest" }),
    store.directory(dir.join("store")),
  );
  const state = memoryState();
  const cuts: Date[] = [];
  for (let i = 0; i < 3; i++) {
    // Names say when a run began; this one says long before its data were read.
    const { receipt } = await backup(plan, { state, now: new Date(Date.UTC(2026, 0, 1, 0, 0, i)) });
    cuts.push(new Date(receipt.sources[0]!.cutAt));
    const db = new DatabaseSync(dir.join("app.db"));
    append(db, 1);
    db.close();
    await sleep(2); // two cuts are never of one millisecond
  }
  const seqAt = async (at: Date): Promise<number> => {
    const into = dir.join(`r${at.getTime()}`);
    await restore(plan, { at, into, state });
    return stateOf(`${into}/app.db`).seq;
  };
  assert.equal(await seqAt(cuts[1]!), 201);
  assert.equal(await seqAt(new Date(cuts[1]!.getTime() - 1)), 200);
  assert.equal(await seqAt(new Date(cuts[2]!.getTime() + 60_000)), 202);
  await assert.rejects(
    restore(plan, { at: new Date(cuts[0]!.getTime() - 1), into: dir.join("none") }),
    (error: Error) => findError(error, NotFoundError) !== undefined && /or before/.test(error.message),
  );
  await assert.rejects(restore(plan, { at: cuts[0]!, id: "latest", into: dir.join("none") }), TypeError);

  // What this host has seen and nobody pruned: an older one is not passed off as the newest of that time.
  for (const name of readdirSync(dir.join("store")).filter((name) => name.includes("00-00-02Z"))) {
    Deno.removeSync(dir.join("store", name));
  }
  await assert.rejects(
    restore(plan, { at: new Date(), into: dir.join("none"), state }),
    (error: Error) =>
      findError(error, IntegrityError) !== undefined && /up to .* is gone/.test(error.message),
  );
});
