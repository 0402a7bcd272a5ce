/** Metrics as a text file and through a real push gateway, whose parser is Prometheus's own. */
import { strict as assert } from "node:assert";
import { notify } from "../../mod.ts";
import { hasTool, judged, scratch } from "../support.ts";
import { keeping } from "./support.ts";

const CACHE = `${Deno.env.get("XDG_CACHE_HOME") ?? `${Deno.env.get("HOME")}/.cache`}/holdfast-tools/bin`;
const GATEWAY = hasTool("prometheus-pushgateway")
  ? "prometheus-pushgateway"
  : `${CACHE}/prometheus-pushgateway`;

const facts = { text: "", bytes: 1000, contentBytes: 5000, entries: 7, warnings: { vanished: 2 } };

async function tell(notifier: notify.Notifier, plan: string, kind: "success" | "failure"): Promise<string[]> {
  const { log, warnings } = keeping();
  const subject = { task: "backup", plan, log } as const;
  await notify.announced(
    [notifier],
    subject,
    () => Promise.resolve(),
    () => ({ kind, ...(kind === "success" ? facts : { text: "" }) }),
  );
  return warnings;
}

Deno.test("prometheusFile() replaces a file for each plan, and remembers the last success", async () => {
  using dir = scratch();
  const one = notify.prometheusFile({ folder: dir.join("made", "textfile") });
  const read = (): string => Deno.readTextFileSync(dir.join("made", "textfile", "holdfast_app_backup.prom"));
  const value = (name: string): number =>
    Number(new RegExp(`^${name}\\{plan="app",task="backup"\\} (\\S+)$`, "m").exec(read())?.[1]);
  assert.deepEqual(await tell(one, "app", "failure"), []);
  assert.deepEqual([value("holdfast_last_run_success"), value("holdfast_last_success_timestamp_seconds")], [
    0,
    NaN,
  ]);
  await tell(one, "app", "success");
  const good = value("holdfast_last_success_timestamp_seconds");
  assert.ok(Math.abs(good - Date.now() / 1000) < 600);
  assert.deepEqual([
    value("holdfast_last_run_success"),
    value("holdfast_last_run_warnings"),
    value("holdfast_archive_bytes"),
  ], [1, 2, 1000]);
  await tell(one, "app", "failure");
  assert.deepEqual([value("holdfast_last_run_success"), value("holdfast_last_success_timestamp_seconds")], [
    0,
    good,
  ]);
  await tell(one, 'a/b "c"', "success");
  const names = [...Deno.readDirSync(dir.join("made", "textfile"))].map(({ name }) => name).sort();
  assert.deepEqual(names, ["holdfast_a%2Fb%20%22c%22_backup.prom", "holdfast_app_backup.prom"]);
  assert.ok(
    Deno.readTextFileSync(dir.join("made", "textfile", names[0]!)).includes(
      '{plan="a/b \\"c\\"",task="backup"}',
    ),
  );
  Deno.writeTextFileSync(dir.join("file"), "");
  const warnings = await tell(notify.prometheusFile({ folder: dir.join("file", "x") }), "app", "success");
  assert.match(warnings.join(), /^notify: Cannot tell of the success by prometheusFile/);
  assert.throws(() => notify.prometheusFile({ folder: "relative" }), /is not absolute/);
});

judged(
  "prometheusPush() and prometheusFile() write what Prometheus reads",
  [GATEWAY, "timeout"],
  async () => {
    using dir = scratch();
    await using gateway = await startGateway();
    const push = notify.prometheusPush({ url: gateway.url });
    assert.deepEqual(await tell(push, 'app "ünï"', "success"), []);
    const first = await gateway.metric("holdfast_last_success_timestamp_seconds");
    assert.match(first, /plan="app \\"ünï\\""/);
    assert.match(first, /job="holdfast"/);
    assert.deepEqual(await tell(push, 'app "ünï"', "failure"), []);
    assert.equal(
      await gateway.metric("holdfast_last_success_timestamp_seconds"),
      first,
      "a failure leaves it",
    );
    assert.match(await gateway.metric("holdfast_last_run_success"), / 0$/);
    // The file, through the same parser.
    await tell(notify.prometheusFile({ folder: dir.path }), "filed", "success");
    const body = Deno.readTextFileSync(dir.join("holdfast_filed_backup.prom"));
    const response = await fetch(`${gateway.url}/metrics/job/file`, { method: "PUT", body });
    assert.equal(response.status, 200, await response.text());
    assert.match(await gateway.metric('holdfast_archive_bytes\\{[^}]*plan="filed"'), / 1000$/);
  },
);

async function startGateway(): Promise<
  AsyncDisposable & { readonly url: string; readonly metric: (name: string) => Promise<string> }
> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  // `timeout` ends it should this process be killed.
  const child = new Deno.Command("timeout", {
    args: ["120", GATEWAY, `--web.listen-address=127.0.0.1:${port}`],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  const url = `http://127.0.0.1:${port}`;
  const ask = async (path: string): Promise<string> => await (await fetch(url + path)).text();
  for (let tries = 0;; tries++) {
    if (await ask("/-/ready").then(() => true, () => false)) break;
    if (tries > 300) throw new Error("The push gateway does not start");
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return {
    url,
    metric: async (name) => new RegExp(`^${name}.*$`, "m").exec(await ask("/metrics"))?.[0] ?? "",
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGTERM");
      await child.status;
    },
  };
}
