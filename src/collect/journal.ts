/**
 * The journal of a swap: every move is written down before the first one is made, so that a crash at any point can be taken
 * back, or finished once `done` is there.
 *
 * Each step is a rename, and which of its names exist says whether it happened. So taking back is idempotent: it may die and
 * be started again, as often as it likes.
 *
 * @module
 */
import * as fs from "node:fs";
import { dirname, join } from "node:path";
import * as v from "valibot";
import { IntegrityError, StoreError } from "../errors.ts";
import { isRaw } from "../raw_name.ts";
import { type Disk, plainDisk } from "./disk.ts";
import { exchanged, ifPresent, move, type Step, takeBack } from "./moves.ts";
import { codeOf } from "./place.ts";
import { quote } from "./select.ts";
import { syncFolder, writeDurably } from "./staging.ts";

const metaSchema = v.object({ mode: v.number(), uid: v.number(), gid: v.number(), mtimeMs: v.number() });

const moveSchema = v.object({
  /** The new thing, in a staging folder; absent: what stands there goes, and nothing takes its place. */
  from: v.optional(v.string()),
  /** Where it goes. */
  to: v.string(),
  /** Where the thing that stands there goes first. */
  old: v.optional(v.string()),
  /** An empty folder stands there; the new one takes its place in one step. */
  empty: v.optional(v.boolean()),
  /** Inodes of the new thing and of the one that makes way: after an exchange nothing else tells which is which. */
  inodes: v.optional(v.tuple([v.number(), v.number()])),
});

const touchSchema = v.object({
  /** A folder that exists and stays. */
  folder: v.string(),
  /** How it was. */
  before: metaSchema,
  /** How it will be; absent: only its time changes, because things are put into it. */
  after: v.optional(metaSchema),
});

/** Mode, owner and time of a folder. */
export type FolderMeta = v.InferOutput<typeof metaSchema>;
/** One rename, or two where something makes way. */
export type Move = v.InferOutput<typeof moveSchema>;
/** One existing folder that changes. */
export type Touch = v.InferOutput<typeof touchSchema>;

/** A swap, all of it. */
export interface Journal {
  /** Every staging folder that takes part, the one with the journal first. */
  readonly stagings: readonly string[];
  /** In the order they are made. */
  readonly moves: readonly Move[];
  /** From the top down. */
  readonly touches: readonly Touch[];
}

/** Writes the journal. From here on the swap counts as begun. */
export function beginJournal(staging: string, journal: Journal): void {
  const part = join(staging, "journal.part");
  writeDurably(part, lines(journal));
  fs.renameSync(part, join(staging, "journal"));
  syncFolder(staging);
}

function* lines(journal: Journal): Generator<string> {
  yield JSON.stringify({
    stagings: journal.stagings,
    moves: journal.moves.length,
    touches: journal.touches.length,
  }) +
    "\n";
  for (const move of journal.moves) yield JSON.stringify(move) + "\n";
  for (const touch of journal.touches) yield JSON.stringify(touch) + "\n";
}

/** Reads the journal; undefined when no swap has begun. Throws {@linkcode IntegrityError} when it cannot be understood. */
export function readJournal(staging: string): Journal | undefined {
  let text: string;
  try {
    text = fs.readFileSync(join(staging, "journal"), "utf8");
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  }
  try {
    const [head, ...rest] = text.trimEnd().split("\n").map((line) => JSON.parse(line));
    const { stagings, moves, touches } = v.parse(
      v.object({ stagings: v.array(v.string()), moves: v.number(), touches: v.number() }),
      head,
    );
    if (rest.length !== moves + touches) {
      throw new RangeError(`${rest.length} lines instead of ${moves + touches}`);
    }
    return {
      stagings,
      moves: v.parse(v.array(moveSchema), rest.slice(0, moves)),
      touches: v.parse(v.array(touchSchema), rest.slice(moves)),
    };
  } catch (cause) {
    throw new IntegrityError(
      `Cannot roll back the restore in "${staging}": its journal is damaged. Look at "old" in there before you remove it`,
      { cause },
    );
  }
}

/**
 * Makes the moves of a journal that has begun, then sets the folders' metadata. Until {@linkcode markDone} all can be taken back. With
 * the C library there is no moment at which neither the old thing nor the new one stands in its place.
 */
export function perform(journal: Journal, step: Step = () => {}, disk: Disk = plainDisk): void {
  for (const one of journal.moves) {
    if (exchanged(one, step, disk)) continue;
    const { from, to, old, empty } = one;
    if (old !== undefined) {
      step(`aside ${to}`);
      move(disk, to, old);
    }
    if (from === undefined) continue;
    // A rename would silently replace what somebody else has put there since the plan was made.
    if (!empty && disk.look(to)) {
      throw Object.assign(new Error(`"${to}" appeared while the restore was under way`), { code: "EEXIST" });
    }
    step(`move ${to}`);
    move(disk, from, to, dirname(from));
  }
  for (const { folder, after } of journal.touches.toReversed()) {
    if (!after) continue;
    step(`touch ${folder}`);
    setMeta(disk, folder, after);
  }
  for (const folder of new Set(journal.moves.map(({ to }) => dirname(to)))) syncFolder(folder);
}

/** Writes `done`: from here on a crash means that the swap is finished, not taken back. */
export function markDone({ stagings }: Journal, step: Step = () => {}): void {
  step("done");
  const lead = stagings[0]!;
  writeDurably(join(lead, "done"), []);
  syncFolder(lead);
}

/** Whether all moves were made. */
export function isDone(staging: string): boolean {
  return fs.lstatSync(join(staging, "done"), { throwIfNoEntry: false }) !== undefined;
}

/** Takes back what was moved, wherever it stopped, and makes the journal void. Safe to repeat. */
export function rollBack(journal: Journal, step: Step = () => {}, disk: Disk = plainDisk): void {
  refuseRaw(journal, disk);
  fs.rmSync(join(journal.stagings[0]!, "done"), { force: true });
  for (const { folder, before, after } of journal.touches) {
    // A mode that forbids writing would stand in the way of moving things out again.
    if (after) ifPresent(() => disk.setMode(folder, before.mode | 0o700));
  }
  for (const one of journal.moves.toReversed()) takeBack(one, step, disk);
  for (const { folder, before } of journal.touches.toReversed()) {
    step(`untouch ${folder}`);
    ifPresent(() => setMeta(disk, folder, before));
  }
  step("void");
  fs.rmSync(join(journal.stagings[0]!, "journal"), { force: true });
  syncFolder(journal.stagings[0]!);
}

function setMeta(disk: Disk, folder: string, meta: FolderMeta): void {
  const now = disk.look(folder);
  if (!now) throw Object.assign(new Error(`"${folder}" is gone`), { code: "ENOENT" });
  if (!now.isDirectory()) return;
  if (now.uid !== meta.uid || now.gid !== meta.gid) disk.setOwner(folder, meta.uid, meta.gid);
  disk.setMode(folder, meta.mode);
  disk.setTimes(folder, meta.mtimeMs);
}

/** What cannot be looked at would count as moved. */
function refuseRaw({ stagings, moves, touches }: Journal, disk: Disk): void {
  if (disk.raw) return;
  const paths = [...moves.map(({ to }) => to), ...touches.map(({ folder }) => folder)];
  const raw = paths.find(isRaw);
  if (raw === undefined) return;
  throw new StoreError(
    `Cannot roll back the restore in "${stagings[0]}": ${quote(raw)} has a name that is not UTF-8. ` +
      "Run the command with --allow-ffi; nothing was touched",
  );
}
