/**
 * Wrong orders do not compile: every file in bad/ is compiled, and the first line of its diagnostic is compared with bad.txt. The
 * messages are what a user reads, so they have a golden file: UPDATE_GOLDEN=1 rewrites it.
 */
import { strict as assert } from "node:assert";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";

const here = new URL(".", import.meta.url);
const golden = new URL("bad.txt", here);
const cases = readdirSync(new URL("bad/", here)).filter((name) => name.endsWith(".ts")).sort();

Deno.test("wrong chains do not compile, and say why", async () => {
  const found = await diagnostics();
  const lines = cases.map((name) => `${name.slice(0, -3)}: ${found.get(name) ?? "COMPILES"}`);
  if (Deno.env.get("UPDATE_GOLDEN")) writeFileSync(golden, lines.join("\n") + "\n");
  assert.deepEqual(lines, readFileSync(golden, "utf8").trimEnd().split("\n"));
  assert.ok(lines.every((line) => !line.endsWith("COMPILES")), "a wrong chain compiles");
});

/** The first line of the first diagnostic of each file in bad/. */
async function diagnostics(): Promise<Map<string, string>> {
  const { stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["check", "--quiet", ...cases.map((name) => `test/types/bad/${name}`)],
    cwd: new URL("../../", here),
    env: { NO_COLOR: "1" },
    stdout: "null",
    stderr: "piped",
  }).output();
  const found = new Map<string, string>();
  let message: string | undefined;
  for (const line of new TextDecoder().decode(stderr).split("\n")) {
    const head = /^TS\d+ \[ERROR\]: (.*)$/.exec(line);
    if (head) message ??= head[0];
    const place = /^\s+at file:.*\/bad\/([a-z_]+\.ts):\d+/.exec(line);
    if (!place) continue;
    if (message !== undefined && !found.has(place[1]!)) found.set(place[1]!, message);
    message = undefined;
  }
  return found;
}
