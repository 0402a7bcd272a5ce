/** The proxy does what its faults say, before a real server. */
import { strict as assert } from "node:assert";
import { faultProxy, type ProxyFault } from "../../src/testing/mod.ts";
import { noise } from "../support.ts";

/** A server that says what it was sent, and counts. */
async function echoing(
  plan: readonly ProxyFault[],
  run: (url: string, seen: string[], happened: readonly number[]) => Promise<void>,
): Promise<void> {
  const seen: string[] = [];
  await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
    const bytes = await request.bytes().catch(() => undefined);
    seen.push(`${request.method} ${new URL(request.url).pathname} ${bytes?.length ?? "torn"}`);
    return new Response(bytes as Uint8Array<ArrayBuffer>, { headers: { etag: '"right"' } });
  });
  const proxy = await faultProxy(`http://127.0.0.1:${server.addr.port}`, plan);
  try {
    await run(proxy.url, seen, proxy.happened);
  } finally {
    await proxy.close();
  }
}

const put = (url: string, body: Uint8Array<ArrayBuffer>): Promise<Response> =>
  fetch(url, { method: "PUT", body });

Deno.test("faultProxy() passes on what no fault befalls, bytes and all", async () => {
  await echoing([{ how: "answer", path: /never/ }], async (url, seen, happened) => {
    const bytes = noise(300_000);
    assert.deepEqual(await (await put(`${url}/a?b=c`, bytes)).bytes(), bytes);
    assert.deepEqual(seen, ["PUT /a 300000"]);
    assert.deepEqual(happened, [0]);
  });
});

Deno.test("faultProxy() answers by itself, and changes headers", async () => {
  const plan: ProxyFault[] = [
    { how: "answer", method: "PUT", nth: 1, status: 429, headers: { "retry-after": "1" }, body: "slow down" },
    { how: "headers", method: "PUT", from: 2, headers: { etag: '"wrong"' } },
  ];
  await echoing(plan, async (url, seen, happened) => {
    const busy = await put(`${url}/a`, noise(10));
    assert.deepEqual([busy.status, busy.headers.get("retry-after"), await busy.text()], [
      429,
      "1",
      "slow down",
    ]);
    assert.deepEqual(seen, []);
    const second = await put(`${url}/a`, noise(10));
    assert.equal(second.headers.get("etag"), '"wrong"');
    assert.deepEqual(await second.bytes(), noise(10));
    assert.deepEqual(happened, [1, 1]);
  });
});

Deno.test("faultProxy() breaks connections before, in the middle and after", async () => {
  const plan: ProxyFault[] = [
    { how: "reset", path: /reset/ },
    { how: "lost", path: /lost/ },
    { how: "tear", path: /tear/, at: 1000 },
    { how: "cut", path: /cut/, at: 1000 },
  ];
  await echoing(plan, async (url, seen) => {
    for (const path of ["reset", "lost", "tear"]) {
      await assert.rejects(put(`${url}/${path}`, noise(50_000)), TypeError, path);
    }
    await assert.rejects(async () => await (await put(`${url}/cut`, noise(50_000))).bytes());
    assert.ok(!seen.some((line) => line.includes("/reset")));
    assert.ok(seen.includes("PUT /lost 50000"));
    assert.ok(!seen.includes("PUT /tear 50000"));
  });
});

Deno.test("faultProxy() sends twice, waits, and is slow", async () => {
  const plan: ProxyFault[] = [
    { how: "twice", path: /twice/ },
    { how: "stall", path: /wait/, ms: 30 },
    { how: "slow", path: /slow/, ms: 5 },
    { how: "stall", path: /ever/ },
  ];
  await echoing(plan, async (url, seen) => {
    for (const path of ["twice", "wait", "slow"]) {
      assert.deepEqual(await (await put(`${url}/${path}`, noise(5000))).bytes(), noise(5000));
    }
    assert.deepEqual(seen, ["PUT /twice 5000", "PUT /twice 5000", "PUT /wait 5000", "PUT /slow 5000"]);
    await assert.rejects(fetch(`${url}/ever`, { signal: AbortSignal.timeout(100) }));
    assert.equal(seen.length, 4);
  });
});

Deno.test("faultProxy() stands before http: alone", async () => {
  await assert.rejects(faultProxy("https://127.0.0.1:1", []), TypeError);
});
