/**
 * The programs that come with a database: asked for a line, or run to their end.
 *
 * @module
 */
import { join } from "node:path";
import { readAll, text } from "../../bytes.ts";
import { type Account, start } from "../../child.ts";
import { askSecret } from "../../secrets.ts";

/** Longest answer that is read: 16 MiB, a million names. */
const ANSWER = 16 * 1024 * 1024;

/** How a program is run. */
export interface Call {
  /** Program and arguments; no shell, and no secret. */
  readonly argv: readonly string[];
  /** Variables added to the environment, secrets among them. */
  readonly env: Readonly<Record<string, string>>;
  /** Working folder; default: the current one. */
  readonly cwd?: string | undefined;
  /** Whose process it is; only root can say so. Default: ours. */
  readonly as?: Account | undefined;
}

/** What a program prints, without the last newline. Throws an Error that begins with `failed` when it does not end well. */
export async function ask(
  failed: string,
  { argv, env, cwd, as }: Call,
  signal: AbortSignal,
): Promise<string> {
  const child = start({ argv, cwd, env, use: "stdout", as, signal });
  try {
    const answer = text(await readAll(child.stdout!, ANSWER, `the answer of "${argv[0]}"`));
    const failure = await child.end();
    signal.throwIfAborted();
    if (failure !== undefined) throw new Error(`${failed}: "${argv[0]}" ${failure}`);
    return answer.replace(/\n$/, "");
  } finally {
    await child.stop();
  }
}

/** A program by its name, in a folder of its own where one is given. */
export function programIn(bin: string | undefined, name: string): string {
  return bin === undefined ? name : join(bin, name);
}

/** A password as a variable of the environment; none where there is no function for it. */
export async function secretEnv(
  variable: string,
  secret: (() => string | Promise<string>) | undefined,
): Promise<Readonly<Record<string, string>>> {
  return secret === undefined ? {} : { [variable]: await askSecret(secret, "the database's password") };
}

/** Throws TypeError unless each option that is given is text without NUL. */
export function checkTexts(what: string, options: Readonly<Record<string, string | undefined>>): void {
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined) continue;
    if (typeof value !== "string" || value === "" || value.includes("\0")) {
      throw new TypeError(`Cannot back up ${what}: "${name}" must be text, not ${JSON.stringify(value)}`);
    }
  }
}

/** Throws RangeError unless the port is one. */
export function checkPort(what: string, port: number | undefined): void {
  if (port === undefined || (Number.isInteger(port) && port > 0 && port < 65536)) return;
  throw new RangeError(`Cannot back up ${what}: ${port} is not a port`);
}
