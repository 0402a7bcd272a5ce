/** etcd against a real server that is written to. */
import { strict as assert } from "node:assert";
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { backup, databases, drill, encrypt, restore, store } from "../../mod.ts";
import type { Entry, Files } from "../../src/stage.ts";
import { lines, run, runPrinted } from "../cli/support.ts";
import { judged, scratch, testContext } from "../support.ts";
import { freePort } from "../store/s3_server.ts";
import {
  objects,
  onFreePort,
  planOver,
  provenIn,
  type Running,
  serve,
  userFolder,
  works,
} from "./support.ts";

const TOOLS = ["etcd", "etcdctl", "openssl", "setpriv"];
const PASSWORD = "pass-word-1";
const { identity, recipient } = await encrypt.generateIdentity();

interface Server extends Running {
  readonly endpoint: string;
  readonly ctl: (...args: string[]) => string;
}

/** Files of a server that speaks TLS with whom it knows alone. */
interface Tls {
  readonly cert: string;
  readonly key: string;
}

const started = (data: string, tls?: Tls): Promise<Server> =>
  onFreePort((port) => startedOn(port, data, tls));

async function startedOn(port: number, data: string, tls: Tls | undefined): Promise<Server> {
  const endpoint = `${tls ? "https" : "http"}://127.0.0.1:${port}`;
  const known = tls ? [`--cacert=${tls.cert}`, `--cert=${tls.cert}`, `--key=${tls.key}`] : [];
  const own = tls
    ? [
      `--cert-file=${tls.cert}`,
      `--key-file=${tls.key}`,
      `--trusted-ca-file=${tls.cert}`,
      "--client-cert-auth",
    ]
    : [];
  const peer = `http://127.0.0.1:${freePort()}`;
  const clients = ["--listen-client-urls", endpoint, "--advertise-client-urls", endpoint];
  const peers = ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer];
  const rest = ["--initial-cluster", `default=${peer}`];
  const args = (...more: readonly string[]): string[] => [`--endpoints=${endpoint}`, ...known, ...more];
  const ready = (): boolean => works("etcdctl", args("endpoint", "health"));
  const server = await serve(["etcd", "--data-dir", data, ...clients, ...peers, ...own, ...rest], ready);
  const ctl = (...more: string[]): string =>
    execFileSync("etcdctl", args(...more), { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }).trim();
  return { ...server, endpoint, ctl };
}

/** Puts one number into two keys, in one transaction each time: any torn copy breaks their equation. */
function writer({ endpoint }: Server): { count: () => number; stop: () => Promise<void> } {
  let count = 0;
  let over = false;
  const put = (key: string): unknown => ({ requestPut: { key: btoa(key), value: btoa(`${count}`) } });
  const loop = async (): Promise<void> => {
    while (!over) {
      count++;
      const success = [put("head"), put(`log/${count}`)];
      const answer = await fetch(`${endpoint}/v3/kv/txn`, {
        method: "POST",
        body: JSON.stringify({ success }),
      });
      await answer.text();
    }
  };
  const done = loop();
  return {
    count: () => count,
    stop: async () => {
      over = true;
      await done;
    },
  };
}

judged(
  "etcd() backs up a server that is written to, drills it, and a new member starts with it",
  TOOLS,
  async () => {
    using dir = scratch();
    fs.chmodSync(dir.path, 0o755);
    const to = store.memory();
    const dataDir = dir.join("two");
    let plan;
    let id;
    let revision;
    {
      await using old = await started(userFolder(dir.join("one")));
      for (const args of [["user", "add", `root:${PASSWORD}`], ["user", "grant-role", "root", "root"]]) {
        old
          .ctl(...args);
      }
      const writing = writer(old);
      while (writing.count() < 300) await new Promise((resolve) => setTimeout(resolve, 20));
      const login = { user: "root", password: () => PASSWORD };
      plan = planOver(databases.etcd({ endpoint: old.endpoint, ...login, dataDir }), to, recipient, identity);
      const made = await backup(plan);
      await writing.stop();
      const { facts } = made.receipt.sources[0]!;
      assert.equal(
        facts.serverVersion,
        /\d[\d.]+/.exec(execFileSync("etcd", ["--version"], { encoding: "utf8" }))![0],
      );
      assert.ok(Number(facts.revision) > 300);
      id = made.id;
      revision = facts.revision;
      // With authentication on, the drill's own server asks for the password, too.
      old.ctl("auth", "enable");
      await backup(plan, { now: new Date(Date.now() + 5000) });
    }
    const drilled = await drill(plan);
    assert.ok(drilled.phases.start > 0);
    const proven = await provenIn(to);
    assert.ok(
      Number(proven.revision) >= Number(revision) && Number(proven.keys) > 300 && Number(proven.hash) > 0,
    );
    assert.deepEqual(fs.readdirSync(dir.path).sort(), ["one"]);

    fs.mkdirSync(dataDir);
    fs.writeFileSync(`${dataDir}/old`, "");
    await assert.rejects(
      restore(plan, { id, inPlace: true, conflict: "overwrite" }),
      /two" is not empty\. Nothing was touched/,
    );
    fs.rmSync(`${dataDir}/old`);
    await restore(plan, { id, inPlace: true });
    assert.deepEqual(fs.readdirSync(dataDir), ["member"]);
    await using fresh = await freshOver(dataDir);
    assert.match(fresh.ctl("endpoint", "status", "-w", "json"), new RegExp(`"revision":${revision},`));
    const head = fresh.ctl("get", "head", "--print-value-only");
    assert.ok(Number(head) >= 300);
    assert.equal(fresh.ctl("get", "log/", "--prefix", "--keys-only").match(/log/g)!.length, Number(head));
  },
);

/** What root restored, as a server that is root. */
async function freshOver(dataDir: string): Promise<Server> {
  if (Deno.uid() === 0) execFileSync("chown", ["-R", "65534:65534", dataDir]);
  return await started(dataDir);
}

judged(
  "etcd() stores nothing when the server refuses, is gone, or the snapshot is cut, damaged or old",
  TOOLS,
  async () => {
    using dir = scratch();
    fs.chmodSync(dir.path, 0o755);
    fs.mkdirSync(dir.join("spool"));
    await using server = await started(userFolder(dir.join("data")));
    const login = ["--user=root", `--password=${PASSWORD}`];
    server.ctl("put", "key", "value ".repeat(1000));
    for (const args of [["user", "add", `root:${PASSWORD}`], ["user", "grant-role", "root", "root"]]) {
      server
        .ctl(...args);
    }
    server.ctl("auth", "enable");
    server.ctl(...login, "get", "key");
    const to = store.memory();
    const right = {
      endpoint: server.endpoint,
      user: "root",
      password: () => PASSWORD,
      spoolDir: dir.join("spool"),
    };
    const failing = async (options: databases.EtcdOptions, expected: RegExp): Promise<void> => {
      const plan = planOver(databases.etcd({ ...right, ...options }), to, recipient, identity);
      await assert.rejects(backup(plan), (error: Error) => {
        assert.match(error.message, expected);
        assert.ok(!error.message.includes("pass-w"), "no password in it");
        return true;
      });
      assert.equal(await objects(to), 0);
      assert.deepEqual(fs.readdirSync(dir.join("spool")), []);
    };
    await failing({ password: () => "pass-wrong" }, /Cannot back up etcd: .*authentication failed/s);
    await failing({ user: undefined, password: undefined }, /Cannot back up etcd: .*user name is empty/s);

    const bin = dir.join("bin");
    fs.mkdirSync(bin);
    /** A client that says it has saved, having done something to the file first. */
    const through = (change: string): void =>
      fs.writeFileSync(
        `${bin}/etcdctl`,
        `#!/bin/sh\ncase "$*" in *"snapshot save"*) for f; do :; done; etcdctl "$@" || exit; ${change}; exit 0;; esac\n` +
          `exec etcdctl "$@"\n`,
        { mode: 0o755 },
      );
    // What it left at the name is a link to the file that has none.
    through(`find '${dir.join("spool")}' -type f >'${bin}/named'; truncate -s -40 "$f"`);
    await failing({ bin }, /Cannot back up "snapshot.db": (?:it was cut|its tool says of it)/);
    assert.equal(fs.readFileSync(`${bin}/named`, "utf8"), "", "no file with a name held it");
    through(`printf x | dd of="$f" bs=1 seek=9000 conv=notrunc status=none`);
    await failing({ bin }, /Cannot back up "snapshot.db": its checksum does not agree/);
    fs.writeFileSync(
      `${bin}/etcdctl`,
      `#!/bin/sh\ncase "$*" in *"asks for the revision"*) echo '{"header":{"revision":999999}}'; exit 0;; esac\n` +
        `exec etcdctl "$@"\n`,
      { mode: 0o755 },
    );
    await failing({ bin }, /the member lags, its snapshot is of revision \d+, the cluster was at 999999/);
  },
);

judged(
  "etcd() refuses an older tool unless anyVersion is set, and a restore in place without a folder",
  TOOLS,
  async () => {
    using dir = scratch();
    const stored: Files = {
      kind: "files",
      entries: async function* (): AsyncGenerator<Entry> {
        const entry = { path: "snapshot.db", kind: "file", mode: 0o600, mtimeMs: 0, uid: 0, gid: 0 } as const;
        yield { ...entry, uname: "", gname: "", bytes: 1, body: new Uint8Array(1) };
      },
      facts: () => ({
        sources: [{ tool: "etcd", cutAt: "", facts: { serverVersion: "99.0.1" } }],
        stages: [],
      }),
    };
    const undo = (options: databases.EtcdOptions): Promise<void> =>
      databases.etcd(options).undo(stored, testContext({ want: { inPlace: true } }));
    const dataDir = dir.join("data");
    await assert.rejects(
      undo({ dataDir }),
      /backup is from version 99\.0\.1.*Nothing was touched.*anyVersion = true/,
    );
    await assert.rejects(undo({}), /name the member's data folder/);
    assert.deepEqual(fs.readdirSync(dir.path), []);
    // It goes on, and the tool says what it thinks of such a snapshot; the folder stays empty.
    await assert.rejects(
      undo({ dataDir, anyVersion: true }),
      /Cannot restore "snapshot.db": "sh" ended with/,
    );
    assert.deepEqual(fs.readdirSync(dataDir), []);
  },
);

Deno.test("etcd() refuses wrong options when it is made", () => {
  assert.throws(() => databases.etcd({ endpoint: "" }), { name: "TypeError" });
  assert.throws(() => databases.etcd({ password: "x" as unknown as () => string }), { name: "TypeError" });
});

judged(
  "a plan of a configuration backs up and restores etcd over TLS with the printed permissions alone",
  TOOLS,
  async () => {
    using dir = scratch();
    fs.chmodSync(dir.path, 0o755);
    for (const name of ["home", "work", "work/spool"]) fs.mkdirSync(dir.join(name));
    const tls = { cert: dir.join("work/tls.crt"), key: dir.join("work/tls.key") };
    const names = [
      "-addext",
      "subjectAltName=IP:127.0.0.1",
      "-addext",
      "extendedKeyUsage=serverAuth,clientAuth",
    ];
    const files = ["-keyout", tls.key, "-out", tls.cert, "-days", "1", "-subj", "/CN=etcd"];
    execFileSync("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", ...files, ...names], {
      stdio: "ignore",
    });
    fs.chmodSync(tls.key, 0o644);
    await using server = await started(userFolder(dir.join("data")), tls);
    server.ctl("put", "key", "value");
    const paths =
      `cacert = "tls.crt", cert = "tls.crt", key = "tls.key", dataDir = "member", spoolDir = "spool"`;
    const source = `{ etcd = { endpoint = "${server.endpoint}", ${paths} } }`;
    fs.writeFileSync(
      dir.join("work/backup.toml"),
      `[plan.db]\ncollect = ${source}\nencrypt = "plaintext"\nupload = { to = "./backups" }\n`,
    );
    const user = { home: dir.join("home"), cwd: dir.join("work") };
    const made = await runPrinted(user, "db");
    assert.equal(made.code, 0, made.err);
    const drilled = await run(user, "drill", ["latest", "--plan", "db", "--json"]);
    assert.equal(drilled.code, 0, drilled.err);
    assert.equal(lines(drilled.out)[0].proven.keys, 1);
    const back = await run(user, "restore", ["latest", "--plan", "db", "--in-place"]);
    assert.equal(back.code, 0, back.err);
    await using fresh = await freshOver(dir.join("work/member"));
    assert.equal(fresh.ctl("get", "key", "--print-value-only"), "value");
  },
);
