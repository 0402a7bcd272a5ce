/** Reports from a past that is written down, and from none. */
import { strict as assert } from "node:assert";
import {
  archive,
  collect,
  encrypt,
  monitor,
  pipeline,
  report,
  reportPage,
  sign,
  store,
  upload,
} from "../../mod.ts";
import { utf8 } from "../../src/bytes.ts";
import { StoreError } from "../../src/errors.ts";
import type { Store } from "../../src/stage.ts";
import { lines, run } from "../cli/support.ts";
import { planOf, recipient, treeScratch } from "../engine/support.ts";
import { minisignPair } from "../sign/support.ts";
import { scratch } from "../support.ts";
import { FIRST, writePast } from "./support.ts";

const DAY = 86_400_000;
const targets = { rto: "5min", rpo: "26h", duration: "4h", bytes: 2_000_000_000 };

Deno.test("report() measures recovery time and point, durations and sizes against the targets", async () => {
  const past = store.memory();
  await writePast(past, { backups: 120, drillEvery: 20, note: "spare machine" });
  const now = new Date(FIRST + 121 * DAY + 6 * 3_600_000); // six hours after the last one, two days having been missed
  const plan = monitor(planOf("/nowhere", past), { targets });
  const made = await report(plan, { now });
  const [rto, rpo, duration, bytes] = made.measures;
  assert.deepEqual([made.backups.length, made.drills.length], [120, 6]);
  assert.deepEqual(
    [rto!.count, rto!.last, rto!.met, rto!.missed],
    [6, undefined, false, 1],
    "the last drill failed",
  );
  assert.ok(rto!.median! > 240_000 && rto!.worst! < 300_000);
  assert.deepEqual([rpo!.count, rpo!.last, rpo!.met, rpo!.missed], [120, 6 * 3_600_000, true, 2]);
  assert.deepEqual([rpo!.median, rpo!.worst], [DAY, 2 * DAY]);
  assert.ok(duration!.met && duration!.missed === 0 && duration!.trend! > 0.05);
  assert.ok(bytes!.met && bytes!.trend! > 0.02 && bytes!.trend! < 0.2);
  const drill = made.drills[0]!;
  assert.deepEqual([drill.verdict, drill.which, drill.note, drill.phases?.verify], [
    "restored",
    "newest",
    "spare machine",
    4000,
  ]);
  assert.equal(made.drills.at(-1)!.verdict, "failed");
  const some = await report(plan, { now, last: 10 });
  assert.deepEqual([some.backups.length, some.backups.at(-1)!.id], [10, made.backups.at(-1)!.id]);
  const late = await report(plan, { now: new Date(now.getTime() + 2 * DAY) });
  assert.equal(late.measures[1]!.met, false, "no backup for too long is a miss as well");
});

Deno.test("report() of nothing has nothing, and the page says what to do", async () => {
  const plan = monitor(planOf("/nowhere", store.memory()), { targets });
  const made = await report(plan);
  for (const measure of made.measures) {
    assert.deepEqual([measure.count, measure.last, measure.met], [0, undefined, undefined]);
  }
  const page = reportPage([made], new Date());
  assert.match(page, /There is no backup yet\./);
  assert.match(page, /never been drilled.*deno task drill/);
  assert.ok(!/<svg|NaN|undefined|Infinity/.test(page));
  assert.match(reportPage([], new Date()), /no plan and no backup/);
});

Deno.test("report() reads every backup once from several stores, and says what it left out", async () => {
  const [a, b] = [store.memory(), { ...store.memory(), url: "memory:b" }];
  await writePast(a, { backups: 5 });
  await writePast(b, { backups: 8, drillEvery: 4 });
  const { backups, drills } = await report(planOf("/nowhere", [a, b]));
  assert.deepEqual([backups.length, drills.length], [8, 2]);
  await a.put("app_2024-01-02T03-00-00Z.tar.zst.age.receipt.json", utf8("{}"));
  const damaged = await report(planOf("/nowhere", a));
  assert.deepEqual([damaged.backups.length, damaged.skipped.length], [4, 1]);
  assert.match(damaged.skipped[0]!, /app_2024-01-02.*Cannot read the receipt/);
  const broken: Store = {
    ...b,
    list: () => {
      throw new StoreError("Cannot list: gone");
    },
  };
  const warned: string[] = [];
  const log = { info: () => {}, warn: (kind: string) => void warned.push(kind) };
  assert.equal((await report(planOf("/nowhere", [a, broken]), { log })).backups.length, 4);
  assert.deepEqual(warned, ["target"]);
  await assert.rejects(report(planOf("/nowhere", broken)), /Cannot list: gone/);
});

Deno.test("report() takes no drill that is not signed as the plan asks", async () => {
  const past = store.memory();
  await writePast(past, { backups: 4, drillEvery: 2 });
  const { publicKey, secretKey } = minisignPair();
  const plan = pipeline(collect.files("/nowhere")).pipe(archive.tar()).pipe(
    encrypt.age({ recipients: [recipient] }),
  )
    .pipe(sign.minisign({ publicKey, secretKey: () => secretKey })).pipe(upload({ name: "app", to: past }));
  const { drills, skipped } = await report(plan);
  assert.deepEqual([drills.length, skipped.length], [0, 2]);
  assert.match(skipped[0]!, /is not signed/);
});

Deno.test("the page needs nothing else, hides no value from a screen reader, and is not to be scripted", async () => {
  const past = store.memory();
  const evil = `<script>alert(1)</script>"'&`;
  await writePast(past, { backups: 1000, drillEvery: 30, note: evil });
  const made = await report(monitor(planOf("/nowhere", past), { targets }), {
    now: new Date(FIRST + 1020 * DAY),
  });
  const page = reportPage([made, made], new Date());
  assert.ok(
    !page.includes("<script") && page.includes("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;"),
  );
  assert.ok(!/\b(?:src|href|url|action)\s*[=(]|https?:|@import/i.test(page), "nothing is fetched");
  assert.match(page, /Content-Security-Policy" content="default-src 'none'/);
  assert.ok(!/NaN|undefined|Infinity/.test(page));
  const charts = [...page.matchAll(/<svg [^>]*role="img" aria-labelledby="(\S+) (\S+)">(.*?)<\/svg>/gs)];
  assert.equal(charts.length, 8);
  for (const [, title, about, inner] of charts) {
    assert.ok(inner!.includes(`<title id="${title}">`) && inner!.includes(`<desc id="${about}">`));
  }
  const ids = [...page.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id);
  assert.equal(new Set(ids).size, ids.length, "ids are unique");
  for (const [, label] of page.matchAll(/aria-labelledby="([^"]+)"/g)) {
    for (const id of label!.split(" ")) assert.ok(ids.includes(id), id);
  }
  const tables = [...page.matchAll(/<table>.*?<\/table>/gs)].map(([text]) => text.match(/<tr>/g)!.length - 1);
  assert.deepEqual(tables.slice(0, 5), [4, 34, 1000, 1000, 1000], "a row for every point");
  // Every element that is opened is closed, in order.
  const open: string[] = [];
  for (const [, close, name, rest] of page.matchAll(/<(\/?)([a-z0-9]+)((?:"[^"]*"|[^">])*)>/g)) {
    if (/^(?:meta|br)$/.test(name!) || rest!.endsWith("/")) continue;
    if (close === "") open.push(name!);
    else assert.equal(open.pop(), name);
  }
  assert.deepEqual(open, []);
});

Deno.test("report: table, JSON, page and exit code", async () => {
  using dir = treeScratch();
  using home = scratch();
  const user = { home: home.path, cwd: dir.path };
  const config = (targets: string): void =>
    Deno.writeTextFileSync(
      dir.join("backup.toml"),
      `[plan.app]
collect = { files = ["src"] }
encrypt = { age = { recipients = ["${recipient}"] } }
upload = { to = "store" }
targets = { ${targets} }
`,
    );
  Deno.mkdirSync(dir.join("store"));
  config('rpo = "26h"');
  const none = await run(user, "report", ["--html", "none.html", "--quiet"]);
  assert.equal(none.code, 0, none.err);
  assert.match(
    none.out,
    /^app: 0 backups, 0 drills\nMEASURE .*\nRecovery time .*\nRecovery point \(RPO\) +26 h +nothing measured/,
  );
  assert.match(Deno.readTextFileSync(dir.join("none.html")), /There is no backup yet/);
  await writePast(store.directory(dir.join("store")), { backups: 3, drillEvery: 1 });
  const missed = await run(user, "report", ["--json"]);
  assert.equal(missed.code, 3, missed.err);
  const [made] = lines(missed.out);
  assert.deepEqual([made.plan, made.backups.length, made.drills.length, made.measures[1].met], [
    "app",
    3,
    3,
    false,
  ]);
  config('duration = "2h"');
  const met = await run(user, "report", ["--html", "page.html"]);
  assert.equal(met.code, 0, met.err);
  assert.match(met.out, /^DRILLED .*\n2024-01-03 09:00 +failed /m);
  assert.match(Deno.readTextFileSync(dir.join("page.html")), /<svg /);
  const nowhere = await run(user, "report", ["--html", "no/such/page.html"]);
  assert.equal(nowhere.code, 2);
  assert.match(nowhere.err, /Cannot write the page "\S+no\/such\/page.html"/);
  config('rto = "30"');
  const wrong = await run(user, "report", []);
  assert.equal(wrong.code, 2);
  assert.match(wrong.err, /plan\.app\.targets: Cannot use rto = "30": write a span such as/);
});
