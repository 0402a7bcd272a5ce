/**
 * A temporary replication slot: while it is held, the server keeps the write-ahead log that a base backup needs.
 *
 * @module
 */
import { utf8 } from "../../bytes.ts";
import { start } from "../../child.ts";
import { postgresEnv, type PostgresServer } from "./postgres_server.ts";
import { programIn } from "./programs.ts";

/** The first version whose base backups have a manifest. */
const LEAST = 130000;

/** A slot, and what the server said when it was made. */
export interface Slot extends AsyncDisposable {
  /** 150018 for 15.18. */
  readonly serverVersion: number;
  /** Length of a file of the log. */
  readonly segmentBytes: number;
  /** Permission bits of the data folder. */
  readonly folderMode: number;
}

/** Opens a session that holds the slot until it is disposed of; the server drops the slot when the session ends, however it does. */
export async function reserveWal(
  failed: string,
  server: PostgresServer,
  run: string,
  signal: AbortSignal,
): Promise<Slot> {
  const flags = ["-XAtq", "--no-password", "-v", "ON_ERROR_STOP=1", "-f", "-"];
  // Of a session for replication the database does not matter, but it must have one.
  const argv = [programIn(server.bin, "psql"), ...flags, "--dbname=dbname=postgres replication=true"];
  const child = start({ argv, cwd: undefined, env: await postgresEnv(server), use: "both", signal });
  const writer = child.stdin!.getWriter();
  const reader = child.stdout!.getReader();
  const dispose = async (): Promise<void> => {
    await writer.close().catch(() => {}); // it may have ended by itself
    await reader.cancel().catch(() => {});
    await child.stop();
  };
  try {
    // One that has ended says why itself.
    await writer.write(utf8(`${questions(`holdfast_${run.toLowerCase()}`).join(";\n")};\n`)).catch(() => {});
    const [version, segment, mode, slot] = await answers(reader, 4);
    if (slot === undefined) {
      const failure = await child.end();
      signal.throwIfAborted();
      throw new Error(`${failed}: "${argv[0]}" ${failure ?? "ended early"}`);
    }
    const serverVersion = Number(version);
    if (!(serverVersion >= LEAST)) {
      throw new Error(
        `${failed}: its server is version ${version}, and base backups have a manifest from version 13 on. ` +
          "Dump it with collect = { postgres = ... }",
      );
    }
    const segmentBytes = bytesOf(segment!);
    return {
      serverVersion,
      segmentBytes,
      folderMode: Number.parseInt(mode!, 8),
      [Symbol.asyncDispose]: dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}

function questions(slot: string): readonly string[] {
  const settings = ["server_version_num", "wal_segment_size", "data_directory_mode"];
  return [
    ...settings.map((name) => `SHOW ${name}`),
    `CREATE_REPLICATION_SLOT "${slot}" TEMPORARY PHYSICAL RESERVE_WAL`,
  ];
}

/** The first lines that come; fewer where the program ends. The stream stays open: what it still says is nothing. */
async function answers(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  count: number,
): Promise<readonly string[]> {
  const decoder = new TextDecoder();
  let said = "";
  for (;;) {
    const lines = said.split("\n");
    if (lines.length > count) return lines.slice(0, count);
    const { done, value } = await reader.read();
    if (done) return lines.slice(0, -1);
    said += decoder.decode(value, { stream: true });
  }
}

/** "16MB" and "1GB" are the forms in which a server says it. */
function bytesOf(size: string): number {
  return Number.parseInt(size, 10) * (size.endsWith("GB") ? 2 ** 30 : 2 ** 20);
}
