/** Databases that are written to by another process while tests look on. */
import { spawn } from "node:child_process";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";

/** A table of entries and a head that is changed in the same transaction: any torn copy breaks their equation. */
export function makeDatabase(path: string, rows = 200, mode = "wal"): void {
  const db = new DatabaseSync(path);
  db.exec(`PRAGMA journal_mode = ${mode};
    CREATE TABLE log(seq INTEGER PRIMARY KEY, value INTEGER NOT NULL, filler BLOB NOT NULL);
    CREATE TABLE head(id INTEGER PRIMARY KEY CHECK (id = 1), seq INTEGER NOT NULL, total INTEGER NOT NULL);
    INSERT INTO head VALUES (1, 0, 0);`);
  append(db, rows);
  db.close();
}

/** Rows that are kept: a writer at full speed for minutes must not fill the disk. */
const KEPT = 5000;

/** Commits `rows` in one transaction, and drops the oldest beyond what is kept. */
export function append(db: DatabaseSync, rows: number): void {
  db.exec("BEGIN IMMEDIATE");
  const { seq } = db.prepare("SELECT seq FROM head").get() as { seq: number };
  const insert = db.prepare("INSERT INTO log VALUES (?, ?, randomblob(400))");
  let total = 0;
  for (let i = seq + 1; i <= seq + rows; i++) {
    insert.run(i, i * 7 % 101);
    total += i * 7 % 101;
  }
  const oldest = seq + rows - KEPT;
  if (oldest > 0) {
    total -= Number(
      db.prepare("SELECT coalesce(sum(value), 0) AS gone FROM log WHERE seq <= ?").get(oldest)!.gone,
    );
    db.prepare("DELETE FROM log WHERE seq <= ?").run(oldest);
  }
  db.prepare("UPDATE head SET seq = seq + ?, total = total + ?").run(rows, total);
  db.exec("COMMIT");
}

/** The head of a copy, after everything it says has been checked. */
export function stateOf(path: string): { seq: number; total: number } {
  const db = new DatabaseSync(path, { readOnly: true });
  try {
    const state = db.prepare("SELECT seq, total FROM head").get() as { seq: number; total: number };
    const log = db.prepare("SELECT max(seq) AS seq, sum(value) AS total, count(*) AS rows FROM log")
      .get() as {
        seq: number;
        total: number;
        rows: number;
      };
    if (log.rows !== Math.min(state.seq, KEPT) || log.seq !== state.seq || log.total !== state.total) {
      throw new Error(
        `A state that never existed: head ${state.seq}/${state.total}, log ${log.rows}/${log.total}`,
      );
    }
    const [check] = db.prepare("PRAGMA integrity_check").all();
    if (Object.values(check!)[0] !== "ok") throw new Error(`integrity_check: ${JSON.stringify(check)}`);
    return { ...state };
  } finally {
    db.close();
  }
}

/** What a writer did. */
export interface Written {
  readonly commits: number;
  readonly p99Ms: number;
  readonly perSecond: number;
}

/** Commits as fast as it can (or `perSecond` times a second) in a process of its own until it is stopped. */
export async function writer(
  paths: readonly string[],
  perSecond = 0,
): Promise<{ stop: () => Promise<Written>; pid: number }> {
  const script = fileURLToPath(new URL("./writer.ts", import.meta.url));
  const args = ["run", "-A", "--no-prompt", script, String(perSecond), ...paths];
  const child = spawn(Deno.execPath(), args, { stdio: ["pipe", "pipe", "inherit"] });
  let said = "";
  const started = Promise.withResolvers<void>();
  child.stdout.on("data", (chunk: Uint8Array) => {
    said += new TextDecoder().decode(chunk);
    if (said.includes("\n")) started.resolve();
  });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  await Promise.race([started.promise, ended]);
  return {
    pid: child.pid!,
    stop: async () => {
      child.stdin.end();
      await ended;
      return JSON.parse(said.trim().split("\n").at(-1)!) as Written;
    },
  };
}
