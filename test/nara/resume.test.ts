/** nara:restore, killed while it sends: the next run sends what is missing, and nothing twice. */
import { strict as assert } from "node:assert";
import { writeFileSync } from "node:fs";
import { parseSoul } from "../../src/recipes/nara/soul.ts";
import { scratch } from "../support.ts";
import { startPeer, teases } from "./peer.ts";
import { ALICE, command, joined, run, soul } from "./support.ts";

const alice = parseSoul(ALICE);

for (const after of [0, 1, 4]) {
  Deno.test(`nara:restore, killed with its batch ${after + 1} on the way, is resumed by a second run`, async () => {
    using dir = scratch();
    const log = teases(alice, 300);
    writeFileSync(dir.join("log"), joined(log));
    let child: Deno.ChildProcess | undefined;
    let posts = 0;
    await using target = startPeer({
      name: "alice",
      soul: ALICE,
      down: () => {
        // The first is empty: it asks whether the soul is right. What is on the way when the sender dies arrives all the same.
        if (posts++ === after + 1) child?.kill("SIGKILL");
        return false;
      },
    });
    const args = ["-nara-url", target.url, "--input", dir.join("log"), "--batch", "50", "--json"];
    child = command("tasks/nara_restore.ts", args, soul).spawn();
    await child.stdin.close();
    assert.equal((await child.output()).signal, "SIGKILL");
    child = undefined;
    assert.equal(target.events().length, 50 * (after + 1));
    const second = await run("tasks/nara_restore.ts", args, { env: soul });
    assert.equal(second.code, 0, second.err);
    const { present, sent, imported, duplicates, kept } = JSON.parse(second.out) as Record<string, number>;
    const rest = 300 - 50 * (after + 1);
    assert.deepEqual([present, sent, imported, duplicates, kept], [300 - rest, rest, rest, 0, rest]);
    assert.deepEqual(target.lines().toSorted(), log.toSorted());
  });
}
