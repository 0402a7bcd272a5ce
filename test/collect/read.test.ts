/** What happens to a small file between its first look and its last. `known` is asked in between, for a file of two names. */
import { strict as assert } from "node:assert";
import { linkSync, renameSync, utimesSync, writeFileSync } from "node:fs";
import { NODE } from "../../src/collect/io.ts";
import { openCarefully } from "../../src/collect/read.ts";
import { scratch } from "../support.ts";

function openWhile(path: string, change: () => void): ReturnType<typeof openCarefully> {
  return openCarefully(
    path,
    () => {
      change();
      return false;
    },
    (kind) => assert.fail(kind),
    NODE,
  );
}

Deno.test("openCarefully() reads a small file again when only its time has changed", () => {
  using dir = scratch();
  const path = dir.join("file");
  writeFileSync(path, "same length");
  linkSync(path, dir.join("other"));
  utimesSync(path, 1000, 1000);
  const opened = openWhile(path, () => utimesSync(path, 2000, 2000));
  assert.equal(opened?.stat.mtimeMs, 2_000_000);
  assert.equal(opened.changed, false);
});

Deno.test("openCarefully() gives what it opened when another file takes the name meanwhile", () => {
  using dir = scratch();
  const path = dir.join("file");
  writeFileSync(path, "the old one");
  linkSync(path, dir.join("other"));
  writeFileSync(dir.join("new"), "the new one, longer");
  const opened = openWhile(path, () => renameSync(dir.join("new"), path));
  assert.equal(new TextDecoder().decode(opened?.whole), "the old one");
  assert.equal(opened?.changed, false);
});

Deno.test("openCarefully() reads a small file again when it has become shorter", () => {
  using dir = scratch();
  const path = dir.join("file");
  writeFileSync(path, "long at first");
  linkSync(path, dir.join("other"));
  const opened = openWhile(path, () => writeFileSync(path, "short"));
  assert.equal(new TextDecoder().decode(opened?.whole), "short");
  assert.equal(opened?.stat.size, 5);
});
