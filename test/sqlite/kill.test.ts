/** What a killed run leaves of a database: nothing that can be read. */
import { strict as assert } from "node:assert";
import { spawn } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { scratch } from "../support.ts";

const MARK = "only-the-owner-may-read-this";

Deno.test("sqlite: kill -9 at any moment of a copy leaves no plaintext behind", async () => {
  using dir = scratch();
  const db = new DatabaseSync(dir.join("app.db"));
  db.exec("PRAGMA journal_mode = wal; CREATE TABLE t(v TEXT)");
  db.exec(
    `WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 60000) INSERT INTO t SELECT '${MARK}' || i || hex(randomblob(200)) FROM c`,
  );
  db.close();
  const spool = dir.join("spool");
  mkdirSync(spool);
  let died = 0;
  for (let round = 0; round < (Deno.env.get("HOLDFAST_SOAK") ? 60 : 6); round++) {
    died += await killed(dir.join("app.db"), spool, round * 8 % 100) ? 1 : 0;
    for (const name of readdirSync(spool)) {
      assert.ok(
        !readFileSync(join(spool, name)).includes(MARK),
        `${name} holds plaintext after round ${round}`,
      );
    }
  }
  assert.ok(died > 0, "every run had ended before it was killed");
});

/** Starts a collector that copies over and over, and kills it `delayMs` after its first copy was under way. */
async function killed(source: string, spool: string, delayMs: number): Promise<boolean> {
  const script = fileURLToPath(new URL("./copier.ts", import.meta.url));
  const args = ["run", "-A", "--no-prompt", script, source, spool];
  const child = spawn(Deno.execPath(), args, { stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise<string | null>((resolve) =>
    child.once("close", (_code, signal) => resolve(signal))
  );
  await Promise.race([new Promise((resolve) => child.stdout.once("data", resolve)), ended]);
  await sleep(delayMs);
  child.kill("SIGKILL");
  return await ended === "SIGKILL";
}
