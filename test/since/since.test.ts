/** Backups of what has changed: what they hold, and that they come back as the tree was. */
import { strict as assert } from "node:assert";
import * as fs from "node:fs";
import { restore } from "../../src/restore.ts";
import { scene, shape } from "./support.ts";

Deno.test("each backup of a chain comes back as the tree was then, byte for byte and with its metadata", async () => {
  using at = scene();
  fs.mkdirSync(`${at.src}/docs/deep`, { recursive: true });
  fs.writeFileSync(`${at.src}/docs/a.txt`, "one");
  fs.writeFileSync(`${at.src}/docs/deep/b.txt`, "two");
  fs.writeFileSync(`${at.src}/docs/deep/c.txt`, "three");
  fs.symlinkSync("a.txt", `${at.src}/docs/link`);
  fs.linkSync(`${at.src}/docs/a.txt`, `${at.src}/docs/hard`);
  const first = await at.run();
  const shapes = [shape(at.src)];
  fs.writeFileSync(`${at.src}/docs/a.txt`, "ONE");
  fs.rmSync(`${at.src}/docs/deep`, { recursive: true });
  fs.writeFileSync(`${at.src}/docs/deep`, "a file now");
  const second = await at.run();
  shapes.push(shape(at.src));
  const third = await at.run();
  shapes.push(shape(at.src));
  const backups = [first, second, third];
  for (const [i, { id }] of backups.entries()) {
    await restore(at.plan(), { id, into: at.join(`out${i}`) });
    assert.deepEqual(shape(at.join(`out${i}/app`)), shapes[i]);
  }
});
