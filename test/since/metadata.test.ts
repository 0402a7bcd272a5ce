/** Full metadata through a chain of increments, sealed, stored and back: compared by stock tools. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readAll } from "../../src/bytes.ts";
import { cat } from "../../src/cat.ts";
import { restore } from "../../src/restore.ts";
import { verify } from "../../src/verify.ts";
import { judged } from "../support.ts";
import { scene } from "./support.ts";

const TOOLS = ["getfattr", "setfattr", "getfacl", "setfacl"];

function run(line: string, cwd: string): string {
  return execFileSync("/bin/bash", ["-c", `set -e -o pipefail; ${line}`], { encoding: "latin1", cwd });
}

function look(cwd: string): string {
  return run(
    `getfattr -R -h -d -e hex -m - . 2>/dev/null | awk -v RS= '{gsub("\\n"," ");print}' | LC_ALL=C sort
    getfacl -R -n -E . | awk -v RS= '{gsub("\\n"," ");print}' | LC_ALL=C sort
    find . -mindepth 1 -printf '%P %y %m %T@ %n %l\\n' | LC_ALL=C sort`,
    cwd,
  );
}

judged(
  "a chain of increments keeps attributes, ACLs, nanoseconds, holes and names of any bytes",
  TOOLS,
  async () => {
    using stage = scene();
    const { src } = stage;
    run(
      `mkdir -p d/sub $'r\\xe9'; echo 1 > d/a; echo 2 > d/sub/b; echo 3 > $'r\\xe9/c\\xff'; ln -s $'c\\xff' $'r\\xe9/l'
    setfattr -n user.k -v one d/a; setfacl -m u:4242:r d/a; setfacl -d -m u:4242:rx d; setfattr -n user.d -v x d
    truncate -s 2M d/hole; echo end >> d/hole; touch -d '2001-02-03 04:05:06.123456789' d/sub/b`,
      src,
    );
    await stage.run();
    // Only the attributes of a file, a folder, and another folder's content.
    run(
      "setfattr -n user.k -v two d/a; setfacl -m g:77:x d; echo 4 > d/sub/new; echo 5 > $'r\\xe9/c\\xff'",
      src,
    );
    const second = await stage.run();
    assert.ok(!stage.said.some((line) => line.startsWith("name:")), stage.said.join("\n"));
    const into = stage.join("o");
    const { warnings } = await restore(stage.plan(), { into });
    assert.deepEqual(warnings, {});
    assert.equal(look(`${into}/app`), look(src));
    assert.ok(Number(run("stat -c %b app/d/hole", into)) < 512, "the hole was filled");
    const content = await cat(stage.plan(), { id: second.id, path: "app/r\\xE9/c\\xFF" });
    assert.equal(new TextDecoder().decode(await readAll(content, 100)), "5\n");
    // A part, by ranges: its attributes come along.
    await restore(stage.plan(), { into: stage.join("p"), only: ["app/d/a"] });
    assert.match(
      run("getfattr -n user.k --only-values p/app/d/a; getfacl -n p/app/d", stage.join()),
      /^two[^]*group:77:--x[^]*default:user:4242:r-x/,
    );
    for (const id of [second.id]) assert.ok(await verify(stage.plan(), { id, level: "full" }));
  },
);
