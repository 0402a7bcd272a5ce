/** The line that `config --permissions` prints for a plan on a bucket is enough, run as it stands. */
import { strict as assert } from "node:assert";
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { makeTree } from "../engine/support.ts";
import { judged, scratch } from "../support.ts";
import { KEYS, startServer, toolPath } from "./s3_server.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));

judged(
  "config --permissions of a plan on a bucket prints a line that runs",
  [toolPath("minio")],
  async () => {
    using dir = scratch();
    makeTree(dir.join("src"));
    const server = await startServer("minio");
    try {
      const query = `endpoint=${server.endpoint}&region=us-east-1`;
      writeFileSync(
        dir.join("backup.toml"),
        `[plan.app]\ncollect = { files = ["src"] }\nencrypt = "plaintext"\nupload = { to = "s3://backups/x?${query}" }\n`,
      );
      const env = {
        HOME: dir.path,
        XDG_STATE_HOME: dir.join("state"),
        AWS_ACCESS_KEY_ID: KEYS.accessKeyId,
        AWS_SECRET_ACCESS_KEY: KEYS.secretAccessKey,
        NO_COLOR: "1",
      };
      const config = [
        "run",
        "-A",
        "--no-prompt",
        `${root}tasks/config.ts`,
        "--config",
        dir.join("backup.toml"),
      ];
      const printed = await new Deno.Command(Deno.execPath(), { args: [...config, "--permissions"], env })
        .output();
      const line = new TextDecoder().decode(printed.stdout).trim().replace(/^deno /, `'${Deno.execPath()}' `);
      assert.match(line, /--allow-net=127\.0\.0\.1:\d+ /);
      const { code, stdout, stderr } = await new Deno.Command("/bin/sh", { args: ["-c", line], env })
        .output();
      assert.equal(code, 0, new TextDecoder().decode(stderr));
      assert.match(new TextDecoder().decode(stdout), /^app_.*\.tar\.zst$/m);
    } finally {
      await server.close();
    }
  },
);
