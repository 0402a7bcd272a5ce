/**
 * Whether a server is the one it should be: its key against the files of known hosts, before anything else is said to it.
 *
 * @module
 */
import { homedir } from "node:os";
import { join } from "node:path";
import { messageOf } from "../../errors.ts";
import { isAbsent } from "../folder.ts";
import { RefusedError } from "./explain.ts";
import { fingerprintOf, judge, keysFor, type KnownKey, lineFor, pinned, typeOf } from "./known_hosts.ts";
import type { Settings } from "./options.ts";

/** The keys that the server may show: pinned ones, else those of the known_hosts files. */
export async function knownKeys({ host, port, hostKeys, knownHosts }: Settings): Promise<KnownKey[]> {
  if (hostKeys) return hostKeys.map(pinned);
  const keys: KnownKey[] = [];
  for (const file of knownHosts ?? defaultFiles()) {
    try {
      keys.push(...keysFor(await Deno.readTextFile(file), file, host, port));
    } catch (error) {
      if (isAbsent(error)) continue; // as ssh: the server is then not known
      throw new RefusedError(`the file of known hosts "${file}" cannot be read (${messageOf(error)})`);
    }
  }
  return keys;
}

/** Where ssh keeps them. */
function defaultFiles(): string[] {
  return [join(homedir(), ".ssh", "known_hosts"), "/etc/ssh/ssh_known_hosts"];
}

/** Why the server's key is not accepted, or undefined. */
export function refusalOf(
  known: readonly KnownKey[],
  key: Uint8Array,
  settings: Settings,
): Error | undefined {
  const { host, port, hostKeys, knownHosts } = settings;
  const verdict = judge(known, key);
  const shown = `${fingerprintOf(key)} (${typeOf(key)})`;
  switch (verdict.kind) {
    case "known":
      return undefined;
    case "unknown":
      return new RefusedError(
        `the server's key is not known. If its owner confirms that ${shown} is the server's, add this line to "${
          (knownHosts ?? defaultFiles())[0]
        }":\n${lineFor(host, port, key)}`,
      );
    case "revoked":
      return new RefusedError(
        `REFUSED: the server shows the key ${shown}, which ${verdict.entry.where} revokes. Do not trust this server`,
      );
    case "changed":
      return new RefusedError(
        `REFUSED: THE SERVER'S KEY HAS CHANGED. It shows ${shown}; known is ${verdict.entry.fingerprint}, from ${verdict.entry.where}. ` +
          "Somebody may stand between, or the server was set up anew. Ask its owner; only if the new key is confirmed, " +
          (hostKeys
            ? "put it in place of the old one"
            : `remove the old one and add\n${lineFor(host, port, key)}`),
      );
  }
}
