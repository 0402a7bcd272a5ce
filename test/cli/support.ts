/** Runs the tasks as real processes, as cron would: a bare environment and a home of their own. */
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";

/** The project's folder, without a slash at the end. */
export const ROOT: string = fileURLToPath(new URL("../..", import.meta.url)).replace(/\/$/, "");

/** Where Deno keeps packages: a home of its own would have to fetch them again. */
const DENO_DIR: string = JSON.parse(
  execFileSync(Deno.execPath(), ["info", "--json"], { encoding: "utf8" }),
).denoDir;

/** What a run of a task gave. */
export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** A user: a home, and the folder to stand in. */
export interface User {
  readonly home: string;
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** The environment of a user, and nothing else. */
export function bareEnv({ home, env }: User): Record<string, string> {
  return { HOME: home, PATH: "/usr/bin:/bin", DENO_DIR, ...env };
}

/** Starts a task directly, as the printed lines and cron do. */
export function start(user: User, task: string, args: readonly string[], stdin = false): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-prompt", `${ROOT}/tasks/${task}.ts`, ...args],
    cwd: user.cwd,
    clearEnv: true,
    env: bareEnv(user),
    stdin: stdin ? "piped" : "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Runs the line that `config --permissions` prints for a plan: the backup, with these permissions and no more. */
export async function runPrinted(user: User, plan: string): Promise<Ran> {
  const printed = await run(user, "config", ["--plan", plan, "--permissions"]);
  if (printed.code !== 0) return printed;
  const child = new Deno.Command("/bin/sh", {
    args: ["-c", printed.out.trim().replace(/^deno /, `'${Deno.execPath()}' `)],
    cwd: user.cwd,
    clearEnv: true,
    env: bareEnv(user),
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  return await ended(child);
}

/** Runs a task to its end; `input` is its standard input. */
export async function run(user: User, task: string, args: readonly string[], input?: string): Promise<Ran> {
  const child = start(user, task, args, input !== undefined);
  if (input !== undefined) {
    const writer = child.stdin.getWriter();
    // A task that fails early does not read it.
    await writer.write(new TextEncoder().encode(input)).then(() => writer.close()).catch(() => {});
  }
  return await ended(child);
}

/** Waits for a process and gives what it wrote. */
export async function ended(child: Deno.ChildProcess): Promise<Ran> {
  const { code, stdout, stderr } = await child.output();
  return { code, out: new TextDecoder().decode(stdout), err: new TextDecoder().decode(stderr) };
}

/** The objects of a `--json` output. */
// deno-lint-ignore no-explicit-any -- each command documents its own shape, and the test looks at it
export function lines(text: string): any[] {
  return text.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
}

/** A tree with what backups meet every day. */
export function makeTree(folder: string): void {
  Deno.mkdirSync(`${folder}/a/b`, { recursive: true });
  Deno.writeTextFileSync(`${folder}/a/b/letter.txt`, "Dear reader\n");
  Deno.writeTextFileSync(`${folder}/empty`, "");
  Deno.writeTextFileSync(`${folder}/ünï çødé`, "x".repeat(100_000));
  Deno.mkdirSync(`${folder}/cache`);
  Deno.writeTextFileSync(`${folder}/cache/big`, "y".repeat(1000));
  Deno.symlinkSync("a/b", `${folder}/link`);
  Deno.chmodSync(`${folder}/a/b/letter.txt`, 0o640);
}
