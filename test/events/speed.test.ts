/** 200,000 events (HOLDFAST_SOAK=1: a million) from ten overlapping peers: the union, sorted, in bounded memory. */
import { strict as assert } from "node:assert";
import { fileURLToPath } from "node:url";

const soak = Deno.env.get("HOLDFAST_SOAK") === "1";
// Each event is held by four of the ten peers.
const LOG = soak ? 250_000 : 50_000;

Deno.test(`events: ${LOG * 4} events from ten peers, merged, deduplicated and sorted`, async () => {
  const peers = script("speed.ts", [], String(LOG), "5000").spawn();
  try {
    const reader = peers.stdout.getReader();
    const port = new TextDecoder().decode((await reader.read()).value).trim();
    await reader.cancel();
    // A process of its own, with the flag that the tasks have: a test runner's memory says nothing.
    const { code, stdout } = await script("speed_reader.ts", ["--v8-flags=--max-semi-space-size=1"], port)
      .output();
    assert.equal(code, 0);
    const { rate, peak, sorted, ...facts } = JSON.parse(new TextDecoder().decode(stdout));
    assert.deepEqual(facts, { events: LOG, duplicates: LOG * 3, conflicts: 0 });
    assert.equal(sorted, true);
    console.error(`${rate} events a second, peak ${Math.round(peak)} MiB`);
    if (soak) assert.ok(peak < 256, `${peak} MiB`);
  } finally {
    peers.kill("SIGTERM");
    await peers.status;
  }
});

function script(name: string, flags: readonly string[], ...args: readonly string[]): Deno.Command {
  const path = fileURLToPath(new URL(name, import.meta.url));
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-prompt", ...flags, path, ...args],
    stdout: "piped",
    stderr: "null",
  });
}
