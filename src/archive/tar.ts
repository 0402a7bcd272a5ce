/**
 * The tar stage.
 *
 * @module
 */
import { label, labelled, toBytes } from "../bytes.ts";
import { IntegrityError } from "../errors.ts";
import { digester } from "../native/sha256.ts";
import type {
  Archive,
  Bytes,
  Context,
  Entry,
  FactSheet,
  Files,
  IndexEntry,
  Stage,
  StageFact,
  U8,
} from "../stage.ts";
import { buildIndex, type BuiltIndex, type IndexTail } from "./listing.ts";
import { type IndexReader, readIndex } from "./listing_read.ts";
import { entriesByRange, findByRange, indexError, isLess } from "./ranges.ts";
import { readTar } from "./read.ts";
import { normalised } from "./sorted.ts";
import { writeTar } from "./write.ts";

const FROM_START = "its compression or encryption can only be read from the start";

/** How {@linkcode tar} writes. */
export interface TarOptions {
  /**
   * Equal input gives equal bytes: entries in path order, or in an order that the collector gives each time, one time, no owner; modes
   * are kept, attributes and holes are not. Holds the entry list in memory (and up to 256 MiB of small files) unless the collector gives an order. The index still differs from run to run: its salt is
   * random, or a public Merkle root would confirm guessed content. Default false.
   */
  readonly deterministic?: boolean | undefined;
  /** The one time of a deterministic archive, in whole milliseconds since 1970, for instance from SOURCE_DATE_EPOCH. Default 0. */
  readonly mtimeMs?: number | undefined;
}

/**
 * Archives entries as tar: ustar with PAX headers for long or non-ASCII names, files from 8 GiB, and times that are not whole
 * seconds (POSIX.1-2017 `pax`), closed by two zero blocks. Makes an index with a digest per file on the way. Run throws when a
 * file does not give exactly its length, or a path comes twice. Undo reads ustar, PAX, GNU and V7 archives, sparse files of GNU tar
 * with zeros for their holes, and throws {@linkcode IntegrityError} on what is cut, damaged or cannot be restored faithfully
 * (devices, pipes, further volumes, names that are not UTF-8). Extended attributes are passed over. Throws TypeError or RangeError for wrong options.
 */
export function tar(options: TarOptions = {}): Stage<Files, Archive> {
  const { deterministic = false, mtimeMs } = options;
  if (typeof deterministic !== "boolean") {
    throw new TypeError(`Cannot make tar(): deterministic must be true or false`);
  }
  if (mtimeMs !== undefined && !deterministic) {
    throw new TypeError("Cannot make tar(): mtimeMs needs deterministic: true");
  }
  if (mtimeMs !== undefined && !Number.isSafeInteger(mtimeMs)) {
    throw new RangeError(`Cannot make tar(): mtimeMs must be whole milliseconds, not ${mtimeMs}`);
  }
  const fact: StageFact = {
    verb: "archive",
    tool: "tar",
    ...(deterministic ? { options: { deterministic, mtimeMs: mtimeMs ?? 0 } } : {}),
  };
  return {
    name: "tar",
    verb: "archive",
    run: (files, context) =>
      Promise.resolve(pack(files, context, fact, deterministic ? mtimeMs ?? 0 : undefined)),
    undo: unpack,
  };
}

function pack(files: Files, context: Context, fact: StageFact, fixedTime: number | undefined): Archive {
  let begun = false;
  let built: BuiltIndex | undefined;
  const complete = (what: string): BuiltIndex => {
    if (built) return built;
    throw new Error(`Cannot read the ${what} of the archive yet: they are known after its last byte`);
  };
  const begin = (): Bytes => {
    if (begun) throw new Error("Cannot read the archive twice: its sources are read once");
    begun = true;
    const entries = fixedTime === undefined ? files.entries() : normalised(files, fixedTime);
    return toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
      using digests = digester();
      const index = buildIndex(digests);
      const hooks = {
        entry: index.add,
        progress: (bytes: number, entries: number): void => {
          context.signal.throwIfAborted();
          context.progress({ phase: "collect", bytes, entries });
        },
        end: (bytes: number): void => {
          built = index.finish(bytes, files.notes?.() ?? {});
        },
      };
      yield* writeTar(entries, hooks, digests);
    });
  };
  return {
    kind: "archive",
    suffix: ".tar",
    body: { read: () => label("tar", begin()) },
    index: { read: () => complete("index").body.read(), open: () => complete("index").body.open!() },
    facts: () => factSheet(files, fact, complete("facts").tail),
  };
}

function factSheet(files: Files, fact: StageFact, tail: IndexTail): FactSheet {
  const fixed = fact.options?.deterministic === true;
  const { entries, bytes, merkleRoot } = tail;
  const { metadata = "basic", ...facts } = files.facts();
  return {
    ...facts,
    stages: [...facts.stages, fact],
    contents: { entries, bytes, merkleRoot, base: null, metadata: fixed ? "basic" : metadata },
  };
}

/** Reads the index's tail at once, where there is an index and more than one file is asked for: its notes are needed before the first entry. */
async function unpack(archive: Archive, context: Context): Promise<Files> {
  const { limits, path } = context.want;
  if (!archive.index) {
    const entries: Files["entries"] = (wanted) => entriesOf(archive, context, wanted && "it has no index");
    return { kind: "files", entries, facts: archive.facts };
  }
  // Read whole, and with that held against the receipt: offsets and notes are in no Merkle tree.
  const index = readIndex({ read: archive.index.read });
  const listing = (): AsyncIterable<IndexEntry> => listingOf(index);
  const files: Files = {
    kind: "files",
    entries: (wanted) => wanted ? chosen(archive, context, index, wanted) : entriesOf(archive, context),
    facts: archive.facts,
    index: archive.index,
    listing,
  };
  if (path !== undefined) return files;
  const tail = await index.tail().catch((error) => {
    throw indexError(error);
  });
  if (tail.entries > limits.entries) {
    throw new IntegrityError(
      `Cannot read the index: it lists ${tail.entries} entries, the limit is ${limits.entries}. Raise --limit-entries if you trust it`,
    );
  }
  return { ...files, notes: () => tail.notes, ...(tail.ordered ? { ordered: true } : {}) };
}

/** By ranges where that is possible and less work. */
async function* chosen(
  archive: Archive,
  context: Context,
  index: IndexReader,
  wanted: (path: string) => boolean,
): AsyncGenerator<Entry, void, undefined> {
  const { path } = context.want;
  if (path !== undefined && wanted(path)) {
    const found = await findByRange(archive, () => listingOf(index), path);
    if (found) yield found;
    else yield* entriesOf(archive, context, FROM_START);
    return;
  }
  const tail = await index.tail();
  if (!await isLess(listingOf(index), tail, wanted)) return yield* entriesOf(archive, context);
  const reader = await archive.body.open?.();
  if (!reader) return yield* entriesOf(archive, context, FROM_START);
  for await (const entry of entriesByRange(reader, listingOf(index), tail, wanted)) {
    context.signal.throwIfAborted();
    yield entry;
  }
}

/** `why` all of it is read for a part, where there is something to say. */
async function* entriesOf(
  archive: Archive,
  context: Context,
  why?: string,
): AsyncGenerator<Entry, void, undefined> {
  if (why !== undefined) context.log.info(`Reading the whole archive: ${why}`);
  try {
    for await (const entry of readTar(archive.body.read(), context.want.limits)) {
      context.signal.throwIfAborted();
      yield entry;
    }
  } catch (error) {
    throw labelled("tar", error);
  }
}

async function* listingOf(index: IndexReader): AsyncGenerator<IndexEntry, void, undefined> {
  try {
    yield* index.entries();
  } catch (error) {
    throw labelled("tar", indexError(error));
  }
}
