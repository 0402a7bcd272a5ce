/** Souls for tests alone, and the nara tasks as processes. */
import { strict as assert } from "node:assert";
import { fileURLToPath } from "node:url";

/** Souls for tests alone. */
export const ALICE = "9u2KM5Lw9wB1qaK3S46B4cWHTcpbCPG19wgWG9i233fX87HCA4bLYoG";
export const BOB = "AwWZ9cD5cygmGWe6tc3Pak99cunLTXjJ4p5Cw4vo1hzcepmkkfiNgyt";
/** Seed 00 01 ... 1f, bound to "alice". */
export const ZERO = "1fAhYWqs6ctsWHNZtpYJNB9BxxQPq4Pa5LkbLC3wpAibf9kJFt7JP";

/** The project's folder. */
export const root = fileURLToPath(new URL("../../", import.meta.url));

/** How a task ended. */
export interface Ran {
  code: number;
  out: string;
  bytes: Uint8Array;
  err: string;
}

/** A task as a process. */
export function command(
  script: string,
  args: readonly string[],
  env: Record<string, string> = {},
): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-prompt", "--no-check", `${root}${script}`, ...args],
    env: { NO_COLOR: "1", NARA_SOUL: "", ...env },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  });
}

/** Runs a task to its end; no soul may be seen. */
export async function run(
  script: string,
  args: readonly string[],
  options: { input?: string | Uint8Array; env?: Record<string, string> } = {},
): Promise<Ran> {
  const child = command(script, args, options.env).spawn();
  const writer = child.stdin.getWriter();
  const { input = "" } = options;
  await writer.write(typeof input === "string" ? new TextEncoder().encode(input) : input).catch(() => {});
  await writer.close().catch(() => {});
  const { code, stdout, stderr } = await child.output();
  const err = new TextDecoder().decode(stderr);
  assert.ok(!err.includes(ALICE) && !err.includes(BOB), "no soul is ever shown");
  return { code, out: new TextDecoder().decode(stdout), bytes: stdout, err };
}

/** A log's text. */
export const joined = (lines: readonly string[]): string => lines.map((line) => line + "\n").join("");

/** The variable that gives alice's soul. */
export const soul = { NARA_SOUL: ALICE };
