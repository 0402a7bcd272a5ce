/**
 * What telling of a run needs.
 *
 * @module
 */
import type { Tool } from "../config/shape.ts";

/** What a notifier of a configuration reads, writes and reaches. */
export interface NotifyNeeds {
  /** Files with secrets and authorities. */
  readonly read: readonly string[];
  /** Folders. */
  readonly write: readonly string[];
  /** Hosts with their ports. */
  readonly net: readonly string[];
}

/** What one entry of `notify = [...]` needs. A secret URL's file is read for its host, which is no secret. */
export function notifyNeeds({ options }: Tool): NotifyNeeds {
  const { url, urlFile, tokenFile, passwordFile, ca, folder, server } = options as Readonly<
    Record<string, string | undefined>
  >;
  const address = url ?? server ?? (urlFile === undefined ? undefined : firstLine(urlFile));
  const host = address === undefined ? null : URL.parse(address);
  const port = host && (host.port || PORTS[host.protocol]);
  return {
    read: [urlFile, tokenFile, passwordFile, ca].filter((file) => file !== undefined),
    write: folder === undefined ? [] : [folder],
    net: host && port ? [`${host.hostname}:${port}`] : [],
  };
}

const PORTS: Readonly<Record<string, string>> = {
  "http:": "80",
  "https:": "443",
  "smtp:": "587",
  "smtps:": "465",
};

function firstLine(file: string): string | undefined {
  try {
    return Deno.readTextFileSync(file).split(/\r?\n/, 1)[0]!.trim();
  } catch {
    return undefined; // the operator prints this elsewhere: the host is to be added by hand
  }
}
