/** What a command says and ends with when one of several targets is dead, or its ledger is not what it was. */
import { strict as assert } from "node:assert";
import { scratch } from "../support.ts";
import { lines, run, type User } from "./support.ts";

/** A user with one backup called "src" in the folders "a" and "b". */
async function twoTargets(dir: ReturnType<typeof scratch>): Promise<User> {
  const user = { home: dir.path, cwd: dir.path };
  Deno.mkdirSync(dir.join("src"));
  Deno.writeTextFileSync(dir.join("src", "letter"), "Dear reader\n");
  const made = await run(user, "backup", ["src", "--to", "a", "--to", "b"]);
  assert.equal(made.code, 0, made.err);
  return user;
}

Deno.test("list and restore go on without a target that cannot be read, name it, and end with 3", async () => {
  using dir = scratch();
  const user = await twoTargets(dir);
  Deno.removeSync(dir.join("b"), { recursive: true });
  Deno.writeTextFileSync(dir.join("b"), "no folder");
  const both = ["--from", "a", "--from", "b"];
  for (const args of [["list"], ["restore", "--into", "out"]]) {
    const ran = await run(user, args[0]!, [...args.slice(1), ...both]);
    assert.equal(ran.code, 3, ran.err);
    assert.match(ran.err, /^Warning \(target\): Cannot read \S+\/b: /m);
  }
  const listed = await run(user, "list", both);
  assert.match(listed.out, /^src_\S+ +complete .*\/a$/m);
  assert.equal((await run(user, "list", ["--from", "b"])).code, 1);
});

Deno.test("verify says of the backup itself what it is, also where the ledger is not what it was", async () => {
  using dir = scratch();
  const user = await twoTargets(dir);
  const from = ["--from", "a"];
  const [first] = lines((await run(user, "list", [...from, "--json"])).out);
  await new Promise((resolve) => setTimeout(resolve, 1000)); // names are to the second
  const second = (await run(user, "backup", ["src", "--to", "a"])).out.trim();
  for (const { name } of Deno.readDirSync(dir.join("a"))) {
    if (name.startsWith(first.id)) Deno.removeSync(dir.join("a", name));
  }
  const says = async (level: string, text: RegExp): Promise<void> => {
    const { code, err } = await run(user, "verify", ["--level", level, ...from]);
    assert.equal(code, 5, err);
    assert.match(err, /Something other than Holdfast has removed backups/);
    assert.match(err, text);
  };
  await says("quick", /\. "src_\S+" itself is what its receipt says: sizes/);
  await says("full", /\. "src_\S+" itself is what its receipt says: every byte, and 2 entries/);
  assert.ok(![...Deno.readDirSync(dir.join("a"))].some(({ name }) => name.includes(".verify.")), "no proof");
  const bytes = Deno.readFileSync(dir.join("a", second));
  bytes[300]! ^= 1;
  Deno.writeFileSync(dir.join("a", second), bytes);
  await says("full", /\. "src_\S+" itself: (?!.*is what its receipt says)/);
});
