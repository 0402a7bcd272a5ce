/** examples/databases.toml: every plan is one that the command line takes, and its printed permissions name what it runs. */
import { strict as assert } from "node:assert";
import * as fs from "node:fs";
import { ROOT, run } from "../cli/support.ts";
import { scratch } from "../support.ts";

Deno.test("examples/databases.toml has a plan for each database, with the programs that it runs", async () => {
  using dir = scratch();
  fs.mkdirSync(dir.join("home"));
  const user = { home: dir.join("home"), cwd: dir.path };
  const example = `${ROOT}/examples/databases.toml`;
  const described = await run(user, "config", ["--config", example]);
  assert.equal(described.code, 0, described.err);
  const runs = {
    app: "pg_dump,pg_restore,psql",
    cluster: "pg_basebackup,psql",
    shop: "mariadb,mariadb-dump",
    cache: "redis-cli",
    etcd: "etcdctl,etcdutl,sh",
  };
  for (const [plan, programs] of Object.entries(runs)) {
    assert.match(described.out, new RegExp(`^\\[plan\\.${plan}\\]`, "m"));
    const printed = await run(user, "config", ["--config", example, "--plan", plan, "--permissions"]);
    assert.match(printed.out, new RegExp(` --allow-run=${programs} `), printed.err);
  }
});
