/** examples/monitored.ts, run as a user would. */
import { strict as assert } from "node:assert";
import { ROOT } from "../cli/support.ts";
import { treeScratch } from "../engine/support.ts";
import { receiver } from "./support.ts";

Deno.test("examples/monitored.ts tells of its run, looks after it and writes the page", async () => {
  await using hub = receiver();
  using dir = treeScratch();
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--no-prompt",
      "examples/monitored.ts",
      dir.join("src"),
      dir.join("store"),
      `${hub.url}/room`,
      dir.join("page.html"),
    ],
    cwd: ROOT,
    stdin: "null",
  }).output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
  assert.match(new TextDecoder().decode(stdout), /^healthy/);
  const texts = hub.got.map(({ body }) => JSON.parse(body).text as string);
  assert.deepEqual(texts.map((text) => /^app: backup (\w+) on /.exec(text)?.[1]), ["started", "complete"]);
  assert.match(Deno.readTextFileSync(dir.join("page.html")), /<svg /);
});
