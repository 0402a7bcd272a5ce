/** A pod: four folders, a real Prosody that keeps its accounts in one of them, keys, and a store. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { type collect, encrypt, type Plan, prose, sign, store } from "../../mod.ts";
import { openpgpPair } from "../sign/support.ts";
import { scratch, sh, streamOf } from "../support.ts";

/** A pod under test. */
export interface Pod extends AsyncDisposable {
  readonly dir: ReturnType<typeof scratch>;
  readonly port: number;
  readonly paths: Record<prose.ProsePart, string>;
  /** Prosody, as programs that stop and start it. */
  readonly service: collect.CommandService;
  /** Whether Prosody answers. */
  readonly runs: () => boolean;
  /** Its process id. */
  readonly pid: () => number;
  /** Makes a verb of its control program fail, or work again. */
  readonly refuse: (verb: "start" | "stop", on?: boolean) => void;
  readonly register: (user: string) => void;
  /** Whether a user can log in: with the password it was registered with. */
  readonly logsIn: (user: string) => Promise<boolean>;
  /** Of a plan that stores in the clear, and says so. */
  readonly options: prose.ProsePlanOptions;
  readonly plan: (more?: Partial<prose.ProsePlanOptions>) => Plan;
}

const CTL = `#!/bin/bash
cd "$(dirname "$0")"
if [ -e "refuse-$1" ]; then echo "I refuse to $1" >&2; exit 7; fi
alive() { [ -s pid ] && kill -0 "$(cat pid)" 2>/dev/null && ! grep -q '^State:.Z' "/proc/$(cat pid)/status"; }
case $1 in
  start)
    alive && exit 0
    setsid prosody --config live/prosody-config/prosody.cfg.lua -F </dev/null >>out 2>&1 &
    echo $! > pid ;;
  stop)
    alive || exit 0
    kill "$(cat pid)"
    for i in $(seq 1500); do alive || exit 0; sleep 0.02; done
    exit 1 ;;
  running) alive && (exec 3<>/dev/tcp/127.0.0.1/PORT) 2>/dev/null ;;
esac
`;

const CONFIG = (root: string, port: number): string => `
run_as_root = true
daemonize = false
data_path = "${root}/live/prosody-data"
modules_enabled = { "posix"; "saslauth"; "roster"; "disco" }
modules_disabled = { "s2s" }
interfaces = { "127.0.0.1" }
c2s_ports = { ${port} }
s2s_ports = { }
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
authentication = "internal_plain"
log = { { levels = { min = "info" }, to = "file", filename = "${root}/prosody.log" } }
VirtualHost "example.org"
`;

const HOST = "example.org";

/** A pod whose Prosody runs, with one user, juliet. */
export async function pod(): Promise<Pod> {
  const dir = scratch();
  let port = 0;
  const live = (name: prose.ProsePart): string => dir.join("live", name);
  const paths = {
    "prose-config": live("prose-config"),
    "prose-pod-server-data": live("prose-pod-server-data"),
    "prosody-config": live("prosody-config"),
    "prosody-data": live("prosody-data"),
  };
  for (const path of Object.values(paths)) mkdirSync(path, { recursive: true });
  writeFileSync(`${paths["prose-config"]}/prose.toml`, "[pod]\n");
  writeFileSync(`${paths["prose-pod-server-data"]}/server.db`, "server data");
  const configure = (): void => {
    port = freePort();
    writeFileSync(`${paths["prosody-config"]}/prosody.cfg.lua`, CONFIG(dir.path, port), { mode: 0o640 });
    writeFileSync(dir.join("ctl"), CTL.replace("PORT", String(port)), { mode: 0o755 });
  };
  configure();
  const ctl = (verb: string): boolean => {
    try {
      execFileSync(dir.join("ctl"), [verb], { stdio: "ignore" });
      return true;
    } catch {
      return false;
    }
  };
  const pid = (): number => Number(readFileSync(dir.join("pid"), "utf8"));
  const it: Pod = {
    dir,
    get port() {
      return port;
    },
    paths,
    service: {
      name: "prosody",
      stop: [dir.join("ctl"), "stop"],
      start: [dir.join("ctl"), "start"],
      running: [dir.join("ctl"), "running"],
    },
    runs: () => ctl("running"),
    pid,
    refuse: (verb, on = true) =>
      on ? writeFileSync(dir.join(`refuse-${verb}`), "") : Deno.removeSync(dir.join(`refuse-${verb}`)),
    register: (user) => register(dir.path, user),
    logsIn: (user) => logIn(port, user),
    get options() {
      const to = store.directory(dir.join("store"));
      return { service: it.service, paths, to, journalDir: dir.join("journal"), require: "none" as const };
    },
    plan: (more) => prose.prosePlan({ ...it.options, ...more }),
    [Symbol.asyncDispose]: () => {
      if (existsSync(dir.join("pid"))) ctl("stop");
      return Promise.resolve(dir[Symbol.dispose]());
    },
  };
  it.register("juliet");
  for (let tries = 1;; tries++) {
    ctl("start");
    try {
      await until("Prosody answers", () => it.runs(), 20_000);
      return it;
    } catch (error) {
      ctl("stop");
      if (tries === 3) throw new Error(readFileSync(dir.join("prosody.log"), "utf8"), { cause: error });
      configure(); // another test took the port between its being found free and this
    }
  }
}

/** Sealing as an operator would, with OpenPGP keys of its own. */
export async function sealing(date?: Date): Promise<
  Pick<prose.ProsePlanOptions, "encrypt" | "sign" | "require"> & { certificate: string; secretKey: string }
> {
  const { certificate, secretKey } = await openpgpPair(date ? { date } : {});
  return {
    encrypt: encrypt.openpgp({ recipients: [certificate], secretKey: () => secretKey }),
    sign: sign.openpgp({ certificate, secretKey: () => secretKey }),
    require: undefined,
    certificate,
    secretKey,
  };
}

/** What a Pod API would send: a tar archive of stock tar's. */
export function apiTar(dir: ReturnType<typeof scratch>, content = "api data"): Uint8Array<ArrayBuffer> {
  const top = dir.join("api", "prose-pod-api-data");
  mkdirSync(`${top}/deep`, { recursive: true });
  writeFileSync(`${top}/api.db`, content);
  writeFileSync(`${top}/deep/z`, "z");
  return new Uint8Array(sh("tar -c prose-pod-api-data", { cwd: dir.join("api") }));
}

/** That, as the recipe takes it. */
export async function apiData(dir: ReturnType<typeof scratch>, content?: string): Promise<prose.PodApiData> {
  return await prose.takeApiData(streamOf(apiTar(dir, content)));
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return (listener.addr as Deno.NetAddr).port;
}

function register(root: string, user: string): void {
  // What prosodyctl writes: it would ask for the configuration's own log and pid files.
  const folder = `${root}/live/prosody-data/${HOST.replaceAll(".", "%2e")}/accounts`;
  mkdirSync(folder, { recursive: true });
  writeFileSync(`${folder}/${user}.dat`, `return {\n\t["password"] = "secret of ${user}";\n};\n`);
}

/** SASL PLAIN (RFC 4616) over XMPP (RFC 6120), up to the server's yes or no. */
async function logIn(port: number, user: string): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  socket.setTimeout(60_000, () => void socket.destroy(new Error("Prosody says nothing")));
  try {
    return await new Promise<boolean>((resolve, reject) => {
      let heard = "";
      const plain = new TextEncoder().encode(`\0${user}\0secret of ${user}`).toBase64();
      socket.on("error", reject);
      socket.on("close", () => reject(new Error(`Prosody hung up: ${heard}`)));
      socket.on("data", (chunk) => {
        heard += chunk.toString();
        if (heard.includes("</stream:features>")) {
          heard = "";
          socket.write(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>${plain}</auth>`);
        }
        if (heard.includes("<success")) resolve(true);
        if (heard.includes("<failure")) resolve(false);
      });
      socket.write(
        `<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='${HOST}' version='1.0'>`,
      );
    });
  } finally {
    socket.destroy();
  }
}

/** Waits for something that another process does, a minute at most. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  mostMs = 60_000,
): Promise<void> {
  for (const end = Date.now() + mostMs; Date.now() < end;) {
    if (await condition()) return;
    await new Promise((done) => setTimeout(done, 40));
  }
  throw new Error(`Waited ${mostMs / 1000} s for this: ${what}`);
}
