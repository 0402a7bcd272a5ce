/** What the tests of the directory store run in other processes: `child.ts WHAT FOLDER ...`. */
import { ExistsError, messageOf } from "../../src/errors.ts";
import { directory } from "../../src/store/directory.ts";
import { acquireLease } from "../../src/store/lease.ts";
import { keysOf } from "../contract/store.ts";
import { inChunks, noise } from "../support.ts";
import { object } from "./object.ts";

const [what, folder, ...rest] = Deno.args;
const store = directory(folder!);

/** Races against other processes for 20 names. */
async function race(seed: number, start: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, start - Date.now()));
  const words: string[] = [];
  for (let round = 0; round < 20; round++) {
    try {
      await store.put(`app${round}`, inChunks(noise(200_000, seed), 50_000), { ifAbsent: true });
      words.push("won");
    } catch (error) {
      words.push(error instanceof ExistsError ? "lost" : messageOf(error));
    }
  }
  say(words.join(" "));
}

/** Every call once. */
async function narrow(): Promise<void> {
  await store.put("app", inChunks(noise(1000), 100), { ifAbsent: true });
  const lock = await store.lock!("app.lease", "me");
  say(`${(await keysOf(store)).join()} ${(await store.head("app"))?.bytes} ${await store.space!()}`);
  if (lock.held) await lock.release();
  await store.delete("app");
}

/** Writes objects until it is killed: new ones, and one that is replaced again and again. */
async function writeOn(seed: number): Promise<void> {
  say("ready");
  for (let i = seed;; i++) {
    const body = object(i);
    await store.put(`new${i}`, inChunks(body, 300_000), { ifAbsent: true });
    await store.put("replaced", inChunks(body, 300_000));
  }
}

/** Holds a lease until it is killed. */
async function holdLease(): Promise<void> {
  const log = { info: () => {}, warn: () => {} };
  await acquireLease(store, "app", { run: "01CHILD", signal: new AbortController().signal, log });
  say("ready");
  await new Promise((resolve) => setTimeout(resolve, 60_000));
}

function say(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(text + "\n"));
}

if (what === "race") await race(Number(rest[0]), Number(rest[1]));
if (what === "narrow") await narrow();
if (what === "write") await writeOn(Number(rest[0]));
if (what === "lease") await holdLease();
if (what === "denied") await store.get("app").then(() => say("read"), (error) => say(messageOf(error)));
