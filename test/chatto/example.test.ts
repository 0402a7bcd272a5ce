/** The nightly example, as cron would run it. */
import { strict as assert } from "node:assert";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { chattoRestore } from "../../src/recipes/chatto.ts";
import { ask } from "../jetstream/support.ts";
import { judged } from "../support.ts";
import { startChatto } from "./support.ts";

const EXAMPLE = fileURLToPath(new URL("../../examples/chatto_nightly.ts", import.meta.url));

judged(
  "examples/chatto_nightly.ts writes an archive with the keys, in under 30 lines",
  ["nats-server"],
  async () => {
    assert.ok(readFileSync(EXAMPLE, "utf8").split("\n").length < 30);
    await using chatto = await startChatto();
    await using other = await startChatto({ fill: false });
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-prompt", EXAMPLE, "chatto.toml", "pw", "store"],
      cwd: chatto.dir,
    }).output();
    assert.equal(code, 0, new TextDecoder().decode(stderr));
    const id = new TextDecoder().decode(stdout).trim();
    await chattoRestore(`${chatto.dir}/store/${id}`, {
      config: `${other.dir}/chatto.toml`,
      passphrase: () => "correct horse",
    });
    assert.deepEqual((await ask(other.server.nc, "STREAM.NAMES")).streams, [
      "EVT",
      "KV_ENCRYPTION_KEYS",
      "KV_RUNTIME_STATE",
      "NOTIFICATIONS",
    ]);
  },
);
