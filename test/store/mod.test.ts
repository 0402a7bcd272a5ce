import assert from "node:assert/strict";
import fc from "fast-check";
import { resolve } from "node:path";
import { ConfigError } from "../../src/errors.ts";
import { checkKey, compareKeys } from "../../src/store/key.ts";
import { open } from "../../src/store/mod.ts";

Deno.test("open() reads paths and URLs", () => {
  const table: [string, string][] = [
    ["./backups", resolve("backups")],
    ["backups", resolve("backups")],
    ["/srv/back ups/", "/srv/back ups"],
    ["../b:c", resolve("../b:c")],
    ["file:///srv/back%20ups", "/srv/back ups"],
    ["FILE:///srv", "/srv"],
    ["memory:", "memory:"],
    ["s3://Bucket", "s3://Bucket"],
    ["s3://backups/a/c/?region=eu-central-1", "s3://backups/a/c?region=eu-central-1"],
    ["s3://bkp?endpoint=https%3A%2F%2Fh%3A9000", "s3://bkp?endpoint=https://h:9000"],
    ["S3://bkp/x%20y?pathStyle=true&sse=s3&lock=governance:3&tag=a:b", "s3://bkp/x%20y?pathStyle=true"],
    ["sftp://me@host/srv/b?key=/k&retries=3", "sftp://me@host/srv/b"],
    ["SFTP://me@host:2222/~/a%20b/", "sftp://me@host:2222/~/a%20b"],
    ["sftp://me@[::1]", "sftp://me@[::1]/~"],
    ["nats://host:4222/b/x%20y?credsFile=/etc/c&create=true", "nats://host:4222/b/x%20y"],
  ];
  for (const [location, url] of table) assert.equal(open(location).url, url, location);
  assert.equal(open("./backups", { base: "/home/me" }).url, "/home/me/backups");
  assert.equal(open("/backups", { base: "/home/me" }).url, "/backups");
});

Deno.test("open() refuses what it does not know, without repeating what may be a secret", () => {
  for (
    const location of [
      "s3://key:hunter2@bucket",
      "s3://bkp?endpoint=http://me:hunter2@host",
      "s3://bkp?secret=hunter2",
      "nats://hunter2@host:4222/b",
      "sftp://me:hunter2@host/p",
      "sftp://me@host/p?password=hunter2",
      "sftp://me@host/p?passwordFile=hunter2",
      "nats://host:4222/b?token=hunter2",
    ]
  ) {
    assert.throws(() => open(location), (error) => {
      assert.ok(error instanceof ConfigError);
      assert.doesNotMatch(error.message, /hunter2/);
      return true;
    });
  }
  assert.throws(
    () => open("https://me:hunter2@host"),
    /^ConfigError: Cannot open the store "https:\.\.\.": this scheme/,
  );
  assert.throws(() => open("constructor:x"), ConfigError);
  for (const location of ["", " ", "file://host/share"]) {
    assert.throws(() => open(location), ConfigError, location);
  }
});

Deno.test("compareKeys() orders as the bytes of the keys do", () => {
  const text = fc.string({ unit: "grapheme", maxLength: 6 });
  fc.assert(
    fc.property(text, text, text, (common, a, b) => {
      const [x, y] = [common + a, common + b];
      const bytes = (key: string): string => new TextEncoder().encode(key).toHex();
      const expected = bytes(x) < bytes(y) ? -1 : bytes(x) > bytes(y) ? 1 : 0;
      assert.equal(Math.sign(compareKeys(x, y)), expected);
    }),
    { seed: 1, numRuns: 2000 },
  );
  assert.ok(compareKeys("\u{1f600}", "\uff5e") > 0);
});

Deno.test("checkKey() lets nothing leave a folder", () => {
  const part = fc.oneof(fc.constantFrom("..", ".", "", "a", "\\", "\0"), fc.string({ maxLength: 4 }));
  fc.assert(
    fc.property(fc.array(part, { maxLength: 5 }), (parts) => {
      const key = parts.join("/");
      try {
        checkKey(key);
      } catch (error) {
        assert.ok(error instanceof TypeError);
        return;
      }
      assert.equal(resolve("/store", key), `/store/${key}`);
    }),
    { seed: 2, numRuns: 5000 },
  );
});
