/** The line that `config --permissions` prints for a plan on a NATS server is enough, run as it stands. */
import { strict as assert } from "node:assert";
import { writeFileSync } from "node:fs";
import { treeScratch } from "../engine/support.ts";
import { judged } from "../support.ts";
import { startServer } from "../jetstream/support.ts";
import { ROOT } from "../cli/support.ts";

judged(
  "config --permissions of a plan on a NATS server prints a line that runs",
  ["nats-server"],
  async () => {
    using dir = treeScratch();
    const token = "a-token-of-this-test";
    await using server = await startServer({
      extra: `authorization { token: "${token}" }\n`,
      auth: { token },
    });
    writeFileSync(dir.join("token"), `${token}\n`);
    const url = `${server.url}/backups/hosts?create=true&tokenFile=${dir.join("token")}`;
    writeFileSync(
      dir.join("backup.toml"),
      `[plan.app]\ncollect = { files = ["src"] }\nencrypt = "plaintext"\nupload = { to = "${url}" }\n`,
    );
    const env = { HOME: dir.path, XDG_STATE_HOME: dir.join("state"), NO_COLOR: "1" };
    const config = [
      "run",
      "-A",
      "--no-prompt",
      `${ROOT}/tasks/config.ts`,
      "--config",
      dir.join("backup.toml"),
    ];
    const printed = await new Deno.Command(Deno.execPath(), { args: [...config, "--permissions"], env })
      .output();
    const line = new TextDecoder().decode(printed.stdout).trim().replace(/^deno /, `'${Deno.execPath()}' `);
    assert.match(line, /--allow-net=127\.0\.0\.1:\d+ /);
    assert.ok(!line.includes(token), line);
    const { code, stdout, stderr } = await new Deno.Command("/bin/sh", { args: ["-c", line], env }).output();
    assert.equal(code, 0, `${line}\n${new TextDecoder().decode(stderr)}`);
    assert.match(new TextDecoder().decode(stdout), /^app_.*\.tar\.zst$/m);
  },
);
