/**
 * The narrow command line of one plan.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, isAbsolute, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { PlanConfig, SourceConfig } from "../config.ts";
import { chioPaths } from "../config/chio.ts";
import { stoppedNeeds } from "../config/stopped.ts";
import { databaseNeeds, isDatabase } from "../config/databases.ts";
import { ConfigError } from "../errors.ts";
import { type ProseNeeds, proseNeeds } from "./permissions_prose.ts";
import { needsOf } from "../config/stores.ts";
import type { Job } from "../job.ts";
import { libraries } from "../libc/open.ts";
import { stateFolder } from "./folders.ts";
import { notifyNeeds } from "./permissions_notify.ts";
import { bucketsOf, type NatsNeeds, natsNeeds, natsStoreNeeds } from "./permissions_nats.ts";
import { type RemoteNeeds, remoteNeeds } from "./permissions_remote.ts";

/** What a run may touch, as Deno's flags name it. */
interface Permissions {
  readonly read: Set<string>;
  readonly write: Set<string>;
  readonly run: Set<string>;
  readonly net: Set<string>;
  readonly env: Set<string>;
  readonly sys: Set<string>;
  readonly ffi: Set<string>;
}

/** Variables the command line itself looks at. */
const ENV = [
  "HOME",
  "USERPROFILE",
  "XDG_STATE_HOME",
  "XDG_CONFIG_HOME",
  "INIT_CWD",
  "NO_COLOR",
  "TERM",
  "TMPDIR",
  "TMP",
  "TEMP",
  "HOLDFAST_DEBUG",
];

const SOURCES = fileURLToPath(new URL("..", import.meta.url));
const TASK = fileURLToPath(new URL("../../tasks/backup.ts", import.meta.url));

/** The `deno run` line of a plan's backup. Throws {@linkcode ConfigError} for a plan that stands in no file. */
export async function permissionsOf(job: Job, signal: AbortSignal): Promise<string> {
  const { file } = job;
  if (file === undefined) {
    throw new ConfigError(`Cannot tell the permissions of "${job.name}": it stands in no file`);
  }
  const permissions: Permissions = {
    // Workers are loaded from the sources; names of owners come from the two tables.
    read: new Set([file, SOURCES, "/etc/passwd", "/etc/group"]),
    write: new Set(),
    run: new Set(),
    net: new Set(),
    env: new Set(ENV),
    sys: new Set(["hostname", "statfs"]),
    ffi: new Set(),
  };
  both(permissions, stateFolder());
  for (const { url } of job.plan.shelf?.stores ?? []) {
    if (isAbsolute(url)) both(permissions, url);
    else if (url.startsWith("s3:")) bucket(new URL(url), permissions);
  }
  // A store's own URL says nothing of the files with its secrets; the configuration's does.
  for (
    const location of [...job.plan.shelf?.stores.map(({ url }) => url) ?? [], ...job.config?.upload.to ?? []]
  ) {
    if (location.startsWith("nats:")) addNeeds(natsStoreNeeds(location), permissions);
  }
  for (const location of job.config?.upload.to ?? job.plan.shelf?.stores.map(({ url }) => url) ?? []) {
    addRemote(remoteNeeds(location), permissions);
  }
  for (const commands of Object.values(job.config?.upload.commands ?? {})) {
    const { run, read } = needsOf(commands);
    for (const program of run) permissions.run.add(program);
    for (const path of read) permissions.read.add(path);
  }
  if (job.config) fromConfig(job.config, file, permissions);
  else await fromDryRun(job, file, permissions, signal);
  const line = format(permissions, ["--config", file, "--plan", job.name]);
  // A module's relative paths mean its own folder; to be there already needs no permission.
  return job.config ? line : `cd ${quoted(dirname(file))} && ${line}`;
}

function addNeeds(
  { read, net, env, run = [], write = [] }: NatsNeeds & Partial<ProseNeeds>,
  permissions: Permissions,
): void {
  for (const program of run) permissions.run.add(program);
  for (const path of write) both(permissions, path);
  for (const path of read) permissions.read.add(path);
  for (const host of net) permissions.net.add(host);
  for (const name of env) permissions.env.add(name);
}

function addRemote(needs: RemoteNeeds | undefined, permissions: Permissions): void {
  if (!needs) return;
  addNeeds(needs, permissions);
  for (const name of needs.sys) permissions.sys.add(name);
  for (const program of needs.run) permissions.run.add(program);
  for (const socket of needs.sockets) both(permissions, socket);
}

function both({ read, write }: Permissions, path: string | undefined): void {
  if (path === undefined) return;
  read.add(path);
  write.add(path);
}

/** What a bucket needs: its host, the SDK's variables and files, and a folder for large parts. */
function bucket(url: URL, permissions: Permissions): void {
  const endpoint = url.searchParams.get("endpoint");
  const region = url.searchParams.get("region");
  const aws = `s3${region === null ? "" : `.${region}`}.amazonaws.com`;
  const hosts = endpoint === null ? [aws, `${url.hostname}.${aws}`] : [new URL(endpoint).host];
  // Where the bucket stands in the host name.
  if (url.searchParams.get("pathStyle") === "false") hosts.push(`${url.hostname}.${hosts[0]}`);
  for (const host of hosts) permissions.net.add(host);
  for (const name of ["AWS_*", "HOMEDRIVE", "HOMEPATH", "_X_AMZN_TRACE_ID"]) permissions.env.add(name);
  permissions.sys.add("osRelease");
  permissions.read.add(join(homedir(), ".aws"));
  both(permissions, temporaryFolder());
}

function fromConfig(config: PlanConfig, file: string, permissions: Permissions): void {
  const { collect, encrypt, hooks, sign } = config;
  const sources: readonly SourceConfig[] = collect.tool === "group"
    ? Object.values(collect.members)
    : collect.tool === "prose"
    ? []
    : [collect];
  if (collect.tool === "prose") addNeeds(proseNeeds(collect), permissions);
  if (config.stopped) addNeeds(stoppedNeeds(config.stopped, dirname(file)), permissions);
  for (const source of sources) {
    if (source.tool === "files") {
      for (const root of Object.values(source.roots)) permissions.read.add(root);
      if (source.options.metadata === "full") permissions.ffi.add(libraryPath());
      if (source.options.since !== undefined) {
        both(permissions, source.options.indexDir);
        both(permissions, temporaryFolder()); // a long list of what is gone waits there, encrypted
      }
    } else if (source.tool === "sqlite") {
      for (const path of Object.values(source.databases)) {
        for (const part of [path, `${path}-wal`, `${path}-shm`]) permissions.read.add(part);
      }
      both(permissions, source.options.spoolDir ?? temporaryFolder());
    } else if (source.tool === "jetstream" || source.tool === "chatto") {
      addNeeds(natsNeeds(source), permissions);
      for (const url of bucketsOf(source)) bucket(new URL(url), permissions);
      both(permissions, source.options.spoolDir ?? temporaryFolder());
    } else if (isDatabase(source)) {
      const { run, read, env, spoolDir } = databaseNeeds(source);
      addNeeds({ read, net: [], env }, permissions);
      for (const program of run) permissions.run.add(program);
      if (spoolDir !== false) both(permissions, spoolDir ?? temporaryFolder());
    } else if (source.tool === "chio") {
      for (const path of chioPaths(source)) permissions.read.add(path);
      both(permissions, source.options.spoolDir ?? temporaryFolder());
    } else {
      permissions.run.add(source.argv[0]!);
      // Its output passes through an encrypted file here.
      both(permissions, temporaryFolder());
      if (source.options.cwd !== undefined) permissions.read.add(source.options.cwd);
    }
  }
  for (const { options } of [encrypt, ...sign]) keyFiles(options, permissions);
  for (const tool of config.notify ?? []) {
    const { read, write, net } = notifyNeeds(tool);
    for (const path of read) permissions.read.add(path);
    for (const path of write) both(permissions, path);
    for (const host of net) permissions.net.add(host);
  }
  for (const argv of Object.values(hooks ?? {})) if (argv?.[0] !== undefined) permissions.run.add(argv[0]);
}

/** Files and programs that keys come from; not those that only a restore asks for. */
function keyFiles(options: Readonly<Record<string, unknown>>, permissions: Permissions): void {
  const { recipientsFile, recipientFiles, passphraseFile, passphraseCommand } = options;
  const { certificateFile, trustedFiles } = options;
  const signing = certificateFile !== undefined || options["publicKey"] !== undefined;
  const files = [recipientsFile, recipientFiles, passphraseFile, certificateFile, trustedFiles];
  if (signing) files.push(options["secretKeyFile"]);
  for (const path of files.flat()) if (typeof path === "string") permissions.read.add(path);
  if (Array.isArray(passphraseCommand)) permissions.run.add(String(passphraseCommand[0]));
}

/** What a dry run of a TypeScript plan uses, as Deno's audit log tells it. */
async function fromDryRun(
  job: Job,
  file: string,
  permissions: Permissions,
  signal: AbortSignal,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "holdfast-audit-" });
  try {
    const log = join(folder, "audit.jsonl");
    // Without the caller's folder: nothing of it is needed.
    const { INIT_CWD: _caller, ...env } = Deno.env.toObject();
    const args = ["--no-prompt", TASK, "--config", file, "--plan", job.name, "--dry-run", "--quiet"];
    const dryRun = (flags: readonly string[]): Promise<Deno.CommandOutput> =>
      new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", ...flags, ...args],
        cwd: dirname(file),
        clearEnv: true,
        env: { ...env, DENO_AUDIT_PERMISSIONS: log },
        stdin: "null",
        stdout: "null",
        stderr: "piped",
        signal,
      }).output();
    // Who may call the C library may do anything: only a plan that insists on it gets the permission.
    let { code, stderr } = await dryRun(["--deny-ffi"]);
    if (code === 2 && new TextDecoder().decode(stderr).includes(NEEDS_LIBRARY)) {
      permissions.ffi.add(libraryPath());
      ({ code, stderr } = await dryRun([]));
    }
    if (code !== 0 && code !== 3) {
      throw new ConfigError(
        `Cannot tell the permissions of "${job.name}": its dry run failed: ${
          new TextDecoder().decode(stderr).trim()
        }`,
      );
    }
    for (const line of (await Deno.readTextFile(log)).split("\n")) {
      if (line !== "") take(JSON.parse(line), permissions, folder);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** What files() says when the C library is wanted and may not be used. */
const NEEDS_LIBRARY = "Cannot store full metadata";

/** The log names a write for what is only opened for reading, so writes are known from the stores instead. */
function take(
  entry: { permission?: unknown; value?: unknown },
  permissions: Permissions,
  folder: string,
): void {
  const { permission, value } = entry;
  if (typeof value !== "string" || value === "") return;
  const path = value.startsWith("file:") ? fileURLToPath(value) : value;
  if (permission === "read" && isAbsolute(path) && !path.startsWith("/proc/") && !path.startsWith(folder)) {
    permissions.read.add(path);
  }
  if (permission === "env" || permission === "sys" || permission === "net" || permission === "run") {
    permissions[permission].add(value);
  }
}

/** The C library, under a name that `--allow-ffi` takes. Throws {@linkcode ConfigError} where there is none. */
function libraryPath(): string {
  const path = libraries().slice(1).find((path) => existsSync(path));
  if (path !== undefined) return path;
  throw new ConfigError(
    'Cannot print a line for metadata = "full": the C library was not found. It is known on Linux (x86_64, aarch64) only; ' +
      'use metadata = "basic" here',
  );
}

function temporaryFolder(): string {
  return Deno.env.get("TMPDIR") ?? "/tmp";
}

function format(permissions: Permissions, args: readonly string[]): string {
  const words = ["deno", "run", "--no-prompt"];
  for (const kind of ["read", "write", "run", "net", "env", "sys", "ffi"] as const) {
    const values = kind === "read" || kind === "write" ? topmost(permissions[kind]) : [...permissions[kind]];
    const odd = values.find((value) => value.includes(","));
    if (odd !== undefined) {
      throw new ConfigError(
        `Cannot print a narrow command line: Deno's flags have no way to write the comma in "${odd}"`,
      );
    }
    const list = values.sort().join(",");
    if (list !== "") words.push(`--allow-${kind}=${list}`);
  }
  words.push("--v8-flags=--max-semi-space-size=1", TASK, ...args);
  return words.map(quoted).join(" ");
}

/** Paths without those that lie in another of them. */
function topmost(paths: ReadonlySet<string>): string[] {
  const seen = new Set([...paths].map((path) => path.length > 1 ? path.replace(/\/$/, "") : path));
  return [...seen].filter((path) => {
    for (let up = dirname(path); up !== dirname(up); up = dirname(up)) if (seen.has(up)) return false;
    return !(seen.has("/") && path !== "/");
  });
}

/** A word for a POSIX shell. */
function quoted(word: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
