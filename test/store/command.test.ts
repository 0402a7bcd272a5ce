/** Programs as stores: a plain shell script and rclone on a local folder keep the contract; what goes wrong is said in one sentence. */
import { strict as assert } from "node:assert";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readAll } from "../../src/bytes.ts";
import { ExistsError, messageOf, StoreError } from "../../src/errors.ts";
import type { Store } from "../../src/stage.ts";
import { command, type CommandStoreOptions, rclone } from "../../src/store/command.ts";
import { open } from "../../src/store/mod.ts";
import { parseRecords } from "../../src/store/command/records.ts";
import { failing, gated, MIB } from "../../src/store/contract/help.ts";
import { bytesOf, keysOf, testStore } from "../contract/store.ts";
import { hasTool, judged, noise, scratch, sh } from "../support.ts";

const SCRIPT = fileURLToPath(new URL("command_store.sh", import.meta.url));
const script = (...words: string[]): string[] => ["/bin/sh", SCRIPT, ...words];

function verbs(root: string): CommandStoreOptions {
  return {
    name: "script",
    put: script("put", "{key}"),
    get: script("get", "{key}"),
    list: script("list"),
    delete: script("delete", "{key}"),
    move: script("move", "{from}", "{to}"),
    env: { ROOT: root },
  };
}

/** How many starts of a program one listing is worth: each is a process. */
const MANY = 12;

/** On a disk rclone leaves empty folders behind, and a file cannot have the name of one; clouds know no folders. */
const FOLDERS = /^delete removes one object, and its name is free again$/;

contract("command() over a shell script", (root) => command(verbs(root)));
// Two minutes of starting processes on two cores that have other work; the test below is its short form.
if (Deno.env.get("HOLDFAST_SOAK") && hasTool("rclone")) {
  contract(
    "rclone() on a local folder",
    (root) => rclone(root, { flags: ["--config", "/dev/null"] }),
    FOLDERS,
  );
} else judged("rclone() on a local folder keeps the contract", ["rclone"], () => {});

function contract(name: string, make: (root: string) => Store, except?: RegExp): void {
  testStore(name, () => {
    const dir = scratch();
    const root = dir.join("store");
    mkdirSync(root);
    return Promise.resolve({
      store: make(root),
      vanish: () => Promise.resolve(renameSync(root, dir.join("elsewhere"))),
      debris: () => Promise.resolve(temporary(root)),
      close: () => Promise.resolve(dir[Symbol.dispose]()),
    });
  }, { many: MANY, except });
}

function temporary(root: string): string[] {
  return readdirSync(root, { recursive: true }).map(String).filter((name) =>
    /\.tmp-[0-9a-f]{16}$/.test(name)
  );
}

async function sentence(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    assert.ok(error instanceof StoreError, String(error));
    return messageOf(error);
  }
  throw new Error("It did not fail");
}

judged("rclone() stores what rclone itself reads, and reads what it stores", ["rclone"], async () => {
  using dir = scratch();
  const store = open(`rclone:${dir.path}/store`);
  assert.equal(store.url, `rclone:${dir.path}/store`);
  await assert.rejects(store.put("app", noise(1)), /directory not found/); // nothing is made where nothing is mounted
  mkdirSync(dir.join("store"));
  const bytes = noise(3 * MIB + 17, 5);
  await store.put("f/a b\u00e9.tar", bytes, { ifAbsent: true });
  assert.deepEqual(new Uint8Array(readFileSync(dir.join("store", "f", "a b\u00e9.tar"))), bytes);
  assert.deepEqual(
    await readAll(await store.get("f/a b\u00e9.tar", { start: 65_536, end: MIB }), MIB),
    bytes.slice(65_536, MIB),
  );
  await assert.rejects(store.put("f/a b\u00e9.tar", noise(9), { ifAbsent: true }), ExistsError);
  await store.put("f/a b\u00e9.tar", bytes, { ifAbsent: true });
  sh("printf own >own.tar; rclone --config /dev/null copy own.tar store", { cwd: dir.path });
  assert.deepEqual(await bytesOf(store, "own.tar"), new TextEncoder().encode("own"));
  assert.deepEqual(await keysOf(store), ["f/a b\u00e9.tar", "own.tar"]);
  await store.delete("own.tar");
  await store.delete("own.tar");
  assert.deepEqual(await keysOf(store), ["f/a b\u00e9.tar"]);
});

judged("rclone() says why first, and what rclone notes in passing not at all", ["rclone"], async () => {
  using dir = scratch();
  const config = dir.join("none.conf"); // rclone has a notice for each call without its file
  const text = await sentence(
    rclone(dir.join("store"), { flags: ["--config", config] }).put("app", noise(1)),
  );
  assert.match(text, /"rclone" ended with exit code 3: \S+ \S+ ERROR : .*directory not found/);
  assert.doesNotMatch(text, /NOTICE/);
});

Deno.test("command() refuses lists that cannot work", () => {
  const good = verbs("/");
  const wrong: readonly Partial<CommandStoreOptions>[] = [
    { name: "a b" },
    { put: [] },
    { put: ["x"] },
    { put: ["x", "{key}", "{size}"] },
    { get: ["{key}"] },
    { get: ["cat\0", "{key}"] },
    { move: ["mv", "{from}"] },
    { getRange: ["dd", "{key}"] },
    { list: ["ls", "{key}"] },
  ];
  for (const options of wrong) {
    assert.throws(() => command({ ...good, ...options }), TypeError, JSON.stringify(options));
  }
  assert.throws(() => command({ ...good, timeoutMs: 0 }), RangeError);
  for (const remote of ["", "-x", "a{key}", "a\nb"]) assert.throws(() => rclone(remote), TypeError, remote);
});

Deno.test("command() never makes an option of a key", async () => {
  using dir = scratch();
  const store = command(verbs(dir.path));
  await assert.rejects(store.put("-rf", noise(1)), /would take it for an option/);
  await assert.rejects(store.delete("-rf"), /would take it for an option/);
  await store.put("$(touch x); `y` '\"", noise(3)); // no shell reads it
  assert.deepEqual(await keysOf(store), ["$(touch x); `y` '\""]);
});

Deno.test("command() says how a program failed, without the secrets it was given", async () => {
  using dir = scratch();
  const store = command({
    ...verbs(dir.path),
    get: script("fail", "{key}"),
    secrets: () => Promise.resolve({ PASSWORD: "hunter2" }),
  });
  await store.put("app", noise(10));
  const text = await sentence(bytesOf(store, "app"));
  assert.match(
    text,
    /^Cannot read "app" in command:script: "\/bin\/sh" ended with exit code 7: out of tape, and the password is \.\.\.$/,
  );
  const none = command({ ...verbs(dir.path), list: ["/no/such/program"] });
  assert.match(await sentence(keysOf(none)), /Cannot run "\/no\/such\/program": it is not installed/);
  const odd = command({ ...verbs(dir.path), list: ["echo", "12 apples"] });
  assert.match(
    await sentence(keysOf(odd)),
    /cannot understand what "echo" lists: the line "12 apples" is not/,
  );
});

Deno.test("command() ends a program that does nothing", async () => {
  using dir = scratch();
  const store = command({ ...verbs(dir.path), timeoutMs: 300, list: script("idle") });
  assert.match(await sentence(keysOf(store)), /did nothing for 0 s|took longer than 0 s/);
});

Deno.test("command() does not believe a program that says all is well", async () => {
  using dir = scratch();
  const lying = { ...verbs(dir.path), move: undefined };
  const nothing = command({ ...lying, put: ["/bin/sh", "-c", "cat >/dev/null # $0", "{key}"] });
  assert.match(await sentence(nothing.put("app", noise(10))), /said that all is well, and nothing is there/);
  const half = command({
    ...lying,
    put: ["/bin/sh", "-c", 'head -c 5 >"$ROOT/$0"; cat >/dev/null', "{key}"],
  });
  assert.match(
    await sentence(half.put("app", noise(10))),
    /said that all is well, and 5 of 10 bytes are there/,
  );
  const deaf = command({ ...lying, put: ["/bin/sh", "-c", "exit 0 # $0", "{key}"] });
  await sentence(deaf.put("app", noise(3 * MIB)));
  const extra = command({ ...lying, get: ["/bin/sh", "-c", 'cat "$ROOT/$0"; echo more', "{key}"] });
  rmSync(join(dir.path, "app"));
  await extra.put("app", noise(10));
  assert.match(await sentence(bytesOf(extra, "app")), /printed more than 10 bytes/);
  const torn = command({ ...lying, get: ["/bin/sh", "-c", 'head -c 4 "$ROOT/$0"', "{key}"] });
  assert.match(await sentence(bytesOf(torn, "app")), /printed 4 of 10 bytes/);
  const late = command({ ...lying, get: ["/bin/sh", "-c", 'cat "$ROOT/$0"; exit 3', "{key}"] });
  assert.match(await sentence(bytesOf(late, "app")), /ended with exit code 3/);
});

Deno.test("command() without `move` keeps an object that it must not replace", async () => {
  using dir = scratch();
  const store = command({ ...verbs(dir.path), move: undefined });
  await store.put("app", noise(10), { ifAbsent: true });
  await assert.rejects(store.put("app", noise(10, 2), { ifAbsent: true }), ExistsError);
  assert.deepEqual(await bytesOf(store, "app"), noise(10));
});

Deno.test("command() kills a put that is given up, before its input ends", async () => {
  using dir = scratch();
  const store = command(verbs(dir.path));
  const gate = gated(noise(2 * MIB), 100_000);
  const stop = new AbortController();
  const putting = store.put("app", gate.body, { signal: stop.signal });
  await gate.reached;
  stop.abort(new Error("Given up"));
  await assert.rejects(putting, /Given up/);
  assert.ok(!existsSync(dir.join("app")));
  assert.deepEqual(readdirSync(dir.path), []);
});

Deno.test("command() never tells a program that half of an object is all", async () => {
  using dir = scratch();
  const whole = 'cat >"$ROOT/.part" && mv "$ROOT/.part" "$ROOT/$0"';
  const store = command({ ...verbs(dir.path), move: undefined, put: ["/bin/sh", "-c", whole, "{key}"] });
  await assert.rejects(store.put("app", failing(100_000, new Error("The source broke"))), /The source broke/);
  assert.deepEqual(await keysOf(store), [".part"]); // the program's own affair
  await store.put("app", noise(10));
});

Deno.test("a listing is lines or JSON, whole or refused", () => {
  assert.deepEqual(parseRecords("3\t1.5\ta b\n"), [{ key: "a b", bytes: 3, modified: new Date(1500) }]);
  const json = '[{"Path":"a","Size":1,"ModTime":"2026-11-20T03:00:00.123456789Z","IsDir":false},' +
    '{"Path":"d","Size":-1,"ModTime":"2026-11-20T03:00:00Z","IsDir":true}]';
  assert.deepEqual(parseRecords(json).map(({ key }) => key), ["a"]);
  assert.deepEqual(parseRecords(" null\n"), []);
  for (const text of [json.slice(0, -1), "3\tx\ta", "3\t1", '[{"Path":"a"}]', "3\t1\ta\n3"]) {
    assert.throws(() => parseRecords(text), Error, text);
  }
});
