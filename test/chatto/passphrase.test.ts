/** chatto:passphrase: another passphrase for a file, or the file as it was. */
import { strict as assert } from "node:assert";
import { readAll, text, utf8 } from "../../src/bytes.ts";
import { openText, sealText } from "../../src/recipes/chatto/chain.ts";
import { replaceFile } from "../../src/recipes/chatto/files.ts";
import { run } from "../cli/support.ts";
import { scratch, testContext } from "../support.ts";

Deno.test("chatto:passphrase changes it, and leaves the file alone when it cannot", async () => {
  using dir = scratch();
  const user = { home: dir.path, cwd: dir.path };
  const file = dir.join("keys.backup");
  const context = testContext();
  for (const word of ["old", "new"]) Deno.writeTextFileSync(dir.join(word), `the ${word} one\n`);
  await replaceFile(file, await sealText(utf8("the keys"), () => "the old one", context));
  const args = (
    from: string,
    to: string,
  ): string[] => ["keys.backup", "--old-passphrase-file", from, "--passphrase-file", to];
  const before = Deno.readFileSync(file);
  const wrong = await run(user, "chatto_passphrase", args("new", "old"));
  assert.equal(wrong.code, 4, wrong.err);
  assert.deepEqual(Deno.readFileSync(file), before);
  Deno.writeTextFileSync(`${file}.receipt.json`, "{}");
  assert.equal((await run(user, "chatto_passphrase", args("old", "new"))).code, 2);
  Deno.removeSync(`${file}.receipt.json`);
  const done = await run(user, "chatto_passphrase", args("old", "new"));
  assert.equal(done.code, 0, done.err);
  const now = Deno.readFileSync(file);
  assert.equal(text(await readAll(await openText(now, () => "the new one", context), 1000)), "the keys");
  await assert.rejects(
    async () => await readAll(await openText(now, () => "the old one", context), 1000),
    /does not fit/,
  );
  now[now.length - 1]! ^= 1;
  Deno.writeFileSync(file, now);
  const damaged = await run(user, "chatto_passphrase", args("new", "old"));
  assert.equal(damaged.code, 5, damaged.err);
  assert.deepEqual(Deno.readFileSync(file), now);
  assert.deepEqual([...Deno.readDirSync(dir.path)].map(({ name }) => name).sort(), [
    "keys.backup",
    "new",
    "old",
  ]);
});
