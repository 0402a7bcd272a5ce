/** Every sentence of the contract, on OpenSSH's server, and on one without OpenSSH's extensions. */
import { readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { testStore } from "../contract/store.ts";
import { hasTool, judged } from "../support.ts";
import { relay } from "./s3_server.ts";
import { folderOn, type SftpServer, SSHD, startRclone, startSshd, storeOn } from "./sftp_server.ts";

/** What a server of another make lacks. */
const EXTENSIONS = "posix-rename,hardlink,fsync,statvfs,fstatvfs";

interface Kind {
  readonly tool: string;
  readonly start: () => Promise<SftpServer>;
  /** The server shows its folder as "/". */
  readonly jailed?: boolean;
  /** What it cannot keep, whatever a client does. */
  readonly except?: RegExp;
}

const SERVERS: Readonly<Record<string, Kind>> = {
  "OpenSSH": { tool: SSHD, start: () => startSshd() },
  "OpenSSH without its extensions": { tool: SSHD, start: () => startSshd({ sftp: `-P ${EXTENSIONS}` }) },
};

/** It takes a second for each write: a minute in all. It says yes to hard links and makes none, and ignores "must be new". */
const RCLONE: Kind = {
  tool: "rclone",
  start: () => startRclone("secret"),
  jailed: true,
  except: /^of concurrent puts with ifAbsent exactly one wins$/,
};

const kinds = Deno.env.get("HOLDFAST_SOAK") ? { ...SERVERS, "rclone serve sftp": RCLONE } : SERVERS;
for (const [name, kind] of Object.entries(kinds)) {
  if (hasTool(kind.tool)) await register(name, kind);
  else judged(`sftp() on ${name} keeps the contract`, [kind.tool], () => {});
}

async function register(name: string, { start, jailed = false, except }: Kind): Promise<void> {
  const server = await start();
  Deno.test.afterAll(server.close);
  testStore(`sftp() on ${name}`, () => {
    const line = relay(server.port);
    const folder = folderOn(server);
    return Promise.resolve({
      store: storeOn({ ...server, port: Number(line.endpoint.split(":")[2]) }, {
        path: jailed ? `/${basename(folder)}` : folder,
        retries: 2,
        ...(jailed ? { password: () => "secret" } : {}),
      }),
      vanish: line.cut,
      debris: () => Promise.resolve(debrisOf(folder)),
      close: line.cut,
    });
  }, { many: 250, except }); // a folder is read by hundreds of names
}

/** Hidden files, and empty folders. */
function debrisOf(path: string): string[] {
  return readdirSync(path, { withFileTypes: true, recursive: true })
    .filter((entry) =>
      entry.isDirectory()
        ? readdirSync(join(entry.parentPath, entry.name)).length === 0
        : entry.name.startsWith(".")
    )
    .map((entry) => entry.name);
}
