/** chatto.toml and its environment, by Chatto's rules. */
import { strict as assert } from "node:assert";
import { writeFileSync } from "node:fs";
import type { S3Options } from "../../src/store/s3.ts";
import { readSettings } from "../../src/recipes/chatto/settings.ts";
import { skipReason } from "../../src/recipes/chatto/rules.ts";
import { scratch } from "../support.ts";

function settings(
  toml: string | undefined,
  env: Record<string, string> = {},
): ReturnType<typeof readSettings> {
  using dir = scratch();
  if (toml !== undefined) writeFileSync(dir.join("chatto.toml"), toml);
  return readSettings(dir.join("chatto.toml"), (name) => env[name]);
}

Deno.test("chatto.toml: client settings, derived or stated, file and environment", async () => {
  assert.deepEqual(settings(undefined).client!.servers, ["nats://127.0.0.1:4222"]);
  const derived = settings(
    '[nats.embedded]\nenabled = true\nport = 5000\nbind_address = "::"\nauth_token = "t"\n',
  ).client!;
  assert.deepEqual(derived.servers, ["nats://127.0.0.1:5000"]);
  assert.deepEqual(await derived.auth!(), { token: "t" });
  assert.equal(settings("[nats.embedded]\nenabled = true\n").client, undefined);
  const client =
    '[nats.client]\nurl = "nats://a:1, nats://b:2"\nauth_method = "userpass"\nusername = "u"\npassword = "p"\n';
  assert.deepEqual(settings(client).client!.servers, ["nats://a:1", "nats://b:2"]);
  assert.deepEqual(await settings(client).client!.auth!(), { user: "u", password: "p" });
  const env = {
    CHATTO_NATS_CLIENT_URL: "nats://c:3",
    CHATTO_NATS_CLIENT_USERNAME: "",
    CHATTO_NATS_REPLICAS: "3",
  };
  assert.deepEqual(settings(client, env).client!.servers, ["nats://c:3"]);
  assert.deepEqual(await settings(client, env).client!.auth!(), { user: "u", password: "p" });
  assert.equal(settings(client, env).replicas, 3);
  assert.deepEqual(await settings('[nats.client]\nauth_method = "nkey"\nnkey_seed = "S"\n').client!.auth!(), {
    nkeySeed: "S",
  });
});

Deno.test("chatto.toml: where assets lie in S3, by Chatto's rules", async () => {
  const assets = (s3: string, env: Record<string, string> = {}): ReturnType<typeof settings>["assets"] =>
    settings(`[core.assets]\nstorage_backend = "s3"\n[core.assets.s3]\n${s3}`, env).assets;
  const keys = 'bucket = "assets"\naccess_key_id = "A"\nsecret_access_key = "hidden"\n';
  const of = (s3: string, env?: Record<string, string>): S3Options =>
    (assets(s3, env) as { options: S3Options }).options;
  const aws = of(`endpoint = "s3.amazonaws.com"\nregion = "eu-west-1"\npath_prefix = "/x/"\n${keys}`);
  assert.deepEqual([aws.endpoint, aws.pathStyle, aws.region, aws.prefix], [
    "https://s3.amazonaws.com",
    false,
    "eu-west-1",
    "/x/",
  ]);
  assert.deepEqual(await aws.credentials!(), { accessKeyId: "A", secretAccessKey: "hidden" });
  const minio = of(`endpoint = "minio:9000"\nuse_ssl = false\n${keys}`, {
    CHATTO_CORE_ASSETS_S3_BUCKET: "other",
  });
  assert.deepEqual([minio.endpoint, minio.pathStyle, minio.region, minio.bucket], [
    "http://minio:9000",
    true,
    "us-east-1",
    "other",
  ]);
  assert.equal(of(`endpoint = "http://h:1"\npath_style = false\n${keys}`).pathStyle, false);
  const lacking = assets('endpoint = "h"\nbucket = "assets"\naccess_key_id = "A"\n');
  assert.deepEqual(lacking, { lacking: "core.assets.s3.secret_access_key is empty" });
  assert.match(
    JSON.stringify(assets(`endpoint = "h"\npath_prefix = "a//b"\n${keys}`)),
    /cannot be used: .*prefix/,
  );
  assert.equal(settings("").assets, undefined);
});

Deno.test("chatto.toml: mistakes are named, secrets are not", () => {
  assert.throws(() => settings("[nats]\nreplicas = 2\n"), /nats\.replicas must be 1, 3 or 5, not 2/);
  assert.throws(() => settings('[nats.client]\nauth_method = "odd"\n'), /auth_method "odd" is not known/);
  assert.throws(
    () => settings('[nats.client]\nauth_method = "token"\n').client!.auth!(),
    /nats\.client\.token is empty/,
  );
  const both =
    '[nats.embedded]\nenabled = true\nport = 1\nauth_token = "secret1"\n[nats.client]\nauth_method = "token"\ntoken = "secret2"\n';
  assert.throws(
    () => settings(both),
    (error: Error) => /differs from/.test(error.message) && !/secret[12]/.test(error.message),
  );
  assert.throws(() => settings("[nats\n"), /Cannot read ".*chatto\.toml"/);
});

Deno.test("chatto: what is left out, and why", () => {
  for (
    const name of [
      "EVT",
      "KV_RUNTIME_STATE",
      "NOTIFICATIONS",
      "OBJ_SERVER_ASSETS",
      "OBJ_PROJECTION_SNAPSHOTS",
      "KV_INSTANCE",
      "FOREIGN",
    ]
  ) {
    assert.equal(skipReason(name, false), undefined, name);
  }
  assert.match(skipReason("KV_ENCRYPTION_KEYS", false)!, /--include-keys/);
  assert.equal(skipReason("KV_ENCRYPTION_KEYS", true), undefined);
  for (
    const name of [
      "KV_AUTH_TOKENS",
      "KV_LINK_PREVIEW_CACHE",
      "KV_CALL_STATE",
      "KV_MEMORY_CACHE",
      "OBJ_ASSET_CACHE_V9",
    ]
  ) {
    assert.ok(skipReason(name, true), name);
  }
});
