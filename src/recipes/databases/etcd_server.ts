/**
 * An etcd server, as its own programs are told of it.
 *
 * @module
 */
import { tmpdir } from "node:os";
import { resolve } from "node:path";
import { ask, type Call, programIn, secretEnv } from "./programs.ts";
import { versionIn } from "./versions.ts";

/** Where one member is, and as whom. */
export interface EtcdServer {
  /** One member's client URL. Default of the program: "127.0.0.1:2379". */
  readonly endpoint?: string | undefined;
  /** File with the certificate authority that the server's certificate is checked against. */
  readonly cacert?: string | undefined;
  /** File with the client's certificate. */
  readonly cert?: string | undefined;
  /** File with the client's key. */
  readonly key?: string | undefined;
  /** User with the role root, where authentication is on. */
  readonly user?: string | undefined;
  /** Gives the password; handed on as ETCDCTL_PASSWORD, never in `argv`. */
  readonly password?: (() => string | Promise<string>) | undefined;
  /** Folder of the programs. Default: the PATH. */
  readonly bin?: string | undefined;
}

/** A call of the client; its arguments hold no secret. */
export function ctl(server: EtcdServer, ...args: readonly string[]): readonly string[] {
  const { endpoint, cacert, cert, key, user, bin } = server;
  const given = Object.entries({ endpoints: endpoint, cacert, cert, key, user });
  const flags = given.flatMap(([name, value]) => value === undefined ? [] : [`--${name}=${value}`]);
  return [programIn(bin, "etcdctl"), ...flags, ...args];
}

/** The variables that the client reads. */
export async function etcdEnv({ password }: EtcdServer): Promise<Call["env"]> {
  return await secretEnv("ETCDCTL_PASSWORD", password);
}

/** The program that reads snapshots: `etcdutl`, which came with version 3.5, else `etcdctl`. */
export async function etcdTool(
  failed: string,
  { bin }: EtcdServer,
  signal: AbortSignal,
): Promise<{ readonly program: string; readonly version: string }> {
  const asked = async (program: string): Promise<{ program: string; version: string }> => ({
    program,
    version: versionIn(await ask(failed, { argv: [program, "version"], env: {} }, signal)),
  });
  return await asked(programIn(bin, "etcdutl")).catch(() => {
    signal.throwIfAborted();
    return asked(programIn(bin, "etcdctl"));
  });
}

/** Where a nameless file is made. */
export function scratchFolder(spoolDir: string | undefined): string {
  return resolve(spoolDir ?? tmpdir());
}
