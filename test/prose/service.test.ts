/** The lifecycle service over HTTP, with a real Prosody and a Pod API beside it. */
import { strict as assert } from "node:assert";
import { onePlace } from "../../src/recipes/prose/service/operation.ts";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { prose } from "../../mod.ts";
import { treeOf } from "../collect/extract_support.ts";
import { judged, scratch, sh } from "../support.ts";
import { apiTar, type Pod, pod, sealing, until } from "./support.ts";

const TOKEN = "a token of the operator's, but no spaces".replaceAll(" ", "-");
const TAR = { "content-type": "application/x-tar" };

interface Served extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly service: prose.ProseService;
  /** A request with the token. */
  readonly ask: (method: string, path: string, more?: RequestInit) => Promise<Response>;
  /** What the Pod API was sent. */
  readonly sent: { readonly tar: Uint8Array; readonly token: string | null; readonly path: string }[];
  readonly warnings: string[];
}

/** The service on a port of its own, with a Pod API that takes everything, or answers `status`. */
async function serve(
  it: Pod,
  more: Partial<prose.ProseServiceOptions> = {},
  status = { code: 200 },
): Promise<Served> {
  const sent: Served["sent"] = [];
  const warnings: string[] = [];
  const api = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
    const tar = new Uint8Array(await request.arrayBuffer());
    sent.push({
      tar,
      token: request.headers.get("x-prose-token"),
      path: `${request.method} ${new URL(request.url).pathname}`,
    });
    return new Response("{}", { status: status.code });
  });
  const { service: control, paths } = it;
  const service = await prose.proseService({
    pod: { ...optionsOf(it), service: control, paths, ...more.pod },
    token: TOKEN,
    podApi: `http://127.0.0.1:${(api.addr as Deno.NetAddr).port}`,
    log: { info: () => {}, warn: (kind, message) => void warnings.push(`${kind}: ${message}`) },
    ...Object.fromEntries(Object.entries(more).filter(([key]) => key !== "pod")),
  });
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, service.fetch);
  const { port } = server.addr as Deno.NetAddr;
  const url = `http://127.0.0.1:${port}`;
  return {
    url,
    port,
    service,
    sent,
    warnings,
    ask: async (method, path, { headers, ...init } = {}) => {
      const all = { authorization: `Bearer ${TOKEN}`, ...headers };
      const answer = await fetch(url + path, {
        method,
        signal: AbortSignal.timeout(120_000),
        ...init,
        headers: all,
      });
      return new Response(await answer.bytes(), answer); // read to its end, whether the test looks at it or not
    },
    [Symbol.asyncDispose]: async () => {
      await service.close();
      await server.shutdown();
      await api.shutdown();
    },
  };
}

let keys: Awaited<ReturnType<typeof sealing>> | undefined;

function optionsOf(it: Pod): prose.ProsePlanOptions {
  const { certificate: _, secretKey: __, ...seals } = keys!;
  return { ...it.options, ...seals };
}

async function bodyOf(
  response: Response,
): Promise<Record<string, unknown> & { code?: string; message?: string }> {
  return await response.json();
}

judged(
  "the service makes, lists, shows and restores backups; the Pod API gets its data back",
  ["prosody"],
  async () => {
    await using it = await pod();
    keys = await sealing();
    await using at = await serve(it);
    const body = apiTar(it.dir);
    const before = it.pid();
    const made = await at.ask("POST", "/lifecycle/backup", { headers: TAR, body });
    const { backup_id, backup, downtime_ms } = await bodyOf(made);
    const id = String(backup_id);
    assert.equal(made.status, 201);
    assert.match(id, /^prose_.*Z\.tar\.zst\.gpg$/);
    assert.equal(made.headers.get("location"), `/lifecycle/backups/${encodeURIComponent(id)}`);
    assert.ok(Number(downtime_ms) > 0 && it.pid() !== before && it.runs());
    const second = it.pid();
    await new Promise((done) => setTimeout(done, 1000 - Date.now() % 1000)); // names are to the second
    const running = await at.ask("POST", "/lifecycle/backup?no_downtime=true", { headers: TAR, body });
    assert.equal(running.status, 201);
    assert.equal(it.pid(), second, "Prosody was left alone");
    const list = await (await at.ask("GET", "/lifecycle/backups")).json();
    assert.deepEqual(
      list.map((
        { metadata }: { metadata: Record<string, unknown> },
      ) => [metadata["is_consistent"], metadata["is_signed"]]),
      [[false, true], [true, true]],
    );
    assert.deepEqual(list[1], backup);
    const shown = await bodyOf(await at.ask("GET", `/lifecycle/backups/${encodeURIComponent(id)}?full=true`));
    assert.deepEqual([shown["id"], (shown["metadata"] as Record<string, unknown>)["is_intact"]], [id, true]);
    const live = treeOf(it.dir.join("live"), false);
    it.register("romeo");
    const headers = {
      "content-type": "application/json",
      "x-prose-token": "the admin's",
      accept: "text/event-stream",
    };
    const restored = await at.ask("PUT", "/lifecycle/restore", { headers, body: JSON.stringify({ id }) });
    const text = await restored.text();
    assert.match(text, /event: backup-restore-success\ndata: \{"backup_id":"prose_/);
    assert.equal(treeOf(it.dir.join("live"), false), live);
    assert.deepEqual([await it.logsIn("juliet"), await it.logsIn("romeo")], [true, false]);
    assert.deepEqual(at.sent.map(({ token, path }) => [token, path]), [[
      "the admin's",
      "PUT /v1/backups-internal/restore",
    ]]);
    writeFileSync(it.dir.join("back.tar"), at.sent[0]!.tar);
    sh("mkdir got; tar -x -f back.tar -C got; diff -r got api", { cwd: it.dir.path });
    const stream = await at.ask("POST", "/lifecycle/backup", {
      headers: { ...TAR, accept: "text/event-stream" },
      body,
    });
    assert.match(await stream.text(), /event: backup-create-success\ndata: \{"backup_id":/);
  },
);

judged("what is wrong with a request is told before Prosody stops", ["prosody"], async () => {
  await using it = await pod();
  keys = await sealing();
  await using at = await serve(it, { body: { maxBytes: 100_000, idleMs: 300, totalMs: 5000 } });
  const pid = it.pid();
  const live = treeOf(it.dir.join("live"));
  const tar = apiTar(it.dir);
  Deno.mkdirSync(it.dir.join("store"));
  const refused = async (status: number, code: string, response: Promise<Response>): Promise<void> => {
    const got = await response;
    const body = await bodyOf(got);
    assert.deepEqual([got.status, body.code, body["error"]], [status, code, true], body.message);
    assert.equal(it.pid(), pid, "never stopped");
  };
  const bare = (path: string, headers: HeadersInit): Promise<Response> => fetch(at.url + path, { headers });
  for (const value of ["", "Bearer", "Bearer x", `Bearer ${TOKEN}x`, `Basic ${TOKEN}`, TOKEN]) {
    await refused(401, "UNAUTHORIZED", bare("/lifecycle/backups", { authorization: value }));
  }
  await refused(401, "UNAUTHORIZED", bare("/lifecycle/anything", {}));
  const post = (body: BodyInit | undefined, headers: HeadersInit = TAR, query = ""): Promise<Response> =>
    at.ask("POST", `/lifecycle/backup${query}`, { headers, ...(body === undefined ? {} : { body }) });
  await refused(415, "BAD_REQUEST", post(tar, { "content-type": "text/plain" }));
  await refused(400, "BAD_REQUEST", post(undefined));
  await refused(400, "BAD_REQUEST", post("no tar archive".repeat(100)));
  await refused(
    400,
    "BAD_REQUEST",
    post(new Uint8Array(sh("tar -c -C live prosody-data", { cwd: it.dir.path }))),
  );
  await refused(400, "BAD_REQUEST", post(tar.slice(0, 1500)));
  await refused(400, "BAD_REQUEST", post(tar, TAR, "?no_downtime=perhaps"));
  await refused(413, "BODY_TOO_LARGE", post(new Uint8Array(200_000)));
  const chunked = await raw(
    at.port,
    `POST /lifecycle/backup HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${TOKEN}\r\n` +
      `content-type: application/x-tar\r\ntransfer-encoding: chunked\r\n\r\n30d40\r\n${
        "\0".repeat(200_000)
      }\r\n`,
  );
  assert.match(chunked, /^HTTP\/1\.1 (413 .*BODY_TOO_LARGE|400 .*BAD_REQUEST)/s);
  const put = (body: string): Promise<Response> => at.ask("PUT", "/lifecycle/restore", { body });
  const names = [
    "../../etc/passwd",
    "prose_2025-12-02T10:46:50Z.tar.zst/../x",
    "a\0b",
    "x".repeat(4096),
    "",
    "prose_x.tar.zst.gpg",
  ];
  for (const id of names) {
    await refused(404, "BACKUP_NOT_FOUND", put(JSON.stringify({ id })));
    if (id !== "") {
      await refused(404, "BACKUP_NOT_FOUND", at.ask("GET", `/lifecycle/backups/${encodeURIComponent(id)}`));
    }
  }
  await refused(404, "BACKUP_NOT_FOUND", put('{"id":"prose_2025-12-02T10:46:50Z.tar.zst.gpg"}'));
  for (const body of ["", "{", "[]", "null", '{"id":7}', '{"id":"latest"}']) {
    await refused(400, "BAD_REQUEST", put(body));
  }
  await refused(413, "BODY_TOO_LARGE", put(JSON.stringify({ id: "x".repeat(10_000) })));
  await refused(405, "METHOD_NOT_ALLOWED", at.ask("DELETE", "/lifecycle/backups"));
  await refused(404, "NOT_FOUND", at.ask("GET", "/"));
  // A body that stops coming: answered, and the place is free again.
  const slow = await raw(
    at.port,
    `POST /lifecycle/backup HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${TOKEN}\r\n` +
      "content-type: application/x-tar\r\ncontent-length: 5000\r\n\r\nabc",
  );
  assert.match(slow, /^HTTP\/1\.1 408 .*BODY_TOO_SLOW/s);
  assert.equal(treeOf(it.dir.join("live")), live);
  assert.equal((await post(tar)).status, 201);
  assert.deepEqual(await bodyOf(await fetch(`${at.url}/health`)), { status: "ok", operation: null });
});

judged("one at a time, 409 for a name that is taken, and a client that goes away leaves Prosody running", [
  "prosody",
], async () => {
  await using it = await pod();
  keys = await sealing();
  const now = (): Date => new Date("2025-12-02T10:46:50Z");
  await using at = await serve(it, { now });
  const body = apiTar(it.dir);
  const head = `POST /lifecycle/backup HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${TOKEN}\r\n` +
    `content-type: application/x-tar\r\ncontent-length: ${body.length}\r\n\r\n`;
  const before = it.pid();
  // One whose body is still coming has the place already.
  const coming = connect(at.port, "127.0.0.1", () => void coming.write(head + "abc"));
  coming.on("error", () => {});
  const under = async (): Promise<unknown> => (await bodyOf(await fetch(`${at.url}/health`)))["operation"];
  using _gone = { [Symbol.dispose]: () => void coming.destroy() }; // whatever fails: the service waits for it
  await until("the first has the place", async () => await under() === "backup");
  const second = await at.ask("POST", "/lifecycle/backup", { headers: TAR, body });
  assert.deepEqual([second.status, second.headers.get("retry-after")], [503, "10"]);
  assert.equal((await bodyOf(second)).code, "BACKUP_IN_PROGRESS");
  coming.destroy();
  await until("the place is free", async () => await under() === null);
  assert.equal(it.pid(), before, "a client that went away while sending stopped nothing");
  // Everything is sent, and when it has begun nobody waits for the answer any more.
  const socket = connect(at.port, "127.0.0.1", () => void (socket.write(head), socket.write(body)));
  using _too = { [Symbol.dispose]: () => void socket.destroy() };
  socket.on("error", () => {});
  await until("the backup has begun", () => it.pid() !== before || readdir(it).length > 0);
  socket.destroy();
  await until(
    "the backup has ended",
    () => it.runs() && it.pid() !== before && readdir(it).some((name) => name.endsWith(".receipt.json")),
  );
  await at.service.close().then(() => {}); // ended, with nobody there
  const [id] = readdir(it).filter((name) => name.endsWith(".gpg"));
  assert.equal(id, "prose_2025-12-02T10:46:50Z.tar.zst.gpg");
  const closed = await at.ask("POST", "/lifecycle/backup", { headers: TAR, body });
  assert.deepEqual([closed.status, (await bodyOf(closed)).code], [503, "BACKUP_IN_PROGRESS"]);
  const pid = it.pid();
  const bytes = readFileSync(it.dir.join("store", id!));
  await using again = await serve(it, { now });
  const taken = await again.ask("POST", "/lifecycle/backup", { headers: TAR, body });
  assert.deepEqual([taken.status, (await bodyOf(taken)).code], [409, "BACKUP_EXISTS"]);
  assert.deepEqual(readFileSync(it.dir.join("store", id!)), bytes);
  assert.equal(it.pid(), pid, "not stopped for a name that is taken");
});

judged(
  "a restore that cannot end well: tampered, refused by the Pod API, or by Prosody",
  ["prosody"],
  async () => {
    await using it = await pod();
    keys = await sealing();
    const status = { code: 200 };
    await using at = await serve(it, {}, status);
    const made = await at.ask("POST", "/lifecycle/backup", { headers: TAR, body: apiTar(it.dir) });
    const id = String((await bodyOf(made))["backup_id"]);
    it.register("romeo");
    const live = treeOf(it.dir.join("live")).split("\n").slice(1).join("\n");
    const body = JSON.stringify({ id });
    const unharmed = async (expected: readonly [number, string], why: RegExp): Promise<void> => {
      const response = await at.ask("PUT", "/lifecycle/restore", { body });
      const { code, message } = await bodyOf(response);
      assert.match(message!, why);
      assert.deepEqual([response.status, code], expected, message);
      assert.equal(treeOf(it.dir.join("live")).split("\n").slice(1).join("\n"), live);
      assert.ok(it.runs() && await it.logsIn("romeo"));
    };
    status.code = 503;
    await unharmed([500, "BACKUP_RESTORE_FAILED"], /Pod API .* 503/);
    it.refuse("stop");
    await unharmed([500, "BACKUP_RESTORE_FAILED"], /Cannot stop "prosody"/);
    it.refuse("stop", false);
    const pid = it.pid();
    const path = it.dir.join("store", id);
    const good = readFileSync(path);
    const bad = new Uint8Array(good);
    bad[good.length >> 1]! ^= 1;
    Deno.chmodSync(path, 0o600);
    writeFileSync(path, bad);
    await unharmed([422, "INVALID_BACKUP"], /SHA-256|signature|damaged/);
    rmSync(`${path}.sig`);
    writeFileSync(path, good);
    await unharmed([422, "INVALID_BACKUP"], /not signed|missing/);
    assert.equal(it.pid(), pid, "never stopped");
    const shown = await bodyOf(await at.ask("GET", `/lifecycle/backups/${id}`));
    const { is_intact, can_be_restored } = shown["metadata"] as Record<string, unknown>;
    assert.deepEqual([is_intact, can_be_restored], [false, false]);
  },
);

Deno.test("a body that is still coming in when the service ends is not waited for, nor its backup begun", async () => {
  using dir = scratch();
  const { store } = await import("../../mod.ts");
  const pod = { service: "none", require: "none", to: store.directory(dir.join("store")) } as const;
  const service = await prose.proseService({ pod, token: TOKEN });
  const { readable, writable } = new TransformStream<Uint8Array<ArrayBuffer>>();
  const headers = { authorization: `Bearer ${TOKEN}`, "content-type": "application/x-tar" };
  const asked = service.fetch(
    new Request("http://x/lifecycle/backup", { method: "POST", headers, body: readable }),
  );
  const writer = writable.getWriter();
  await writer.write(apiTar(dir).subarray(0, 512));
  await service.close();
  const answer = await asked; // though nothing more comes, and an hour would be allowed
  assert.deepEqual([answer.status, (await bodyOf(answer)).code], [503, "BACKUP_IN_PROGRESS"]);
  assert.equal((await (await service.fetch(new Request("http://x/health"))).json())["operation"], null);
  const place = onePlace();
  const taken = place.take("backup");
  await place.close();
  assert.throws(() => taken.run(() => Promise.resolve()), /about to end/);
});

Deno.test("the service refuses wrong options when it is made, and describes itself", async () => {
  using dir = scratch();
  const { store } = await import("../../mod.ts");
  const podOptions: prose.ProsePlanOptions = {
    service: "none",
    require: "none",
    to: store.directory(dir.path),
  };
  const make = (more: Partial<prose.ProseServiceOptions>): Promise<prose.ProseService> =>
    prose.proseService({ pod: podOptions, token: TOKEN, ...more });
  await assert.rejects(make({ token: "short" }), /at least 16/);
  await assert.rejects(make({ token: `${TOKEN} with space` }), /without spaces/);
  await assert.rejects(make({ body: { maxBytes: 0 } }), /maxBytes/);
  await assert.rejects(make({ podApi: "ftp://x" }), /Pod API/);
  await assert.rejects(make({ pod: { ...podOptions, require: undefined } }), /neither encrypted nor signed/);
  const { fetch } = await make({});
  const document = await (await fetch(new Request("http://x/openapi.json"))).json();
  assert.equal(document.openapi, "3.1.0");
  const text = JSON.stringify(document);
  for (const [, name] of text.matchAll(/"#\/components\/schemas\/(\w+)"/g)) {
    assert.ok(document.components.schemas[name!], name);
  }
  for (const path of Object.keys(document.paths)) {
    for (const method of Object.keys(document.paths[path])) {
      const response = await fetch(
        new Request(`http://x${path.replace("{id}", "x")}`, { method: method.toUpperCase() }),
      );
      assert.equal(response.status, path === "/health" ? 200 : 401, `${method} ${path}`);
    }
  }
});

function readdir(it: Pod): string[] {
  try {
    return [...Deno.readDirSync(it.dir.join("store"))].map(({ name }) => name);
  } catch {
    return [];
  }
}

/** Sends a request as it stands, and gives the whole answer. */
function raw(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let heard = "";
    const socket = connect(port, "127.0.0.1", () => void socket.write(text));
    socket.on("data", (chunk) => {
      heard += chunk.toString();
      if (/\r\n\r\n.*\}/s.test(heard)) socket.destroy();
    });
    socket.on("error", reject);
    socket.on("close", () => resolve(heard));
  });
}
