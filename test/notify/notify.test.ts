/** Exactly one end for each run, nothing secret in it, and no notifier in the way of a backup. */
import { strict as assert } from "node:assert";
import { backup, monitor, notify, store } from "../../mod.ts";
import { StoreError } from "../../src/errors.ts";
import type { Notifier, RunEvent } from "../../src/notify/event.ts";
import { notifier } from "../../src/notify/event.ts";
import { redact } from "../../src/notify/redact.ts";
import { planOf, treeScratch } from "../engine/support.ts";
import { keeping, receiver } from "./support.ts";

/** A notifier that keeps events. */
function listener(events: RunEvent[], options: Parameters<typeof notifier>[1] = {}): Notifier {
  return notifier("listener", options, { on: ["start", "success", "warning", "failure"] }, (event) => {
    events.push(event);
    return Promise.resolve();
  });
}

Deno.test("backup() tells its start and its end, with what it came to", async () => {
  using dir = treeScratch();
  const events: RunEvent[] = [];
  const plan = monitor(planOf(dir.join("src"), store.memory()), { notify: [listener(events)] });
  const { id } = await backup(plan);
  assert.deepEqual(events.map(({ kind }) => kind), ["start", "success"]);
  const [start, end] = events;
  assert.equal(start!.run, end!.run);
  assert.match(end!.title, /^app: backup complete on \S+/);
  assert.match(end!.text, new RegExp(`^${id}: 7 entries, .*\nIn memory:$`));
  assert.ok(end!.id === id && end!.bytes! > 0 && end!.durationMs! >= 0 && end!.entries === 7);
  await backup(plan, { notify: [], now: new Date("2026-11-20T00:00:00Z") });
  assert.equal(events.length, 2, "an option wins over the plan");
});

Deno.test("a run that fails, at whatever point, has one end: a failure", async () => {
  using dir = treeScratch();
  for (const verb of ["list", "put", "get"] as const) {
    const inner = store.memory();
    await backup(planOf(dir.join("src"), inner), { now: new Date("2026-11-20T00:00:00Z") });
    const broken = {
      ...inner,
      [verb]: () => {
        throw new StoreError(`Cannot ${verb}: gone`);
      },
    };
    const events: RunEvent[] = [];
    await assert.rejects(backup(planOf(dir.join("src"), broken), { notify: [listener(events)] }));
    assert.deepEqual(events.map(({ kind }) => kind), ["start", "failure"], verb);
    assert.match(events[1]!.error!, /gone/);
  }
  const controller = new AbortController();
  const events: RunEvent[] = [];
  const stopping = {
    ...listener(events),
    send: (event: RunEvent) => (events.push(event), controller.abort(), Promise.resolve()),
  };
  await assert.rejects(
    backup(planOf(dir.join("src"), store.memory()), { signal: controller.signal, notify: [stopping] }),
  );
  assert.deepEqual(events.map(({ kind }) => kind), ["start", "failure"], "a cancelled run is told as well");
});

Deno.test("a target that fails while another has its copy is a warning", async () => {
  using dir = treeScratch();
  const events: RunEvent[] = [];
  const broken = {
    ...store.memory(),
    url: "memory:b",
    put: () => Promise.reject(new StoreError("Cannot write: full")),
  };
  await backup(planOf(dir.join("src"), [store.memory(), broken]), {
    notify: [listener(events, { on: ["warning", "failure"] })],
  });
  assert.deepEqual(events.map(({ kind }) => kind), ["warning"]);
  assert.match(events[0]!.text, /Not in memory:b: .*full/);
});

Deno.test("a notifier that fails or hangs changes nothing but a warning, within its time", async () => {
  using dir = treeScratch();
  const { log, warnings } = keeping();
  const failing = notifier(
    "failing",
    {},
    { on: ["start", "success"] },
    () => Promise.reject(new Error("no route, password=hunter2")),
  );
  const throwing = notifier("throwing", {}, { on: ["success"] }, () => {
    throw new Error("at once");
  });
  const hanging = notifier(
    "hanging",
    { timeoutMs: 100 },
    { on: ["success"] },
    () => new Promise<void>(() => {}),
  );
  const { status, receipt } = await backup(planOf(dir.join("src"), store.memory()), {
    log,
    notify: [failing, throwing, hanging],
  });
  assert.equal(status, "complete");
  assert.deepEqual(receipt.warnings, {});
  assert.deepEqual(
    warnings.map((text) => text.replace(/^notify: Cannot tell of the (\w+) by (\w+):.*$/s, "$1 $2")).sort(),
    [
      "start failing",
      "success failing",
      "success hanging",
      "success throwing",
    ],
  );
  assert.ok(warnings.some((text) => /it took longer than 100 ms/.test(text)));
  assert.ok(!warnings.join().includes("hunter2"));
});

Deno.test("the start does not hold the run up, and is told before the end", async () => {
  const order: string[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const slow = notifier("slow", {}, { on: ["start", "success"] }, async ({ kind }) => {
    if (kind === "start") await promise;
    order.push(kind);
  });
  await notify.announced([slow], { task: "backup", plan: "app" }, () => {
    order.push("work");
    resolve();
    return Promise.resolve();
  }, () => ({ kind: "success", text: "done" }));
  assert.deepEqual(order, ["work", "start", "success"]);
});

Deno.test("what is told holds no secret", async () => {
  const events: RunEvent[] = [];
  const secret = "AGE-SECRET-KEY-1QQPZRY9X8GF2TVDW0S3JN54KHCE6MUA7LQPZRY9X8GF2TVDW0S3";
  const text =
    `pg_dump postgres://app:hunter2@db/app?sslpassword=hunter3 failed: token="hunter4" ${secret} env-hunter5 ` +
    "Authorization: Bearer hunter6hunter6 s3://b/x?X-Amz-Signature=hunter7&y=1\n" +
    "-----BEGIN OPENSSH PRIVATE KEY-----\nhunter8\n-----END OPENSSH PRIVATE KEY-----";
  const subject = { task: "backup", plan: "app", hide: ["env-hunter5"] } as const;
  await assert.rejects(
    notify.announced(
      [listener(events)],
      subject,
      () => Promise.reject(new Error(text)),
      () => ({ kind: "success", text: "" }),
    ),
  );
  const told = JSON.stringify(events);
  assert.ok(!/hunter|AGE-SECRET-KEY-1/.test(told), told);
  assert.match(
    events[1]!.text,
    /pg_dump postgres:\/\/\*\*\*@db\/app\?sslpassword=\*\*\* failed: token=\*\*\*/,
  );
  assert.equal(redact("x".repeat(9000)).length, 4004);
  const plain =
    'Cannot write "app_2026-11-20T03-00-00Z.tar.zst.age" in s3://b/x?endpoint=https://minio:9000: 503';
  assert.equal(redact(plain), plain, "what is no secret stands");
});

Deno.test("healthchecks(): start, success, fail and log, tied by one rid", async () => {
  await using hub = receiver();
  const url = `${hub.url}/ping/8f2c-secret`;
  const tell = async (kind: "success" | "warning" | "failure", warnings?: "log" | "fail"): Promise<void> => {
    const one = notify.healthchecks({ url: () => url, warnings });
    await notify.announced(
      [one],
      { task: "backup", plan: "app" },
      () => Promise.resolve(),
      () => ({ kind, text: "said" }),
    );
  };
  await tell("success");
  await tell("failure");
  await tell("warning");
  await tell("warning", "log");
  await tell("warning", "fail");
  const paths = hub.got.map(({ path }) => path.replace("/ping/8f2c-secret", ""));
  assert.deepEqual(paths, [
    "/start",
    "",
    "/start",
    "/fail",
    "/start",
    "",
    "/start",
    "/log",
    "/start",
    "/fail",
  ]);
  const rids = hub.got.map(({ query }) => query.get("rid"));
  assert.ok(
    rids.every((rid) => /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/.test(rid!)),
    rids.join(),
  );
  assert.equal(new Set(rids).size, 5);
  assert.equal(rids[0], rids[1]);
  assert.match(hub.got[1]!.body, /^app: backup complete on .*\nsaid$/);
  await notify.announced(
    [notify.healthchecks({ url })],
    { task: "drill", plan: "app" },
    () => Promise.resolve(),
    () => ({
      kind: "success",
      text: "",
    }),
  );
  assert.equal(hub.got.length, 10, "a check has one schedule: by default the backup's");
});

Deno.test("ntfy() publishes JSON with a priority, and by default no success", async () => {
  await using hub = receiver();
  const one = notify.ntfy({ url: `${hub.url}/sub/my%20topic`, token: () => "tk_secret\n" });
  const tell = (kind: "success" | "failure"): Promise<void> =>
    notify.announced(
      [one],
      { task: "drill", plan: "äpp" },
      () => Promise.resolve(),
      () => ({ kind, text: "ünï\nçødé" }),
    );
  await tell("success");
  assert.equal(hub.got.length, 0);
  await tell("failure");
  const [got] = hub.got;
  assert.deepEqual([got!.path, got!.headers.get("authorization")], ["/sub/", "Bearer tk_secret"]);
  const { topic, title, message, priority } = JSON.parse(got!.body);
  assert.deepEqual([topic, message, priority], ["my topic", "ünï\nçødé", 4]);
  assert.match(title, /^äpp: drill failed on /);
});

Deno.test("webhook() fills a template, escaped where it is JSON", async () => {
  await using hub = receiver();
  const nasty = 'a "quote", a \\ and\na line {{plan}}';
  const tell = (options: Omit<notify.WebhookOptions, "url">): Promise<void> =>
    notify.announced(
      [notify.webhook({ url: hub.url + "/hook", on: ["failure"], ...options })],
      { task: "backup", plan: "app" },
      () => Promise.resolve(),
      () => ({ kind: "failure", text: nasty, warnings: { vanished: 2 } }),
    );
  await tell({ template: '{"text": "{{title}}: {{ text }}", "w": "{{warnings}}", "id": "{{id}}"}' });
  assert.deepEqual({ ...JSON.parse(hub.got[0]!.body), text: "" }, { text: "", w: "vanished 2", id: "" });
  assert.ok(JSON.parse(hub.got[0]!.body).text.endsWith(nasty));
  await tell({
    template: "{{kind}}: {{text}}",
    contentType: "text/plain",
    method: "PUT",
    headers: { "X-Room": "ops" },
  });
  assert.deepEqual([hub.got[1]!.method, hub.got[1]!.body, hub.got[1]!.headers.get("x-room")], [
    "PUT",
    `failure: ${nasty}`,
    "ops",
  ]);
  await tell({});
  assert.deepEqual(JSON.parse(hub.got[2]!.body).kind, "failure");
  await tell({ method: "GET" });
  assert.deepEqual([hub.got[3]!.method, hub.got[3]!.body], ["GET", ""]);
  const refused = (options: Omit<notify.WebhookOptions, "url">, message: RegExp): void => {
    assert.throws(() => notify.webhook({ url: hub.url, ...options }), message);
  };
  refused({ template: "{{plam}}" }, /knows no \{\{plam\}\}\. Known: kind, task, plan/);
  refused({ template: "{{plan}}" }, /is not JSON\. Put \{\{words\}\} between quotes/);
  refused({ on: ["end" as "start"] }, /"on" knows no "end"\. Known: start, success/);
  refused({ timeoutMs: 5 }, /timeoutMs is 5/);
});

Deno.test("requests are tried again where nothing was delivered, and errors name no secret path", async () => {
  await using busy = receiver((_, count) => new Response("later", { status: count < 3 ? 503 : 200 }));
  await using closed = receiver(() => new Response("no /ping/secret here", { status: 404 }));
  await using moved = receiver(() =>
    new Response(null, { status: 302, headers: { Location: "http://127.0.0.1:1/" } })
  );
  const { log, warnings } = keeping();
  const tell = (url: string): Promise<void> =>
    notify.announced(
      [notify.healthchecks({ url: () => url, on: ["success"] })],
      { task: "backup", plan: "app", log },
      () => Promise.resolve(),
      () => ({ kind: "success", text: "" }),
    );
  await tell(`${busy.url}/ping/secret`);
  assert.deepEqual([busy.got.length, warnings], [3, []]);
  await tell(`${closed.url}/ping/secret`);
  assert.equal(closed.got.length, 1);
  await tell(`${moved.url}/ping/secret`);
  assert.equal(moved.got.length, 1);
  await tell("http://127.0.0.1:1/ping/secret");
  await tell("ftp://x/ping/secret");
  await tell("https://me:secret@x/");
  assert.equal(warnings.length, 5, warnings.join("\n"));
  assert.ok(
    !/secret(?! URL)/.test(warnings.join("\n").replaceAll("a secret of its own", "")),
    warnings.join("\n"),
  );
  assert.match(warnings[0]!, /answered 404: no \.\.\. here/);
  assert.match(warnings[1]!, /answered 302/);
  assert.match(warnings[2]!, /127\.0\.0\.1:1 cannot be reached/);
  assert.throws(() => notify.ntfy({ url: "https://ntfy.sh/" }), /names no topic/);
  assert.throws(() => notify.ntfy({ url: "ntfy.sh/topic" }), /must start with https/);
});
