/** A service to stop: it writes a counter into two files for as long as it runs, so that a copy made meanwhile shows. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  archive,
  collect,
  encrypt,
  type Files,
  type Pipeline,
  pipeline,
  type Stage,
  store,
  type Stored,
  upload,
} from "../../mod.ts";
import { scratch } from "../support.ts";

/** A daemon with a pid file, its data, its control program, and a diary of what was asked of it. */
export interface Daemon extends Disposable {
  readonly dir: ReturnType<typeof scratch>;
  readonly data: string;
  /** `ctl start|stop|running`. `refuse` in the folder makes that verb fail. */
  readonly ctl: string;
  readonly service: collect.CommandService;
  readonly runs: () => boolean;
  readonly diary: () => string[];
  /** Makes a verb fail from now on, or work again. */
  readonly refuse: (verb: string, on?: boolean) => void;
}

const CTL = `#!/bin/bash
cd "$(dirname "$0")"
verb=$1
[ "$verb" = running ] || echo "$verb" >> diary
if [ -e "refuse-$verb" ]; then echo "I refuse to $verb" >&2; exit 7; fi
alive() { [ -s pid ] && kill -0 "$(cat pid)" 2>/dev/null && ! grep -q '^State:.Z' "/proc/$(cat pid)/status"; }
case $verb in
  start)
    alive && exit 0
    setsid bash -c 'n=0; trap "end=1" TERM; while :; do n=$((n+1)); echo $n > data/one; echo $n > data/two; sleep 0.02; [ -z "$end" ] || exit; done' \\
      </dev/null >/dev/null 2>&1 &
    echo $! > pid ;;
  stop)
    alive || exit 0
    kill "$(cat pid)"
    for i in $(seq 500); do alive || exit 0; sleep 0.02; done
    exit 1 ;;
  running) alive ;;
esac
`;

/** A daemon that runs. */
export async function daemon(): Promise<Daemon> {
  const dir = scratch();
  mkdirSync(dir.join("data"));
  const ctl = dir.join("ctl");
  writeFileSync(ctl, CTL, { mode: 0o755 });
  const ask = async (verb: string): Promise<number> => {
    const { code } = await new Deno.Command(ctl, {
      args: [verb],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    })
      .output();
    return code;
  };
  await ask("start");
  while (!existsSync(dir.join("data/two"))) await new Promise((done) => setTimeout(done, 20));
  const pid = (): number => Number(readFileSync(dir.join("pid"), "utf8"));
  return {
    dir,
    data: dir.join("data"),
    ctl,
    service: { name: "counter", stop: [ctl, "stop"], start: [ctl, "start"], running: [ctl, "running"] },
    runs: () => alive(pid()),
    diary: () => readFileSync(dir.join("diary"), "utf8").trim().split("\n"),
    refuse: (verb, on = true) => {
      if (on) writeFileSync(dir.join(`refuse-${verb}`), "");
      else Deno.removeSync(dir.join(`refuse-${verb}`));
    },
    [Symbol.dispose]: () => {
      if (alive(pid())) Deno.kill(pid(), "SIGKILL");
      dir[Symbol.dispose]();
    },
  };
}

/** Whether a process lives; one that only waits to be reaped does not. */
export function alive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

/** Waits for something that another process does. */
export async function until(what: string, condition: () => boolean): Promise<void> {
  for (let i = 0; i < 3000; i++) {
    if (condition()) return;
    await new Promise((done) => setTimeout(done, 20));
  }
  throw new Error(`Waited a minute for this: ${what}`);
}

/** A plan over the daemon's data. */
export function planOf(
  { service, data, dir }: Daemon,
  options: collect.StoppedOptions = {},
  collector = collect.files({ data }),
): Pipeline<void, Stored> {
  const journalDir = dir.join("journal");
  return sealed({ dir }, collect.stopped(service, collector, { journalDir, ...options }));
}

/** A plan over any source, into the daemon's store. */
export function sealed({ dir }: Pick<Daemon, "dir">, source: Stage<void, Files>): Pipeline<void, Stored> {
  return pipeline(source)
    .pipe(archive.tar())
    .pipe(encrypt.plaintext())
    .pipe(upload({ name: "counter", to: store.directory(dir.join("store")) }));
}

/** What the two files of a restored tree say: the same, when the service stood still. */
export function counters(folder: string): readonly [string, string] {
  return [readFileSync(join(folder, "one"), "utf8"), readFileSync(join(folder, "two"), "utf8")];
}
