/** Keys of a profile, as the aws command keeps them. */
import assert from "node:assert/strict";
import { judged, scratch } from "../support.ts";
import { KEYS, startServer, toolPath } from "./s3_server.ts";

const minio = toolPath("minio");

judged("a profile of ~/.aws gives the keys, by the URL or by AWS_PROFILE, and without them there are none", [
  minio,
], async () => {
  const server = await startServer("minio");
  using dir = scratch();
  try {
    const credentials = dir.join("credentials");
    const keys = `aws_access_key_id = ${KEYS.accessKeyId}\naws_secret_access_key = ${KEYS.secretAccessKey}\n`;
    Deno.writeTextFileSync(credentials, `[backups]\n${keys}`, { mode: 0o600 });
    const ask = async (
      query: string,
      env: Record<string, string>,
    ): Promise<{ code: number; err: string }> => {
      const { code, stderr } = await new Deno.Command(Deno.execPath(), {
        args: [
          "run",
          "-A",
          "--no-prompt",
          "tasks/list.ts",
          "--from",
          `s3://backups/app?endpoint=${server.endpoint}${query}`,
        ],
        cwd: new URL("../..", import.meta.url),
        clearEnv: true,
        env: {
          ...env,
          NO_COLOR: "1",
          ...Object.fromEntries(["HOME", "PATH", "DENO_DIR"].flatMap((name) => {
            const value = Deno.env.get(name);
            return value === undefined ? [] : [[name, value]];
          })),
          XDG_CONFIG_HOME: dir.path,
          XDG_STATE_HOME: dir.path,
          AWS_CONFIG_FILE: dir.join("none"),
          AWS_SHARED_CREDENTIALS_FILE: credentials,
          AWS_EC2_METADATA_DISABLED: "true",
        },
      }).output();
      return { code, err: new TextDecoder().decode(stderr) };
    };
    for (const [query, env] of [["&profile=backups", {}], ["", { AWS_PROFILE: "backups" }]] as const) {
      const { code, err } = await ask(query, env);
      assert.equal(code, 0, err);
    }
    const absent = await ask("&profile=absent", {});
    assert.equal(absent.code, 1);
    assert.match(absent.err, /^Error: Cannot list in s3:.*: there are no keys of the profile "absent": /m);
    const none = await ask("", {});
    assert.match(none.err, /there are no keys/);
  } finally {
    await server.close();
  }
});
