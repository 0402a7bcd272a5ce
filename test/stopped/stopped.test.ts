/** A service that stands still while it is read, and runs again whatever happens. */
import { strict as assert } from "node:assert";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import {
  backup,
  BusyError,
  collect,
  type Files,
  IntegrityError,
  list,
  restore,
  type Stage,
} from "../../mod.ts";
import { openPause } from "../../src/collect/stopped/pause.ts";
import { controlOf } from "../../src/collect/stopped/service.ts";
import { findError } from "../../src/errors.ts";
import { noise, scratch, testContext } from "../support.ts";
import { counters, type Daemon, daemon, planOf, sealed } from "./support.ts";

/** No note is left. */
function noNote({ dir }: Daemon): boolean {
  return !existsSync(dir.join("journal")) ||
    readdirSync(dir.join("journal")).every((name) => name.endsWith(".lock"));
}

Deno.test("stopped: the service stands still while it is read, runs again before the upload, and the receipt says so", async () => {
  using it = await daemon();
  mkdirSync(`${it.data}/more`);
  for (let i = 0; i < 300; i++) writeFileSync(`${it.data}/more/${i}`, noise(i * 37, i + 1));
  writeFileSync(`${it.data}/big`, noise(9 << 20, 7));
  let runsAtUpload: boolean | undefined;
  const result = await backup(planOf(it), {
    progress: ({ phase }) => {
      if (phase === "upload") runsAtUpload ??= it.runs();
    },
  });
  assert.equal(runsAtUpload, true, "the upload began while the service was down");
  assert.deepEqual(it.diary(), ["start", "stop", "start"]);
  assert.ok(it.runs() && noNote(it));
  const [own, inner] = result.receipt.sources;
  assert.equal(own!.tool, "stopped");
  const { downMs, ...facts } = own!.facts;
  assert.ok(typeof downMs === "number" && downMs > 0);
  assert.deepEqual(facts, { service: "counter", kind: "command", stopped: true });
  assert.equal(inner!.tool, "files");
  assert.equal(result.receipt.contents.entries, 305);

  const into = it.dir.join("out");
  await restore(planOf(it), { into });
  const [one, two] = counters(`${into}/data`);
  assert.equal(one, two);
  assert.deepEqual(Deno.readFileSync(`${into}/data/big`), noise(9 << 20, 7));
  for (const i of [0, 1, 299]) {
    assert.deepEqual(Deno.readFileSync(`${into}/data/more/${i}`), noise(i * 37, i + 1));
  }
  assert.deepEqual(it.diary(), ["start", "stop", "start"], "a restore elsewhere leaves the service alone");
});

Deno.test("stopped: a service that does not run is neither stopped nor started", async () => {
  using it = await daemon();
  new Deno.Command(it.ctl, { args: ["stop"] }).outputSync();
  const { receipt } = await backup(planOf(it));
  assert.deepEqual(it.diary(), ["start", "stop"]);
  assert.equal(receipt.sources[0]!.facts.stopped, false);
  assert.equal(it.runs(), false);
});

Deno.test("stopped: what can fail is found before the stop", async (t) => {
  using it = await daemon();
  const never = async (
    name: string,
    message: RegExp,
    make: () => ReturnType<typeof planOf>,
  ): Promise<void> => {
    await t.step(name, async () => {
      await assert.rejects(async () => await backup(make()), message);
      assert.deepEqual(it.diary(), ["start"]);
      assert.ok(it.runs() && noNote(it));
    });
  };
  const gone = collect.files(it.dir.join("nowhere"));
  await never("a source that is not there", /nowhere/, () => planOf(it, {}, gone));
  await never(
    "a program that is not there",
    /"no-such-program" is not a program.*Nothing was stopped/,
    () => planOf({ ...it, service: { ...it.service, start: ["no-such-program"] } }),
  );
  await never("no room for the spool", /not enough space/, () => planOf(it, { spaceBytes: 2 ** 60 }));
  await never(
    "a spool folder that is not there",
    /Set spoolDir/,
    () => planOf(it, { spoolDir: it.dir.join("no-spool") }),
  );
  writeFileSync(it.dir.join("a-file"), "");
  await never(
    "a folder for the note that cannot be made",
    /a-file/,
    () => planOf(it, { journalDir: it.dir.join("a-file/journal") }),
  );
  Deno.truncateSync(it.dir.join("a-file"), 2 ** 43); // 8 TiB that take no room
  await never(
    "files that weigh more than the spool's disk holds",
    /not enough space/,
    () => planOf(it, {}, collect.files({ big: it.dir.join("a-file") })),
  );
});

Deno.test("stopped: a service that refuses to stop: started, nothing stored", async () => {
  using it = await daemon();
  it.refuse("stop");
  await assert.rejects(
    backup(planOf(it)),
    /Cannot stop "counter".*exit code 7: I refuse to stop.*Nothing was read/,
  );
  assert.ok(it.runs() && noNote(it));
  assert.deepEqual(await list(planOf(it)), []);
});

Deno.test("stopped: a service that says it stopped and runs on is refused after its time", async () => {
  using it = await daemon();
  const liar = { ...it, service: { ...it.service, stop: ["true"] } };
  await assert.rejects(backup(planOf(liar, { stopTimeoutMs: 500 })), /took more than 500 ms/);
  assert.ok(it.runs() && noNote(it));
});

Deno.test("stopped: a service that refuses to start: loud, tried twice, noted, and started by the next run", async () => {
  using it = await daemon();
  it.refuse("start");
  const warned: string[] = [];
  const log = {
    info: (): void => {},
    warn: (kind: string, text: string): void => void warned.push(`${kind}: ${text}`),
  };
  await assert.rejects(
    backup(planOf(it), { log }),
    /"counter" IS DOWN.*I refuse to start.*then: .*ctl start\. Until it runs/,
  );
  assert.match(warned.join("\n"), /^service: "counter" IS DOWN/);
  assert.deepEqual(it.diary(), ["start", "stop", "start", "start"]);
  assert.deepEqual(await list(planOf(it)), []);
  const [note] = readdirSync(it.dir.join("journal")).filter((name) => name.endsWith(".json"));
  assert.equal(statSync(it.dir.join("journal", note!)).mode & 0o777, 0o600);
  it.refuse("start", false);
  const { receipt } = await backup(planOf(it));
  assert.equal(receipt.sources[0]!.facts.stopped, true);
  assert.ok(it.runs() && noNote(it));
});

Deno.test("stopped: the source fails in the middle, or the service is started meanwhile: it runs, nothing is stored", async () => {
  using it = await daemon();
  const failing = collect.command(["bash", "-c", "echo half; exit 9"], { path: "dump" });
  await assert.rejects(backup(planOf(it, {}, failing)), /exit code 9/);
  assert.ok(it.runs() && noNote(it));
  const meddling = collect.command(["bash", "-c", `echo all; exec '${it.ctl}' start`], { path: "dump" });
  await assert.rejects(backup(planOf(it, {}, meddling)), /started by something else meanwhile/);
  assert.ok(it.runs() && noNote(it));
  assert.deepEqual(await list(planOf(it)), []);
});

Deno.test("stopped: cancelled in the middle, the service runs when backup() has rejected", async () => {
  using it = await daemon();
  const stop = new AbortController();
  const slow = collect.command(["bash", "-c", "echo begun; exec sleep 600"], { path: "dump" });
  const progress = ({ phase, bytes }: { phase: string; bytes: number }): void => {
    if (phase === "collect" && bytes > 0) stop.abort(new DOMException("Cancelled", "AbortError"));
  };
  await assert.rejects(backup(planOf(it, {}, slow), { signal: stop.signal, progress }), /Cancelled/);
  assert.deepEqual(it.diary(), ["start", "stop", "start"]);
  assert.ok(it.runs() && noNote(it));
});

Deno.test("stopped: the spool's disk goes away in the middle: it runs, nothing is stored", async () => {
  using it = await daemon();
  const spoolDir = it.dir.join("spool");
  mkdirSync(spoolDir);
  const large = collect.command(
    ["bash", "-c", `rmdir '${spoolDir}'; head -c 9000000 /dev/zero`],
    { path: "dump" },
  );
  await assert.rejects(backup(planOf(it, { spoolDir }, large)), /Cannot spool the data of "counter"/);
  assert.deepEqual(it.diary(), ["start", "stop", "start"]);
  assert.ok(it.runs() && noNote(it));
  assert.deepEqual(await list(planOf(it)), []);
});

Deno.test("stopped: two runs at once: the second is busy and touches nothing", async () => {
  using it = await daemon();
  const context = testContext();
  const options = { journalDir: it.dir.join("journal") };
  const first = await openPause(controlOf(it.service), options, context);
  await assert.rejects(openPause(controlOf(it.service), options, context), (error) => {
    assert.ok(error instanceof BusyError);
    assert.match(error.message, /another run has it/);
    return true;
  });
  first.release();
  (await openPause(controlOf(it.service), options, context)).release();
  assert.deepEqual(it.diary(), ["start"]);
});

Deno.test("stopped: functions stop and start as well, and are given a signal", async () => {
  using dir = scratch();
  writeFileSync(dir.join("f"), "x");
  const said: string[] = [];
  const service: collect.FunctionService = {
    name: "mine",
    stop: (signal) => void said.push(`stop ${signal.aborted}`),
    start: (signal) => void said.push(`start ${signal.aborted}`),
  };
  const options = { journalDir: dir.join("journal") };
  const files = await collect.stopped(service, collect.files(dir.join("f")), options).run(
    undefined,
    testContext(),
  );
  const paths = [];
  for await (const { path } of files.entries()) paths.push(path);
  assert.deepEqual(paths, ["f"]);
  assert.deepEqual(said, ["stop false", "start false"]);
  assert.equal(files.facts().sources[0]!.facts.kind, "function");
});

Deno.test("stopped: in place, the service stops only when the backup is verified, and runs when it stands", async (t) => {
  using it = await daemon();
  const plan = planOf(it);
  const { id } = await backup(plan);
  await t.step("restored around a stop", async () => {
    writeFileSync(`${it.data}/later`, "not in the backup");
    const calls = it.diary().length;
    let runsWhileRead: boolean | undefined;
    await restore(plan, {
      inPlace: true,
      conflict: "overwrite",
      progress: ({ phase }) => {
        if (phase === "restore") runsWhileRead ??= it.runs();
      },
    });
    assert.equal(runsWhileRead, true);
    assert.deepEqual(it.diary().slice(calls), ["stop", "start"]);
    assert.ok(it.runs() && noNote(it));
  });
  await t.step("of a damaged backup: never stopped", async () => {
    const archive = it.dir.join("store", id);
    const bytes = Deno.readFileSync(archive);
    bytes[700]! ^= 1;
    Deno.chmodSync(archive, 0o600);
    Deno.writeFileSync(archive, bytes);
    const calls = it.diary().length;
    await assert.rejects(restore(plan, { inPlace: true, conflict: "overwrite" }), (error) => {
      assert.ok(findError(error, IntegrityError), String(error));
      return true;
    });
    assert.equal(it.diary().length, calls);
    assert.ok(it.runs() && noNote(it));
  });
});

Deno.test("stopped: what it does not start on is taken back, and it runs on what was there", async (t) => {
  using it = await daemon();
  const plan = planOf(it);
  await backup(plan);
  writeFileSync(`${it.data}/still`, "as it was");
  // It starts on these data only: the restored ones lack the file.
  const ctl = readFileSync(it.ctl, "utf8");
  writeFileSync(
    it.ctl,
    ctl.replace("alive && exit 0\n", "alive && exit 0\n    [ -e data/still ] || exit 9\n"),
  );
  const calls = it.diary().length;
  const want = { inPlace: true, conflict: "overwrite", replace: true } as const;
  const undo = (more: object): Promise<unknown> => restore(plan, { ...want, ...more });
  await t.step("does not start", async () => {
    await assert.rejects(undo({}), /exit(ed with)? code 9/);
    assert.deepEqual(it.diary().slice(calls), ["stop", "start", "start", "stop", "start"]);
    assert.equal(readFileSync(`${it.data}/still`, "utf8"), "as it was");
    assert.ok(it.runs() && noNote(it));
  });
  await t.step("starts, and somebody else refuses", async () => {
    writeFileSync(it.ctl, ctl);
    let ranOnTrial: boolean | undefined;
    const confirm = (): Promise<void> => {
      ranOnTrial = it.runs() && !existsSync(`${it.data}/still`);
      return Promise.reject(new Error("not with me"));
    };
    await assert.rejects(undo({ confirm }), /not with me/);
    assert.equal(ranOnTrial, true);
    assert.equal(readFileSync(`${it.data}/still`, "utf8"), "as it was");
    assert.ok(it.runs() && noNote(it));
  });
});

Deno.test("stopped: a member of a group, and around a group, comes back in place", async (t) => {
  const other = (it: Daemon): Stage<void, Files> => collect.files({ other: it.dir.join("other") });
  const data = (it: Daemon): Stage<void, Files> => collect.files({ data: it.data });
  const options = (it: Daemon): collect.StoppedOptions => ({ journalDir: it.dir.join("journal") });
  const shapes: Readonly<Record<string, (it: Daemon) => Stage<void, Files>>> = {
    member: (it) => collect.group({ x: collect.stopped(it.service, data(it), options(it)), y: other(it) }),
    around: (it) => collect.stopped(it.service, collect.group({ x: data(it), y: other(it) }), options(it)),
  };
  for (const [name, make] of Object.entries(shapes)) {
    await t.step(name, async () => {
      using it = await daemon();
      mkdirSync(it.dir.join("other"));
      writeFileSync(it.dir.join("other/f"), "as it was");
      writeFileSync(`${it.data}/still`, "as it was");
      const plan = sealed(it, make(it));
      await backup(plan);
      writeFileSync(it.dir.join("other/f"), "changed");
      writeFileSync(`${it.data}/still`, "changed");
      await restore(plan, { inPlace: true, conflict: "overwrite" });
      assert.equal(readFileSync(it.dir.join("other/f"), "utf8"), "as it was");
      assert.equal(readFileSync(`${it.data}/still`, "utf8"), "as it was");
      assert.deepEqual(it.diary(), ["start", "stop", "start", "stop", "start"]);
      assert.ok(it.runs() && noNote(it));
    });
  }
});

Deno.test("stopped: wrong options are refused when it is made", () => {
  const files = collect.files("/srv/app");
  const wrong: readonly [unknown, collect.StoppedOptions, RegExp][] = [
    [{ unit: "--now" }, {}, /systemd unit/],
    [{ unit: "" }, {}, /systemd unit/],
    [{ stop: [], start: ["x"] }, {}, /"stop" must be a list/],
    [{ stop: ["x"] }, {}, /"start" must be a list/],
    [{ stop: ["x"], start: ["y"], running: [""] }, {}, /"running" must be a list/],
    [{ stop: ["x\0"], start: ["y"] }, {}, /"stop" must be a list/],
    [{ name: "x", stop: () => {} }, {}, /both "stop" and "start"/],
    [{ stop: () => {}, start: () => {} }, {}, /"name"/],
    [{ unit: "a.service" }, { stopTimeoutMs: 0 }, /stopTimeoutMs/],
    [{ unit: "a.service" }, { startTimeoutMs: NaN }, /startTimeoutMs/],
    [{ unit: "a.service" }, { spaceBytes: -1 }, /spaceBytes/],
  ];
  for (const [service, options, message] of wrong) {
    assert.throws(() => collect.stopped(service as collect.Service, files, options), message);
  }
  collect.stopped({ unit: "app@1.service", user: true }, files);
});
