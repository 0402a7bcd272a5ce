/** The command line's small parts. */
import { strict as assert } from "node:assert";
import { nameOf } from "../../src/cli/adhoc.ts";
import { exitCode, gravest } from "../../src/cli/exit.ts";
import { callerFolder, configFolder, stateFolder, storeFromCaller } from "../../src/cli/folders.ts";
import { formatSeconds, progressBar } from "../../src/cli/progress.ts";
import { fileState } from "../../src/cli/state.ts";
import { safe, table, type Terminal } from "../../src/cli/terminal.ts";
import { suggest } from "../../src/config/words.ts";
import {
  BusyError,
  ConfigError,
  IntegrityError,
  KeyError,
  NotFoundError,
  StageError,
  StoreError,
} from "../../src/errors.ts";
import { scratch } from "../support.ts";

Deno.test("exitCode() goes by the outermost error that has a code", () => {
  assert.equal(exitCode(new ConfigError("x")), 2);
  assert.equal(exitCode(new StageError("age", new KeyError("x"))), 4);
  assert.equal(exitCode(new StageError("tar", new Error("x", { cause: new IntegrityError("y") }))), 5);
  assert.equal(exitCode(new BusyError("x")), 6);
  assert.equal(exitCode(new NotFoundError("x")), 1);
  assert.equal(exitCode(new ConfigError("x", { cause: new KeyError("y") })), 2);
  assert.equal(exitCode(new DOMException("Cancelled", "AbortError")), 130);
  assert.equal(exitCode(new AggregateError([new StoreError("x"), new IntegrityError("y")])), 5);
  assert.equal(exitCode("thrown text"), 1);
  const loop: Error & { cause?: unknown } = new Error("x");
  loop.cause = loop;
  assert.equal(exitCode(loop), 1);
});

Deno.test("gravest() has one order", () => {
  assert.equal(gravest([]), 0);
  assert.equal(gravest([0, 3, 0]), 3);
  for (const [i, code] of [130, 5, 4, 1, 6, 2, 3, 0].entries()) {
    assert.equal(gravest([0, 3, 2, 6, 1, 4, 5, 130].slice(0, 8 - i)), code);
  }
});

Deno.test("safe() lets no name drive the terminal", () => {
  assert.equal(safe("a\x1b[2J\x07b\nc\td\re"), "a\\u{1b}[2J\\u{7}b\\nc\\td\\re");
  assert.equal(
    safe("\u202egpj.exe\u2066\u200b\u2028\x9b31m"),
    "\\u{202e}gpj.exe\\u{2066}\\u{200b}\\u{2028}\\u{9b}31m",
  );
  assert.equal(safe("ünï çødé 日本 ok"), "ünï çødé 日本 ok");
  assert.deepEqual(table([["a\n", "b"], ["ccc", "d"]]), ["a\\n  b", "ccc  d"]);
});

Deno.test("suggest() names a near word, or all of them", () => {
  assert.equal(suggest("compres", ["compress", "collect"]), 'Did you mean "compress"?');
  assert.equal(suggest("recieve", ["receive"]), 'Did you mean "receive"?');
  assert.equal(suggest("xyz", ["compress", "collect"]), "Known here: compress, collect");
  assert.equal(suggest("x", ["a"]), "Known here: a");
  assert.equal(suggest("x", []), "None is known here");
});

Deno.test("nameOf() fits any path into the grammar of names", () => {
  assert.equal(nameOf("/srv/app"), "app");
  assert.equal(nameOf("/home/me/My Documents (old)"), "My-Documents-old-");
  assert.equal(nameOf("/x/.config"), "config");
  assert.equal(nameOf("/x/" + "a".repeat(300)), "a".repeat(100));
  assert.throws(() => nameOf("/"), ConfigError);
  assert.throws(() => nameOf("/日本"), ConfigError);
});

Deno.test("callerFolder() believes INIT_CWD only where deno task could have set it", () => {
  using dir = scratch();
  for (const name of ["project", "plain", "caller"]) Deno.mkdirSync(dir.join(name));
  Deno.writeTextFileSync(dir.join("project", "deno.json"), "{}");
  const folder = (cwd: string, init?: string) =>
    callerFolder({ cwd: () => dir.join(cwd), env: (name) => name === "INIT_CWD" ? init : undefined });
  assert.equal(folder("project", dir.join("caller")), dir.join("caller"));
  assert.equal(folder("project"), dir.join("project"));
  assert.equal(folder("project", "relative"), dir.join("project"));
  assert.equal(folder("project", dir.join("gone")), dir.join("project"));
  // Inherited by something that moved on by itself.
  assert.equal(folder("plain", dir.join("caller")), dir.join("plain"));
});

Deno.test("folders follow the XDG base directory specification", () => {
  const at = (env: Record<string, string>) => ({ cwd: () => "/", env: (name: string) => env[name] });
  assert.equal(configFolder(at({ HOME: "/home/me" })), "/home/me/.config/holdfast");
  assert.equal(configFolder(at({ HOME: "/home/me", XDG_CONFIG_HOME: "/c" })), "/c/holdfast");
  assert.equal(
    configFolder(at({ HOME: "/home/me", XDG_CONFIG_HOME: "relative" })),
    "/home/me/.config/holdfast",
  );
  assert.throws(() => configFolder(at({})), ConfigError);
  assert.equal(stateFolder(at({ HOME: "/home/me" })), "/home/me/.local/state/holdfast");
  assert.equal(stateFolder(at({})), undefined);
  assert.equal(storeFromCaller("./b", "/x"), "/x/b");
  assert.equal(storeFromCaller("s3://b/p?region=x", "/x"), "s3://b/p?region=x");
  assert.equal(storeFromCaller("c:x", "/x"), "/x/c:x");
});

Deno.test("fileState() keeps each key in a file of its own, closed to others", async () => {
  using dir = scratch();
  const infos: string[] = [];
  const log = { info: (message: string) => void infos.push(message), warn: () => {} };
  const state = fileState(dir.join("deep", "state"), log);
  const keys = ["a", "A b", "../a", ".hidden", "a/b", "ü*", "con%41"];
  for (const key of keys) await state.put(key, new TextEncoder().encode(key));
  for (const key of keys) assert.equal(new TextDecoder().decode(await state.get(key)), key);
  assert.equal(await state.get("nothing"), undefined);
  const files = [...Deno.readDirSync(dir.join("deep", "state"))];
  assert.equal(files.length, keys.length);
  assert.equal(Deno.statSync(dir.join("deep", "state")).mode! & 0o777, 0o700);
  for (const { name } of files) {
    assert.equal(Deno.statSync(dir.join("deep", "state", name)).mode! & 0o777, 0o600);
  }
  assert.deepEqual(infos, []);
});

Deno.test("fileState() goes on without a folder, and says so once", async () => {
  using dir = scratch();
  Deno.writeTextFileSync(dir.join("file"), "");
  for (const folder of [undefined, dir.join("file", "below")]) {
    const infos: string[] = [];
    const state = fileState(folder, { info: (message) => void infos.push(message), warn: () => {} });
    await state.put("a", new Uint8Array(1));
    await state.put("b", new Uint8Array(1));
    assert.equal(await state.get("a"), undefined);
    assert.equal(infos.length, 1);
    assert.match(infos[0]!, /^Cannot remember this run/);
  }
});

function recorder(live: boolean): { terminal: Terminal; text: string[] } {
  const text: string[] = [];
  const push = (line: string): void => void text.push(line);
  const terminal = {
    out: push,
    err: push,
    draw: push,
    bytes: () => {},
    live,
    color: false,
    columns: () => 60,
  };
  return { terminal, text };
}

Deno.test("progressBar() draws rate and remaining time on a terminal, over itself", () => {
  const { terminal, text } = recorder(true);
  let now = 0;
  const bar = progressBar(terminal, false, () => now);
  bar.update({ phase: "collect", bytes: 0, totalBytes: 100 * 2 ** 20 });
  now = 2000;
  bar.update({ phase: "collect", bytes: 25 * 2 ** 20, entries: 7 });
  bar.update({ phase: "upload", bytes: 5 });
  now = 2050;
  bar.update({ phase: "collect", bytes: 26 * 2 ** 20 });
  bar.clear();
  bar.clear();
  assert.equal(text.length, 3);
  assert.equal(
    text[1],
    "\r\x1b[K" + "Reading  [#####...............]  25%  25.0 MiB  7 entries  1".slice(0, 59),
  );
  assert.equal(text[2], "\r\x1b[K");
  assert.ok(text.every((line) => line.length <= 64));
});

Deno.test("progressBar() writes a line a minute elsewhere, and nothing when quiet", () => {
  const { terminal, text } = recorder(false);
  let now = 0;
  const bar = progressBar(terminal, false, () => now);
  for (; now < 150_000; now += 1000) bar.update({ phase: "restore", bytes: now * 1000, totalBytes: 300e6 });
  assert.deepEqual(text, [
    "Restoring  20%  57.2 MiB  976.6 KiB/s  4 min left",
    "Restoring  40%  114.4 MiB  976.6 KiB/s  3 min left",
  ]);
  bar.update({ phase: "restore", bytes: 1 });
  progressBar(terminal, true, () => 1e9).update({ phase: "restore", bytes: 1 });
  assert.equal(text.length, 2);
  assert.deepEqual([1, 98.2, 101, 7500].map(formatSeconds), ["1 s", "99 s", "2 min", "2 h 5 min"]);
});
