import assert from "node:assert/strict";
import * as fs from "node:fs";
import { noise, scratch } from "../support.ts";
import { dir, file, hard, leftovers, link, restore, streamed, TIME } from "./extract_support.ts";

Deno.test("extract() writes every kind with content, mode and time", async () => {
  using tmp = scratch();
  const into = tmp.join("out");
  await restore([
    dir("app", 0o750),
    file("app/a", "hello", { mode: 0o640 }),
    file("app/empty", ""),
    hard("app/h", "app/a"),
    link("app/l", "nowhere/at all"),
    dir("app/sub", 0o500, { mtimeMs: -86_400_123 }),
    streamed("app/sub/big", [noise(1 << 20), noise(77)], { mtimeMs: 1_600_000_000_999, mode: 0o4755 }),
    file("app/sub/old", "x", { mtimeMs: -1_500 }),
  ], { into });
  const at = (path: string): fs.Stats => fs.lstatSync(`${into}/${path}`);
  assert.equal(fs.readFileSync(`${into}/app/a`, "utf8"), "hello");
  assert.equal(at("app").mode & 0o7777, 0o750);
  assert.equal(at("app/a").mode & 0o7777, 0o640);
  assert.equal(at("app/a").mtimeMs, TIME);
  assert.equal(at("app").mtimeMs, TIME);
  assert.equal(at("app/l").mtimeMs, TIME);
  assert.equal(at("app/h").ino, at("app/a").ino);
  assert.equal(fs.readlinkSync(`${into}/app/l`), "nowhere/at all");
  assert.equal(at("app/sub").mode & 0o7777, 0o500);
  assert.equal(at("app/sub").mtimeMs, -86_400_123);
  assert.equal(at("app/sub/big").mode & 0o7777, 0o4755);
  assert.equal(at("app/sub/big").mtimeMs, 1_600_000_000_999);
  assert.equal(at("app/sub/big").size, (1 << 20) + 77);
  assert.equal(at("app/sub/old").mtimeMs, -1_500);
  assert.equal(fs.lstatSync(into).mode & 0o7777, 0o755);
  assert.deepEqual(leftovers(tmp.path), []);
});
