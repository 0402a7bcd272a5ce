/**
 * Gives a finished temporary file its name, in one step that readers see whole or not at all.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { posix } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { LEASE_SUFFIX } from "../key.ts";
import { NotFoundError } from "../../errors.ts";
import { type Action, STATUS, statusOf } from "./explain.ts";
import { look, type Root } from "./folder.ts";
import { CHUNK_BYTES, openToRead } from "./read.ts";
import type { Wire } from "./wire.ts";

/** How long a guard may stand unchanged before it counts as a dead run's, in milliseconds. */
const GUARD_MS = 30_000;

/** How often a guard may be gone when it is looked at, before it is no guard that stands in the way. */
const MISSES = 50;

/**
 * Publishes `temp` as `path`. With `ifAbsent` it is hardlink@openssh.com, which fails when the name is taken; "exists" then says
 * that the name stands for other bytes. Equal bytes are a success: the answer to the first attempt may have got lost.
 * Replacing is posix-rename@openssh.com; a server without it must do without the old object for a moment.
 *
 * Without hard links, a guard file that is made exclusively (every server can) lets one conditional writer look and rename. A
 * guard that a dead run left behind is removed when nobody has touched it for 30 s. The plain rename that follows replaces nothing by the
 * protocol's own words, so that even two who hold the guard do not overwrite each other on a server that keeps to them.
 */
export async function publish(
  root: Root,
  action: Action,
  temp: string,
  path: string,
  ifAbsent: boolean,
): Promise<"done" | "exists"> {
  const { run } = root.link;
  if (!ifAbsent) {
    await run(action, (wire) => replace(wire, temp, path));
    return "done";
  }
  for (let attempt = 1;; attempt++) {
    const outcome = await run(action, (wire) => link(root, wire, action, temp, path));
    if (outcome === "done") break;
    if (outcome === "no links") return await underGuard(root, action, temp, path);
    try {
      if (!await equal(root, action, temp, path)) return "exists";
      break;
    } catch (error) {
      if (!(error instanceof NotFoundError) || attempt >= 5) throw error; // else: deleted just now, so try again
    }
  }
  await run(action, (wire) => removed(wire, temp));
  return "done";
}

/** A missing temporary file has got its name already, before the connection broke: nobody else knows it. */
async function replace(wire: Wire, temp: string, path: string): Promise<void> {
  try {
    await wire.replace(temp, path);
  } catch (error) {
    if (statusOf(error) === STATUS.absent && await isThere(wire, path)) return;
    if (statusOf(error) !== STATUS.unsupported) throw error;
    await removed(wire, path);
    await wire.rename(temp, path);
  }
}

async function isThere(wire: Wire, path: string): Promise<boolean> {
  try {
    await wire.lstat(path);
    return true;
  } catch (error) {
    if (statusOf(error) === STATUS.absent) return false;
    throw error;
  }
}

async function link(
  root: Root,
  wire: Wire,
  action: Action,
  temp: string,
  path: string,
): Promise<"done" | "taken" | "no links"> {
  if (await look(root, wire, path, action)) return "taken";
  try {
    await wire.link(temp, path);
    // There are servers that say yes and do nothing (rclone serve sftp 1.60).
    return await look(root, wire, path, action) ? "done" : "no links";
  } catch (error) {
    const status = statusOf(error);
    if (status === 0 || status === STATUS.absent) throw error;
    if (await look(root, wire, path, action)) return "taken";
    if (await isThere(wire, path)) throw error; // a folder, or a link to somewhere
    // No such request, no links on that file system, or links not permitted: a rename will tell what is really wrong.
    return "no links";
  }
}

/** Removes a file; of nothing is fine. */
export async function removed(wire: Wire, path: string): Promise<void> {
  try {
    await wire.unlink(path);
  } catch (error) {
    if (statusOf(error) !== STATUS.absent) throw error;
  }
}

async function underGuard(
  root: Root,
  action: Action,
  temp: string,
  path: string,
): Promise<"done" | "exists"> {
  const { run } = root.link;
  const guard = `${
    posix.join(posix.dirname(path), `.${posix.basename(path).slice(0, 48)}`)
  }.put${LEASE_SUFFIX}`;
  await hold(root, action, guard);
  try {
    const taken = await run(action, async (wire) => {
      if (await look(root, wire, path, action)) return true;
      await wire.rename(temp, path);
      return false;
    });
    if (!taken) return "done";
    if (await isGone(root, action, temp)) return "done"; // renamed before the connection broke
    if (!await equal(root, action, temp, path)) return "exists";
    await run(action, (wire) => removed(wire, temp));
    return "done";
  } finally {
    await run(action, (wire) => removed(wire, guard)).catch(() => {});
  }
}

async function isGone(root: Root, action: Action, path: string): Promise<boolean> {
  return await root.link.run(action, async (wire) => !await isThere(wire, path));
}

/** Makes the guard, waiting for whoever has it. */
async function hold(root: Root, action: Action, guard: string): Promise<void> {
  const { run } = root.link;
  let missed = 0;
  for (let since = performance.now(), seen: number | undefined;;) {
    const there = await run(action, async (wire) => {
      try {
        await wire.close(await wire.open(guard, "wx"));
        return undefined;
      } catch (error) {
        const found = statusOf(error) === STATUS.failure
          ? await wire.lstat(guard).catch(() => undefined)
          : undefined;
        // Let go while it was looked at: free now.
        if (!found && (statusOf(error) !== STATUS.failure || ++missed > MISSES)) throw error;
        return found?.mtime ?? NaN;
      }
    });
    if (there === undefined) return;
    if (there !== seen) [seen, since] = [there, performance.now()];
    if (performance.now() - since >= GUARD_MS) await run(action, (wire) => removed(wire, guard));
    await sleep(100 + 200 * Math.random());
  }
}

/** Whether two files hold the same bytes. */
async function equal(root: Root, action: Action, a: string, b: string): Promise<boolean> {
  const one = await openToRead(root, a, action);
  try {
    const two = await openToRead(root, b, action);
    try {
      if (one.size !== two.size) return false;
      for (let at = 0; at < one.size; at += CHUNK_BYTES) {
        const [x, y] = await Promise.all([one.file.read(at, CHUNK_BYTES), two.file.read(at, CHUNK_BYTES)]);
        if (!Buffer.from(x).equals(y)) return false;
      }
      return true;
    } finally {
      two.file.drop();
    }
  } finally {
    one.file.drop();
  }
}
