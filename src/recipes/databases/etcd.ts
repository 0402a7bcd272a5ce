/**
 * etcd: all keys as of one revision, as the snapshot that its own tools restore.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { Spool } from "../../collect/spool.ts";
import { messageOf } from "../../errors.ts";
import { checkFunctions } from "../../secrets.ts";
import type { Files, Stage, U8 } from "../../stage.ts";
import { type Dump, dumpStage, type Facts } from "./dumps.ts";
import { etcdBack } from "./etcd_back.ts";
import { drillEtcd } from "./etcd_drill.ts";
import { ctl, etcdEnv, type EtcdServer, etcdTool, scratchFolder } from "./etcd_server.ts";
import { ask, checkTexts } from "./programs.ts";
import { versionIn } from "./versions.ts";

/** Where a server is, what a restored member is called, and where it lies. */
export interface EtcdOptions extends EtcdServer {
  /** The member's data folder, for a restore in place: "/var/lib/etcd/default". */
  readonly dataDir?: string | undefined;
  /** The restored member's name. Default of the program: "default". */
  readonly name?: string | undefined;
  /** All members of the restored cluster: "a=https://10.0.0.1:2380,b=https://10.0.0.2:2380". Each is restored with its own `name`. */
  readonly initialCluster?: string | undefined;
  /** This member's own part of `initialCluster`: "https://10.0.0.1:2380". */
  readonly initialAdvertisePeerUrls?: string | undefined;
  /** What keeps the restored cluster apart from the old one. Default of the program: "etcd-cluster". */
  readonly initialClusterToken?: string | undefined;
  /** Restores with a tool older than the server backed up. Default: false, it is refused. */
  readonly anyVersion?: boolean | undefined;
  /** Folder for snapshots beyond 4 MiB, which wait there, encrypted and without a name; default: the system's temporary folder. */
  readonly spoolDir?: string | undefined;
}

/** The stored path. */
export const SNAPSHOT = "snapshot.db";

const FAILED = "Cannot back up etcd";
/** Pages of the database come first; what follows the last one is their SHA-256. */
const PAGE = 512;
const SUM = 32;

/**
 * Stores `snapshot.db`: all keys as of one revision (`etcdctl snapshot save`); writers do not wait. It is stored only when the program
 * has ended well, the SHA-256 that the server put at its end agrees, its own tool reads it, and its revision is not behind the one that
 * the cluster's majority knew before: a member that lags is an error. On its way to the archive it never has a name on the disk (Linux
 * only). Revision and versions stand in the receipt.
 *
 * Undo with `want.inPlace` makes `dataDir` of it (`etcdutl snapshot restore`, before version 3.5 `etcdctl`), which must not exist or be
 * empty: start the member on it when that is done. It is refused with a tool older than the server backed up, but with `anyVersion`.
 * Other requests write the file into their folder. A drill starts a private server on it, and compares revisions.
 *
 * Throws TypeError for options that cannot be.
 *
 * @example
 * ```ts ignore
 * etcd({ endpoint: "https://10.0.0.1:2379", cacert: "/etc/etcd/ca.crt", cert: "/etc/etcd/client.crt", key: "/etc/etcd/client.key" });
 * ```
 */
export function etcd(options: EtcdOptions = {}): Stage<void, Files> {
  const { anyVersion: _any, password, ...texts } = options;
  checkTexts("etcd", texts);
  checkFunctions({ password });
  return dumpStage({
    tool: "etcd",
    spoolDir: options.spoolDir,
    dumps: (signal) => dumps(options, signal),
    back: (kept, recorded, context) => etcdBack(options, kept, recorded, context),
    drill: (folder, context) => drillEtcd(options, folder, context),
  });
}

/**
 * `$1`: folder for what waits; `$2`: the tool that knows snapshots; the rest: etcdctl. The snapshot goes into a file whose name is gone
 * before the first byte comes (etcdctl writes to a name of its own with ".part"), then to stdout, then a line about it.
 */
const SAVE = `
umask 077
d=$(mktemp -d "$1/.holdfast-etcd-XXXXXX") || exit 1
p=
trap '[ -z "$p" ] || kill "$p"; exit 143' TERM INT HUP PIPE
trap 'rm -rf "$d"' EXIT
exec 3<>"$d/data" && rm "$d/data" && ln -s "/proc/$$/fd/3" "$d/snapshot.part" || exit 1
tool=$2
shift 2
"$@" snapshot save "$d/snapshot" >&2 &
p=$!
wait "$p" || exit
p=
cat <&3 && echo && "$tool" snapshot status "$d/snapshot" -w json
`;

async function dumps(
  options: EtcdOptions,
  signal: AbortSignal,
): Promise<{ facts: Facts; list: readonly Dump[] }> {
  const env = await etcdEnv(options);
  const asked = async (...args: readonly string[]): Promise<string> =>
    await ask(FAILED, { argv: ctl(options, ...args), env }, signal);
  const serverVersion = versionIn(
    /"version":"[^"]*"/.exec(await asked("endpoint", "status", "-w", "json"))?.[0] ?? "",
  );
  const tool = await etcdTool(FAILED, options, signal);
  // A read that needs the majority; what the key holds does not matter.
  const header = await asked("get", "holdfast asks for the revision", "-w", "json");
  const known = Number(/"revision":(\d+)/.exec(header)?.[1] ?? 0);
  const facts: Record<string, unknown> = { serverVersion, clientVersion: tool.version };
  const check = async (output: Spool): Promise<number> => {
    const { size, about } = await lookAt(output);
    if (about.revision < known) throw behind(about.revision, known);
    facts.revision = about.revision;
    return size;
  };
  const script = ["sh", "-c", SAVE, "sh", scratchFolder(options.spoolDir), tool.program];
  return { facts, list: [{ path: SNAPSHOT, argv: [...script, ...ctl(options)], env, check }] };
}

/** What the tool says of a snapshot. */
interface About {
  readonly revision: number;
}

/** Length of the snapshot, and the line that follows it. Throws unless its own SHA-256 agrees. */
async function lookAt(output: Spool): Promise<{ readonly size: number; readonly about: About }> {
  const line = lastLine(await tailOf(output, output.size() - 4096));
  const size = output.size() - line.length - 1;
  let about: About;
  try {
    about = JSON.parse(line);
  } catch (cause) {
    throw damaged(`its tool says of it ${JSON.stringify(line.slice(0, 200))} (${messageOf(cause)})`);
  }
  if (size % PAGE !== SUM) throw damaged("it was cut: its checksum is not at its end");
  const sum = createHash("sha256");
  let at = 0;
  for await (const chunk of output.read()) {
    sum.update(chunk.subarray(0, Math.max(0, size - SUM - at)));
    at += chunk.length;
  }
  const promised = (await tailOf(output, size - SUM)).subarray(0, SUM);
  if (!sum.digest().equals(promised)) throw damaged("its checksum does not agree with its content");
  return { size, about };
}

/** The bytes from `start` on; all there are where it is below 0. */
async function tailOf(output: Spool, start: number): Promise<U8> {
  const parts: Uint8Array[] = [];
  let at = 0;
  for await (const chunk of output.read()) {
    if (at + chunk.length > start) parts.push(chunk.subarray(Math.max(0, start - at)));
    at += chunk.length;
  }
  return new Uint8Array(await new Blob(parts as BlobPart[]).arrayBuffer());
}

/** With its newline, which is also the last byte of all. */
function lastLine(tail: Uint8Array): string {
  const from = tail.lastIndexOf(10, tail.length - 2);
  return new TextDecoder().decode(tail.subarray(from + 1));
}

function damaged(why: string): Error {
  return new Error(
    `Cannot back up "${SNAPSHOT}": ${why}. Nothing was stored; look into the server's log, and run again`,
  );
}

function behind(revision: number, known: number): Error {
  return new Error(
    `Cannot back up "${SNAPSHOT}": the member lags, its snapshot is of revision ${revision}, the cluster was at ${known}. ` +
      'Nothing was stored; run again, or name another member with "endpoint"',
  );
}
