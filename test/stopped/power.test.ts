/** Power loss while a service is down: what was not synced before the stop is dropped, and the service is started from what is left. */
import { strict as assert } from "node:assert";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, dirname } from "node:path";
import { revive } from "../../src/collect/stopped/revive.ts";
import { ROOT } from "../cli/support.ts";
import { judged } from "../support.ts";
import { daemon } from "./support.ts";

/** Replays a trace up to the stop: names on the disk are those whose folder was synced since, content that which was synced. */
function durable(trace: string, folder: string, ctl: string): ReadonlySet<string> {
  const open = new Map<string, string>();
  const content = new Set<string>();
  const waiting = new Map<string, () => void>();
  const names = new Set<string>();
  for (const line of trace.split("\n")) {
    if (line.includes("execve(") && line.includes(`"${ctl}", "stop"`)) return names;
    const made = /openat\(AT_FDCWD, "([^"]+)".*\) = (\d+)/.exec(line);
    if (made) open.set(made[2]!, made[1]!);
    const wrote = /\bwrite\((\d+),|\bpwrite64\((\d+),/.exec(line);
    if (wrote) content.delete(open.get(wrote[1] ?? wrote[2]!) ?? "");
    const synced = /\bf(?:data)?sync\((\d+)\) += 0/.exec(line);
    if (synced) {
      const path = open.get(synced[1]!) ?? "";
      content.add(path);
      waiting.get(path)?.();
    }
    const moved = /rename\w*\((?:AT_FDCWD, )?"([^"]+)", (?:AT_FDCWD, )?"([^"]+)"/.exec(line);
    if (moved && dirname(moved[2]!) === folder) {
      const [, from, to] = moved;
      waiting.set(folder, () => content.has(from!) && names.add(basename(to!)));
    }
  }
  throw new Error("The trace shows no stop");
}

/** The calls of all threads in the order of time: one file each, because lines of one file would be torn. */
function traced(folder: string): string {
  return readdirSync(folder).filter((name) => name.startsWith("trace."))
    .flatMap((name) => readFileSync(`${folder}/${name}`, "utf8").split("\n")).sort().join("\n");
}

judged(
  "stopped: power loss while the service is down: the note was on the disk before the stop",
  ["strace"],
  async () => {
    using it = await daemon();
    const journal = it.dir.join("journal");
    writeFileSync(
      it.dir.join("run.ts"),
      `import { collect } from "${ROOT}/mod.ts";
import { testContext } from "${ROOT}/test/support.ts";
const service = ${JSON.stringify(it.service)};
const source = collect.command(["cp", "-a", "${journal}", "${
        it.dir.join("copy")
      }"], { path: "x", allowEmpty: true });
const files = await collect.stopped(service, source, { journalDir: "${journal}" }).run(undefined, testContext());
for await (const _ of files.entries());
`,
    );
    const { code, stderr } = await new Deno.Command("strace", {
      args: ["-ff", "-ttt", "-qq", "-b", "execve", "-s", "4096", "-o", it.dir.join("trace")]
        .concat("-e", "trace=openat,write,pwrite64,fsync,fdatasync,rename,renameat,renameat2,execve")
        .concat(
          Deno.execPath(),
          "run",
          "-A",
          "--no-check",
          "--config",
          `${ROOT}/deno.json`,
          it.dir.join("run.ts"),
        ),
      cwd: ROOT,
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).output();
    assert.equal(code, 0, new TextDecoder().decode(stderr));
    const kept = durable(traced(it.dir.path), journal, it.ctl);
    // The machine comes back with the service down and nothing but what the disk had.
    new Deno.Command(it.ctl, { args: ["stop"] }).outputSync();
    assert.equal(it.runs(), false);
    const disk = it.dir.join("disk");
    mkdirSync(disk);
    for (const name of kept) {
      if (existsSync(it.dir.join("copy", name))) {
        cpSync(it.dir.join("copy", name), `${disk}/${name}`);
      }
    }
    await revive(disk, { info: () => {}, warn: (_kind, message) => assert.fail(message) });
    assert.ok(it.runs(), `on the disk: ${[...kept].join(" ") || "nothing"}`);
  },
);
