/**
 * A database server of our own, in folders of its own, for a drill: nobody else can reach it, and it is gone with its scope.
 *
 * @module
 */
import { chmodSync, chownSync, existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, isAbsolute, join } from "node:path";
import { type Account, start } from "../../child.ts";
import { toBytes } from "../../bytes.ts";
import { fileEntry } from "../../collect/jetstream/entries.ts";
import type { Context, Entry, Files, Stage, U8 } from "../../stage.ts";
import { ask, type Call } from "./programs.ts";

const READY_MS = 120_000;
const LOOK_MS = 50;
/** Whose number is nobody's. */
const NOBODY: Account = { uid: 65534, gid: 65534 };
/** The folders that drills are run in. */
const DRILL = /^holdfast-drill-/;
/** Where servers lie that are not on the PATH. */
const FOLDERS: readonly string[] = ["/usr/sbin", "/usr/local/sbin", "/usr/libexec", "/usr/local/bin"];

/** Two folders of a server, and who it runs as. */
export interface Scratch extends AsyncDisposable {
  /** For its data: on the drill's disk. */
  readonly data: string;
  /** For its socket, whose path may not be long. */
  readonly socket: string;
  /** Whom both belong to; undefined: us. */
  readonly as: Account | undefined;
}

/** Makes the folders of a server, mode 0700. `user`: whom it runs as where we are root, else nobody. */
export async function scratchIn(folder: string, user: string | Account): Promise<Scratch> {
  const as = Deno.uid() !== 0 ? undefined : typeof user === "string" ? accountOf(user) : user;
  await using made = new AsyncDisposableStack();
  const folders: string[] = [];
  for (const above of [folder, tmpdir()]) {
    const dir = await mkdtemp(join(above, ".holdfast-server-"));
    made.defer(() => rm(dir, { recursive: true, force: true }));
    if (as) chownSync(dir, as.uid, as.gid);
    folders.push(dir);
  }
  if (as) made.use(passable(folder, as.gid));
  const kept = made.move();
  return { data: folders[0]!, socket: folders[1]!, as, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

/** The account of a user; nobody's where this host does not know the name. */
function accountOf(user: string): Account {
  for (const line of readFileSync("/etc/passwd", "utf8").split("\n")) {
    const [name, , uid, gid] = line.split(":");
    if (name === user) return { uid: Number(uid), gid: Number(gid) };
  }
  return NOBODY;
}

/** Lets a group pass through a drill's private folders, and no further; taken back with the scope. */
function passable(folder: string, gid: number): Disposable {
  const stack = new DisposableStack();
  for (let dir = folder; dir !== dirname(dir); dir = dirname(dir)) {
    const { mode, uid, gid: was } = statSync(dir);
    stack.defer(() => {
      chownSync(dir, uid, was);
      chmodSync(dir, mode & 0o7777);
    });
    chownSync(dir, uid, gid);
    chmodSync(dir, (mode & 0o7707) | 0o010);
    if (DRILL.test(basename(dir)) || dir === folder && !inDrill(folder)) break;
  }
  return stack;
}

function inDrill(folder: string): boolean {
  return folder.split("/").some((part) => DRILL.test(part));
}

/** Gives a folder and all in it to whom a server runs as. */
export async function give(dir: string, as: Account | undefined, signal: AbortSignal): Promise<void> {
  if (!as) return;
  const argv = ["chown", "-R", `${as.uid}:${as.gid}`, "--", dir];
  await ask(`Cannot give "${dir}" to the server`, { argv, env: {} }, signal);
}

/** Starts a server, and waits until `ready` does not throw. Throws with the server's last words when it ends instead. */
export async function serve(
  { argv, env, cwd, as }: Call,
  ready: () => Promise<unknown>,
  signal: AbortSignal,
): Promise<AsyncDisposable> {
  // What it says goes to stderr, of which the last is kept.
  const child = start({
    argv: ["sh", "-c", 'exec "$@" >&2', "sh", ...argv],
    cwd,
    env,
    use: "neither",
    apart: true,
    as,
    signal,
  });
  let over: string | undefined;
  const ended = child.end().then((failure) => over = failure ?? "ended");
  for (const begun = performance.now();;) {
    try {
      await ready();
      return { [Symbol.asyncDispose]: child.stop };
    } catch (cause) {
      const late = performance.now() - begun > READY_MS;
      if (over === undefined && !late && !signal.aborted) {
        await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
        continue;
      }
      await child.stop();
      await ended;
      signal.throwIfAborted();
      const why = late ? `is not ready after ${READY_MS / 1000} s: ${child.words()}` : over;
      throw new Error(`The drill failed: its own "${argv[0]}" ${why}`, { cause });
    }
  }
}

/** The path of a server's program: in `bin`, on the PATH, or in `more` and where the system keeps servers. Undefined: it is not there. */
export function findServer(
  name: string,
  bin: string | undefined,
  more: readonly string[] = [],
): string | undefined {
  const path = (Deno.env.get("PATH") ?? "").split(":").filter(isAbsolute);
  const folders = bin === undefined ? [...path, ...more, ...FOLDERS] : [bin];
  return folders.map((folder) => join(folder, name)).find((file) => existsSync(file));
}

/** A drill without a server shows less: says so, and gives the fact for the receipt. */
export function withoutServer(name: string, { log }: Context): Readonly<Record<string, unknown>> {
  log.warn(
    "drill",
    `There is no "${name}" here, so no server was started on the backup: its files were restored, and no more is proven. ` +
      "Install the server where you drill",
  );
  return { server: "none" };
}

/** Restores what lies in a drill's folder through the stage of a private server, as a restore in place would. */
export async function refill(stage: Stage<void, Files>, folder: string, context: Context): Promise<void> {
  const want = { ...context.want, into: undefined, inPlace: true, only: [], strip: 0, report: undefined };
  await stage.undo(filesIn(folder), { ...context, want, progress: () => {} });
}

function filesIn(folder: string): Files {
  async function* entries(): AsyncGenerator<Entry, void, undefined> {
    for (const name of readdirSync(folder).sort()) {
      const path = join(folder, name);
      const stat = statSync(path);
      if (!stat.isFile()) continue;
      const body = stat.size < 1 << 20 ? new Uint8Array(await readFile(path)) : () => reading(path);
      yield { ...fileEntry(name, stat.mtime), bytes: stat.size, body };
    }
  }
  return { kind: "files", entries, facts: () => ({ sources: [], stages: [] }) };
}

function reading(path: string): ReturnType<typeof toBytes> {
  return toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
    yield* (await Deno.open(path)).readable;
  });
}
