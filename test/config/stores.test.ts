/** A store of programs in a configuration: a backup through it, and what is said about a wrong one. */
import { strict as assert } from "node:assert";
import { mkdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { backup, restore } from "../../mod.ts";
import { parseConfig } from "../../src/config.ts";
import { ConfigError } from "../../src/errors.ts";
import { jobFromConfig } from "../../src/plan.ts";
import { treeScratch } from "../engine/support.ts";
import { sh } from "../support.ts";

const SCRIPT = fileURLToPath(new URL("../store/command_store.sh", import.meta.url));

function toml(root: string, change: Readonly<Record<string, string>> = {}): string {
  const verbs: Record<string, string> = {
    put: `["sh", "${SCRIPT}", "put", "{key}"]`,
    get: `["sh", "${SCRIPT}", "get", "{key}"]`,
    list: `["sh", "${SCRIPT}", "list"]`,
    delete: `["sh", "${SCRIPT}", "delete", "{key}"]`,
    move: `["sh", "${SCRIPT}", "move", "{from}", "{to}"]`,
    env: `{ ROOT = "${root}" }`,
    ...change,
  };
  return [
    '[plan.app]\ncollect = { files = ["src"] }\nencrypt = "plaintext"\nupload.to = "command:tape"',
    "[plan.app.upload.commands.tape]",
    ...Object.entries(verbs).filter(([, value]) => value !== "").map(([verb, value]) => `${verb} = ${value}`),
  ].join("\n");
}

Deno.test("a plan stores through programs that its configuration names, and restores from them", async () => {
  using dir = treeScratch();
  mkdirSync(dir.join("tape"));
  writeFileSync(dir.join("password"), "hunter2\n");
  const text = toml(dir.join("tape"), { secretFiles: '{ PASSWORD = "password" }' });
  const job = jobFromConfig(parseConfig(text, dir.join("backup.toml")), "app");
  const { id } = await backup(job.plan);
  sh(`cd '${dir.join("tape")}' && sha256sum -c '${id}.sha256'`);
  await restore(job.plan, { into: dir.join("out") });
  sh(`diff -r --no-dereference '${dir.join("src")}' '${dir.join("out")}/src'`);
});

Deno.test("a wrong store of programs is named by file, line and key", () => {
  const table: readonly (readonly [string, RegExp])[] = [
    [toml("/r", { get: "" }), /line 5, plan\.app\.upload\.commands\.tape\.get: is missing: the program/],
    [toml("/r", { get: '["cat"]' }), /plan\.app\.upload\.to\[0\]: .*"\{key\}" is missing in it/],
    [toml("/r", { secrets: '{ P = "hunter2" }' }), /\.secrets: a secret must not stand in a configuration/],
    [
      toml("/r").replace('"command:tape"', '"command:disk"'),
      /no table says what "command:disk" is: write upload/,
    ],
  ];
  for (const [text, message] of table) {
    assert.throws(() => jobFromConfig(parseConfig(text, "/etc/backup.toml"), "app"), (error) => {
      assert.ok(error instanceof ConfigError, String(error));
      assert.match(error.message, message);
      assert.doesNotMatch(error.message, /hunter2/);
      return true;
    });
  }
});
