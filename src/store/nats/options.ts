/**
 * Which bucket of which server, checked before anything is connected.
 *
 * @module
 */
import { checkServer, type NatsServer } from "../../nats/link.ts";
import { checkKey } from "../key.ts";

/** An object store of JetStream, and how to reach it. */
export interface NatsStoreOptions extends NatsServer {
  /** The object store's name: letters, digits, "-" and "_". Its stream is called `OBJ_<bucket>`. */
  readonly bucket: string;
  /** What the name of every object begins with, as a folder: "hosts/web1". Default: none. */
  readonly prefix?: string | undefined;
  /**
   * Whether the first write makes the bucket, on files and with one replica, when it is missing. Default: false. A bucket with
   * replicas or limits is made by whoever runs the cluster.
   */
  readonly create?: boolean | undefined;
  /** How often a request that failed in passing is tried again, 0 to 100. Default: 6, about fifteen seconds. */
  readonly retries?: number | undefined;
}

/** Options with their defaults. */
export interface Settings {
  readonly server: NatsServer;
  readonly bucket: string;
  /** The stream. */
  readonly stream: string;
  /** "" or with a "/" at its end. */
  readonly prefix: string;
  readonly create: boolean;
  readonly retries: number;
  /** For messages, without secrets. */
  readonly url: string;
}

/** Reads options. Throws TypeError or RangeError for what cannot work. */
export function settingsOf(options: NatsStoreOptions): Settings {
  const { bucket, prefix = "", create = false, retries = 6, ...server } = options;
  if (typeof bucket !== "string" || !/^[A-Za-z0-9_-]+$/.test(bucket)) {
    throw new TypeError(
      `Cannot use ${
        JSON.stringify(bucket)
      } as an object store: its name has only letters, digits, "-" and "_"`,
    );
  }
  if (!Number.isInteger(retries) || retries < 0 || retries > 100) {
    throw new RangeError(`Cannot try again ${retries} times: use 0 to 100`);
  }
  checkServer(server);
  const folder = prefix.replace(/^\/+|\/+$/g, "");
  if (folder !== "") checkKey(folder);
  const path = folder === "" ? "" : `/${folder.split("/").map(encodeURIComponent).join("/")}`;
  return {
    server,
    bucket,
    stream: `OBJ_${bucket}`,
    prefix: folder === "" ? "" : `${folder}/`,
    create,
    retries,
    url: `nats://${hostsOf(server)}/${bucket}${path}`,
  };
}

/** The servers as one URL's host part. */
function hostsOf({ servers = "127.0.0.1:4222" }: NatsServer): string {
  const hosts = typeof servers === "string" ? [servers] : servers;
  return hosts.map((url) => url.replace(/^[a-z]+:\/\//i, "").replace(/\/.*$/, "")).join(",");
}
