/** A lock that is let go of is free at once, also where programs are being started beside it. */
import assert from "node:assert/strict";
import { unlock } from "../src/unlock.ts";
import { scratch } from "./support.ts";

/** Starts one program after another until it is stopped. */
const STARTER = `import { execFileSync } from "node:child_process";
self.postMessage("begun");
for (;;) execFileSync("true");`;

Deno.test("a lock that is let go of can be taken at once, while other threads start programs", async () => {
  using tmp = scratch();
  Deno.writeTextFileSync(tmp.join("starter.js"), STARTER);
  const starter = new Worker(new URL(`file://${tmp.join("starter.js")}`), { type: "module" });
  try {
    await new Promise((resolve) => starter.onmessage = resolve);
    const path = tmp.join("lock");
    const open = (): Deno.FsFile => Deno.openSync(path, { read: true, write: true, create: true });
    const end = performance.now() + 500;
    let taken = 0;
    for (let n = 0; n < 1000 || performance.now() < end; n++) {
      const file = open();
      if (file.tryLockSync(true)) taken++;
      else assert.fail(`not free the ${n}th time`);
      unlock(file);
    }
    assert.ok(taken >= 1000);
  } finally {
    starter.terminate();
  }
});
