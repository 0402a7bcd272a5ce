/**
 * Walks trees in archive order, one folder's names in memory per level, with plain synchronous calls: many times faster than
 * asynchronous ones on small files.
 *
 * @module
 */
import { lstatSync } from "node:fs";
import { sep } from "node:path";
import type { Reading } from "../libc/read.ts";
import type { Entry } from "../stage.ts";
import { detailed } from "./details.ts";
import {
  ignoreTexts,
  inTurn,
  LARGE_FOLDER,
  listFolder,
  listLargeFolder,
  type Node,
  withoutCache,
} from "./folder.ts";
import type { IgnoreRules } from "./ignore.ts";
import type { Leave } from "./leave.ts";
import {
  entryOf,
  file,
  type Finding,
  type Found,
  keepName,
  look,
  REPLACED,
  report,
  type Seen,
  symlink,
  type WarningKind,
} from "./found.ts";
import { statAt } from "./quick.ts";
import { ownerNames } from "./read.ts";

/** What a walk is told. */
export interface WalkOptions extends Leave {
  /** Whether to stay on the file system of the root. */
  readonly oneFileSystem: boolean;
  /** Whether to leave out what lies beside a CACHEDIR.TAG. */
  readonly excludeCaches: boolean;
  /** Real paths of folders that are never stored: the stores of the backup itself, and the host's copies of its index. */
  readonly avoid: ReadonlySet<string>;
  /** Told about each folder that was left out for that reason, by its stored path and its real one. */
  readonly left: (path: string, source: string) => void;
  /** Whether a regular file is as it was: then it is neither read nor given. */
  readonly known?: ((seen: Seen) => Generator<undefined, boolean, undefined>) | undefined;
  /** The C library, where it may be used: then names are known by their bytes, and entries have what is in no other call. */
  readonly libc?: Reading | undefined;
  /** Told about each thing that is missing or odd, by its stored path. Must not throw. */
  readonly warn: (kind: WarningKind, path: string, reason: string) => void;
}

/** Walks one root; hard links are recognised across all roots of a walk. */
export type Walk = (source: string, stored: string) => Generator<Step, void, undefined>;

/** Something found; or what must be waited for before the walk can go on; or undefined: time for a pause. */
export type Step = Found | Promise<void> | undefined;

/**
 * Prepares a walk. It gives a root and all below it: a folder directly before what is in it, siblings sorted by their UTF-8 bytes.
 * Undefined is given at each folder, so that a long search can be interrupted. Throws what the system throws for the root itself;
 * for all else it warns and goes on.
 */
export function walker(options: WalkOptions): Walk {
  const state: State = {
    ...options,
    users: ownerNames("/etc/passwd"),
    groups: ownerNames("/etc/group"),
    links: new Map(),
  };
  return (source, stored) => walk(state, source, stored);
}

interface State extends WalkOptions, Finding {}

/** A folder under way. */
interface Frame {
  readonly source: string;
  readonly stored: string;
  /** Path below the root with a trailing slash, or "". */
  readonly below: string;
  /** What lies in it and has not been looked at. */
  readonly nodes: Iterator<Node, unknown, undefined>;
  /** Names of write-ahead logs in it. */
  readonly logs: ReadonlySet<string>;
  readonly rules: IgnoreRules | undefined;
  /** Whether `include` took the folder, and so all that is in it. */
  readonly taken: boolean;
  /** The folder's own entry, until it has been given; it may wait for something in it that `include` takes. */
  held: Entry | undefined;
}

function* walk(state: State, source: string, stored: string): Generator<Step, void, undefined> {
  if (state.avoid.has(source)) throw new Error("it is the store of this backup. Choose another store");
  const stat = lstatSync(source);
  if (!stat.isDirectory()) {
    if (yield* isKnown(state, source, stored, [])) return;
    const found = file(
      state,
      source,
      stored,
      (log) => lstatSync(log, { throwIfNoEntry: false }) !== undefined,
    );
    if (!found) throw new Error("it is neither a file nor a folder");
    yield* give(found);
    return;
  }
  const nodes = yield* list(state, source, stored, stat.size);
  const root = enter(state, undefined, stored, source, nodes, false);
  root.held = detailed(state, source, entryOf(state, stored, "directory", stat));
  const stack: Frame[] = [root];
  yield* release(stack);
  for (let frame = stack.at(-1); frame; frame = stack.at(-1)) {
    const { value: node, done } = frame.nodes.next();
    if (done) {
      stack.pop();
      yield undefined;
      continue;
    }
    const choice = choose(state, frame, node);
    if (choice === "skip") continue;
    if (node.kind === "directory") {
      const inner = yield* visitFolder(state, frame, node, choice === "take", stat.dev);
      if (inner) stack.push(inner);
      if (inner && choice === "take") yield* release(stack);
    } else {
      const path = `${frame.stored}/${node.name}`;
      const mayBeKnown = state.known !== undefined && node.kind === "file";
      if (mayBeKnown && (yield* isKnown(state, below(frame, node.name), path, stack))) continue;
      const found = visit(state, frame, node);
      if (!found) continue;
      if (frame.held) yield* release(stack); // then so are those above it, and else none is
      if (found.file && !found.file.whole) yield* give(found);
      else yield found;
    }
  }
}

/** Whether a file need not be stored. The folders above it have to be known first. */
function* isKnown(
  state: State,
  source: string,
  stored: string,
  stack: readonly Frame[],
): Generator<Found | undefined, boolean, undefined> {
  if (!state.known) return false;
  let seen: Seen | undefined;
  try {
    seen = look(state, source, stored);
  } catch {
    return false; // what is wrong with it is said when it is opened
  }
  if (!seen) return false;
  yield* release(stack);
  if (!(yield* state.known(seen))) return false;
  keepName(state, seen);
  return true;
}

function* give(found: Found): Generator<Found, void, undefined> {
  try {
    yield found;
  } finally {
    found.file?.close();
  }
}

/** Gives the folders that were waiting for something in them. */
function* release(stack: readonly Frame[]): Generator<Found, void, undefined> {
  for (const frame of stack) {
    if (!frame.held) continue;
    const entry = frame.held;
    frame.held = undefined;
    yield { entry };
  }
}

/** "look": a folder that is not taken itself, but may hold something that is. */
function choose(state: State, frame: Frame, { name, kind }: Node): "take" | "look" | "skip" {
  const directory = kind === "directory";
  const path = frame.below + name;
  if (directory && state.avoid.has(below(frame, name))) {
    state.left(`${frame.stored}/${name}`, below(frame, name));
    return "skip";
  }
  if (state.exclude?.(path, directory) || frame.rules?.ignores(name, directory)) return "skip";
  if (frame.taken || !state.include || state.include(path, directory)) return "take";
  return directory ? "look" : "skip";
}

function enter(
  state: State,
  parent: Frame | undefined,
  name: string,
  source: string,
  nodes: Node[],
  taken: boolean,
): Frame {
  const stored = parent ? `${parent.stored}/${name}` : name;
  const texts = ignoreTexts(source, nodes, state.ignoreFiles, (ignoreFile, error) => {
    report(state, `${stored}/${ignoreFile}`, error);
  }, state.libc);
  return {
    source,
    stored,
    below: parent ? `${parent.below}${name}/` : "",
    logs: new Set(nodes.filter((node) => node.name.endsWith("-wal")).map((node) => node.name)),
    // Last: it may empty the list.
    nodes: inTurn(state.excludeCaches ? withoutCache(source, nodes, state.libc) : nodes),
    rules: parent?.rules
      ? parent.rules.enter(name, texts)
      : texts.length > 0
      ? state.rulesOf?.(texts)
      : undefined,
    taken,
    held: undefined,
  };
}

const BYTE_NAME =
  "its name is not UTF-8. Rename it, or grant --allow-ffi: names are then stored by their bytes";

function* list(
  state: State,
  source: string,
  stored: string,
  bytes: number,
): Generator<Promise<void>, Node[], undefined> {
  const unreadable = (name: string): void => {
    state.warn("name", `${stored}/${name}`, BYTE_NAME);
  };
  if (bytes <= LARGE_FOLDER) return listFolder(source, unreadable, state.libc);
  let listed: () => Node[] = () => {
    throw new Error("Cannot walk on: the listing was not waited for");
  };
  yield listLargeFolder(source, unreadable, state.libc).then(
    (nodes) => {
      listed = () => nodes;
    },
    (error) => {
      listed = () => {
        throw error;
      };
    },
  );
  return listed();
}

function* visitFolder(
  state: State,
  frame: Frame,
  node: Node,
  taken: boolean,
  dev: number,
): Generator<Promise<void>, Frame | undefined, undefined> {
  const source = below(frame, node.name);
  const stored = `${frame.stored}/${node.name}`;
  let stat: ReturnType<typeof statAt>;
  let nodes: Node[] = [];
  try {
    stat = statAt(source, state.libc);
  } catch (error) {
    return void report(state, stored, error);
  }
  if (!stat.isDirectory) return void state.warn("changed", stored, REPLACED);
  try {
    // A mount point is stored; what is mounted on it is not.
    if (!state.oneFileSystem || stat.dev === dev) nodes = yield* list(state, source, stored, stat.size);
  } catch (error) {
    report(state, stored, error);
  }
  const inner = enter(state, frame, node.name, source, nodes, taken);
  inner.held = detailed(state, source, entryOf(state, stored, "directory", stat), stat);
  return inner;
}

/** Roots are real paths without a slash at the end, but for "/" itself. */
function below({ source }: Frame, name: string): string {
  return source === "/" ? `/${name}` : source + sep + name;
}

function visit(state: State, frame: Frame, { name, kind }: Node): Found | undefined {
  const source = below(frame, name);
  const stored = `${frame.stored}/${name}`;
  if (kind === "special") return void state.warn("special", stored, "it is a socket, a pipe or a device");
  try {
    if (kind === "symlink") return symlink(state, source, stored);
    const found = file(state, source, stored, () => frame.logs.has(`${name}-wal`));
    if (!found) state.warn("changed", stored, REPLACED);
    return found;
  } catch (error) {
    return void report(state, stored, error);
  }
}
