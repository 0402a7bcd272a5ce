/** Database servers of the system's packages: in scratch folders, on free ports, as an ordinary user. */
import { strict as assert } from "node:assert";
import { execFileSync, spawn } from "node:child_process";
import { chmodSync, chownSync, existsSync, readdirSync } from "node:fs";
import { archive, backup, encrypt, pipeline, sign, upload } from "../../mod.ts";
import { freePort } from "../store/s3_server.ts";
import { readAll, text } from "../../src/bytes.ts";
import type { Plan } from "../../src/find.ts";
import type { Files, Stage, Store } from "../../src/stage.ts";

/** An ordinary user: these servers refuse to run as root. */
const NOBODY = 65534;
const ROOT = Deno.uid() === 0;

/** The ordinary user's way to run a program. */
export function asUser(argv: readonly string[]): readonly [string, string[]] {
  if (!ROOT) return [argv[0]!, argv.slice(1)];
  return ["setpriv", [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups", ...argv]];
}

/** A folder that the ordinary user owns. */
export function userFolder(path: string): string {
  Deno.mkdirSync(path);
  chmodSync(path, 0o700);
  if (ROOT) chownSync(path, NOBODY, NOBODY);
  return path;
}

/** A server that runs until its scope ends. */
export interface Running extends AsyncDisposable {
  /** Ends it at once, as a crash would. */
  readonly kill: () => Promise<void>;
}

/** Starts a server, and waits until it answers. */
export async function serve(argv: readonly string[], answers: () => boolean): Promise<Running> {
  const [program, args] = asUser(argv);
  const child = spawn(program, args, { stdio: ["ignore", "ignore", "pipe"], cwd: "/" });
  let said = "";
  child.stderr!.on(
    "data",
    (chunk: Uint8Array) => said = (said + new TextDecoder().decode(chunk)).slice(-4000),
  );
  let over = false;
  const ended = new Promise<void>((resolve) =>
    child.once("close", () => {
      over = true;
      resolve();
    })
  );
  const kill = async (signal: "SIGKILL" | "SIGQUIT"): Promise<void> => {
    if (!over) child.kill(signal);
    await ended;
  };
  for (let i = 0; !answers(); i++) {
    if (over || i > 600) {
      await kill("SIGKILL");
      throw new Error(`"${argv[0]}" does not answer: ${said}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return { kill: () => kill("SIGQUIT"), [Symbol.asyncDispose]: () => kill("SIGQUIT") };
}

/** Starts a server on a free port; on another one when the first is taken meanwhile. */
export async function onFreePort<T>(start: (port: number) => Promise<T>): Promise<T> {
  for (let left = 3;; left--) {
    try {
      return await start(freePort());
    } catch (error) {
      if (left === 1) throw error;
    }
  }
}

/** Whether a program ends well. */
export function works(program: string, args: readonly string[], env: Record<string, string> = {}): boolean {
  try {
    execFileSync(program, args, { stdio: "ignore", env: { ...Deno.env.toObject(), ...env } });
    return true;
  } catch {
    return false;
  }
}

/** The usual chain, in the clear or not, over a source. */
export function planOver(source: Stage<void, Files>, to: Store, recipient: string, identity: string): Plan {
  return pipeline(source)
    .pipe(archive.tar())
    .pipe(encrypt.age({ recipients: [recipient], identities: () => identity }))
    .pipe(sign.sha256())
    .pipe(upload({ name: "db", to }));
}

/** The folder of the newest version of a system's PostgreSQL, or "". */
export function postgresBin(): string {
  const root = "/usr/lib/postgresql";
  const versions = existsSync(root) ? readdirSync(root).sort((a, b) => Number(a) - Number(b)) : [];
  return versions.length === 0 ? "" : `${root}/${versions.at(-1)}/bin`;
}

/** Waits until something holds. */
export async function until(holds: () => boolean): Promise<void> {
  for (let i = 0; !holds(); i++) {
    if (i > 600) throw new Error("Waited a minute in vain");
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** How many objects a store holds. */
export async function objects(to: Store): Promise<number> {
  let count = 0;
  for await (const _ of to.list()) count++;
  return count;
}

/** Backs up what must fail: in these words, with nothing stored and no password shown ("pass-w..."). */
export async function failsToStore(source: Stage<void, Files>, expected: RegExp, to: Store): Promise<void> {
  const { identity, recipient } = await encrypt.generateIdentity();
  await assert.rejects(backup(planOver(source, to, recipient, identity)), (error: Error) => {
    assert.match(error.message, expected);
    assert.ok(!error.message.includes("pass-w"), "no password in it");
    return true;
  });
  assert.equal(await objects(to), 0);
}

/** What the collector's own proof put into the one drill's receipt. */
export async function provenIn(to: Store): Promise<Readonly<Record<string, unknown>>> {
  for await (const { key } of to.list()) {
    if (key.endsWith(".drill.json")) {
      return JSON.parse(text(await readAll(await to.get(key), 1e6))).facts.proven;
    }
  }
  throw new Error("There is no drill");
}
