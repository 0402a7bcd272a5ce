/**
 * An etcd snapshot back into a member's data folder.
 *
 * @module
 */
import { readdirSync } from "node:fs";
import { resolve } from "node:path";
import { ConfigError, ExistsError } from "../../errors.ts";
import type { Context } from "../../stage.ts";
import type { Facts, Kept } from "./dumps.ts";
import type { EtcdOptions } from "./etcd.ts";
import { etcdTool, scratchFolder } from "./etcd_server.ts";
import type { Call } from "./programs.ts";
import { isOlder, tooOld } from "./versions.ts";

const FAILED = "Cannot restore etcd";

/**
 * `$1`: the data folder; `$2`: folder for what waits; the rest: the tool with its flags. The tool wants a file: it gets one without a
 * name. The folder gets its content by one rename, when the tool has ended well.
 */
const RESTORE = `
umask 077
d=$(mktemp -d "$2/.holdfast-etcd-XXXXXX") || exit 1
n=$1/.holdfast-new
trap 'rm -rf "$d" "$n"' EXIT
trap 'exit 143' TERM INT HUP
exec 3<>"$d/data" && rm "$d/data" && ln -s "/proc/$$/fd/3" "$d/snapshot" || exit 1
cat >&3 && mkdir -p "$1" && rm -rf "$n" || exit 1
to=$1
shift 2
tool=$1
shift
"$tool" snapshot restore "$d/snapshot" --data-dir "$n" "$@" >&2 && mv "$n/member" "$to/member"
`;

/** The call that makes the data folder. Throws before anything is touched for a folder that is not empty. */
export async function etcdBack(
  options: EtcdOptions,
  kept: readonly Kept[],
  recorded: Facts | undefined,
  { signal }: Context,
): Promise<readonly (Call & Kept)[]> {
  const { dataDir, anyVersion = false } = options;
  if (dataDir === undefined) {
    throw new ConfigError(`${FAILED} in place: name the member's data folder with "dataDir", or use --into`);
  }
  const tool = await etcdTool(FAILED, options, signal);
  const was = recorded?.serverVersion;
  if (typeof was === "string" && isOlder(tool.version, was) && !anyVersion) {
    throw tooOld(FAILED, `"${tool.program}" here`, tool.version, was);
  }
  refuseFull(dataDir);
  const argv = ["sh", "-c", RESTORE, "sh", resolve(dataDir), scratchFolder(options.spoolDir), tool.program];
  return kept.map((dump) => ({ ...dump, argv: [...argv, ...memberArgs(options)], env: {} }));
}

function memberArgs(options: EtcdOptions): readonly string[] {
  const { name, initialCluster, initialAdvertisePeerUrls, initialClusterToken } = options;
  const given = {
    "name": name,
    "initial-cluster": initialCluster,
    "initial-advertise-peer-urls": initialAdvertisePeerUrls,
    "initial-cluster-token": initialClusterToken,
  };
  return Object.entries(given).flatMap(([flag, value]) => value === undefined ? [] : [`--${flag}=${value}`]);
}

/** A member's old log beside new data would be read first. */
function refuseFull(dataDir: string): void {
  let names: readonly string[] = [];
  try {
    names = readdirSync(dataDir).filter((name) => name !== ".holdfast-new");
  } catch (error) {
    if ((error as { code?: unknown }).code !== "ENOENT") throw error;
  }
  if (names.length === 0) return;
  throw new ExistsError(
    `${FAILED}: "${dataDir}" is not empty. Nothing was touched. Stop the member, move what is in it away, and run again`,
  );
}
