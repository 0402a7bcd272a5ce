/** A PostgreSQL server of the system's packages, written to. */
import { execFileSync, spawn } from "node:child_process";
import * as fs from "node:fs";
import type { databases } from "../../mod.ts";
import type { scratch } from "../support.ts";
import { asUser, onFreePort, postgresBin, type Running, serve, userFolder, works } from "./support.ts";

export const BIN = postgresBin();
export const TOOLS = [`${BIN}/postgres`, `${BIN}/pg_dump`, "setpriv"];
export const PASSWORD = "pass-wörd 1";

export interface Server extends Running {
  readonly options: databases.PostgresOptions;
  readonly sql: (database: string, text: string) => string;
  readonly env: Record<string, string>;
}

type Folder = ReturnType<typeof scratch>;

/** A new cluster with a superuser "admin" who needs a password. */
export function initialised(dir: Folder, name: string, ...more: readonly string[]): string {
  fs.chmodSync(dir.path, 0o755);
  const data = userFolder(dir.join(name));
  fs.writeFileSync(dir.join("first"), PASSWORD, { mode: 0o644 });
  const args = ["-D", data, "-U", "admin", "--auth=scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8"];
  const [program, rest] = asUser([
    `${BIN}/initdb`,
    ...args,
    ...more,
    `--pwfile=${dir.join("first")}`,
    "--no-sync",
  ]);
  execFileSync(program, rest, { stdio: "ignore", cwd: "/" });
  return data;
}

export const started = (data: string, ...more: readonly string[]): Promise<Server> =>
  onFreePort((port) => startedOn(port, data, more));

async function startedOn(port: number, data: string, more: readonly string[]): Promise<Server> {
  const settings = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off", ...more];
  const args = ["-D", data, "-p", String(port), ...settings.flatMap((one) => ["-c", one])];
  const ready = (): boolean => works(`${BIN}/pg_isready`, ["-h", "127.0.0.1", "-p", String(port)]);
  const server = await serve([`${BIN}/postgres`, ...args], ready);
  const env = { PGHOST: "127.0.0.1", PGPORT: String(port), PGUSER: "admin", PGPASSWORD: PASSWORD };
  return {
    ...server,
    env,
    options: { host: "127.0.0.1", port, user: "admin", password: () => PASSWORD, bin: BIN },
    sql: (database, text) =>
      execFileSync(`${BIN}/psql`, ["-XAtq", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", text], {
        encoding: "utf8",
        env: { ...Deno.env.toObject(), ...env },
        stdio: ["ignore", "pipe", "pipe"],
      }).trim(),
  };
}

/** A table of entries and a head that is changed in the same transaction: any torn copy breaks their equation. */
export const TABLES =
  "CREATE TABLE log(seq bigint PRIMARY KEY, filler text); CREATE TABLE head(seq bigint);" +
  "INSERT INTO head VALUES (0); INSERT INTO log SELECT -n, repeat(md5(n::text), 40) FROM generate_series(1, 3000) n";
export const WRITE =
  "DO $$ BEGIN FOR i IN 1..1000000 LOOP UPDATE head SET seq = i; INSERT INTO log VALUES (i, md5(i::text)); COMMIT; " +
  "END LOOP; END $$";
export const STATE =
  "SELECT (SELECT max(seq) FROM log) = (SELECT seq FROM head) AND (SELECT count(*) FROM log) = 3000 + (SELECT seq FROM head)";

/** Commits as fast as it can until it is stopped. */
export function writer(server: Server): { stop: () => Promise<void> } {
  const child = spawn(`${BIN}/psql`, ["-Xq", "-d", "app", "-c", WRITE], {
    env: { ...Deno.env.toObject(), ...server.env },
    stdio: "ignore",
  });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  return {
    stop: async () => {
      child.kill("SIGINT");
      await ended;
    },
  };
}
