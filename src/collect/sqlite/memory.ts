/**
 * What a host remembers of the databases it stored last: a digest for each page. It lies beside the ledger's memory, for the owner only.
 *
 * Each backup is remembered by its run, in one of two places, never the one that it was built on: a run that fails afterwards, `kill -9`
 * included, leaves what the next one needs, and what was remembered of a backup that never came to be is of no backup in the store.
 *
 * @module
 */
import { sha256, text, utf8 } from "../../bytes.ts";
import type { Shelf, State, U8 } from "../../stage.ts";
import { HASH_BYTES, type Pages } from "./pages.ts";

/** One database as it was. */
export interface Known extends Pages {
  /** Stored path. */
  readonly path: string;
  /** Where it was read from. */
  readonly source: string;
}

/** What is remembered of one backup. */
export interface Memory {
  /** Its run. */
  readonly run: string;
  /** How many increments it stands on, itself included; 0: it is a full one. */
  readonly increments: number;
  /** Bytes of pages in all of them. */
  readonly bytes: number;
  /** Every database. */
  readonly databases: readonly Known[];
}

/** What is remembered of a run, and where the next one is to be remembered. */
export interface Recalled {
  /** Undefined: nothing, or nothing that is whole. */
  readonly memory: Memory | undefined;
  /** Remembers the run that follows. */
  readonly remember: (memory: Memory) => Promise<void>;
}

/** Recalls the backup of `run`. */
export async function recall(state: State, shelf: Shelf, run: string | undefined): Promise<Recalled> {
  const where = sha256(utf8(JSON.stringify([shelf.name, ...shelf.stores.map(({ url }) => url)]))).slice(
    0,
    16,
  );
  const places = ["a", "b"].map((place) => `sqlite-pages_${shelf.name}_${where}_${place}`);
  for (const [i, place] of places.entries()) {
    if (run === undefined) break;
    const bytes = await state.get(place);
    const memory = bytes && decode(bytes);
    if (memory?.run !== run) continue;
    return { memory, remember: (next) => state.put(places[1 - i]!, encode(next)) };
  }
  return { memory: undefined, remember: (next) => state.put(places[0]!, encode(next)) };
}

const MAGIC = "holdfast sqlite pages 1\n";
const DIGEST = 64;

/** One buffer: a gigabyte of database has four mebibytes of digests. */
function encode({ databases, ...rest }: Memory): U8 {
  const list = databases.map(({ hashes, ...known }) => ({ ...known, bytes: hashes.length }));
  const head = utf8(`${JSON.stringify({ ...rest, databases: list })}\n`);
  const start = MAGIC.length + DIGEST;
  const size = databases.reduce((sum, { hashes }) => sum + hashes.length, start + head.length);
  const bytes = new Uint8Array(size);
  bytes.set(head, start);
  let at = start + head.length;
  for (const { hashes } of databases) {
    bytes.set(hashes, at);
    at += hashes.length;
  }
  bytes.set(utf8(MAGIC + sha256(bytes.subarray(start))));
  return bytes;
}

/** Undefined for whatever is not what was written: a power failure may cut a file. */
function decode(bytes: U8): Memory | undefined {
  const body = bytes.subarray(MAGIC.length + DIGEST);
  const start = new TextDecoder().decode(bytes.subarray(0, MAGIC.length + DIGEST));
  if (start !== MAGIC + sha256(body)) return undefined;
  const end = body.indexOf(0x0a);
  const { databases, ...rest } = JSON.parse(text(body.slice(0, end))) as Omit<Memory, "databases"> & {
    readonly databases: readonly (Omit<Known, "hashes"> & { readonly bytes: number })[];
  };
  let at = end + 1;
  return {
    ...rest,
    databases: databases.map(({ bytes, ...known }) => {
      const hashes = body.subarray(at, at += bytes);
      return { ...known, hashes };
    }),
  };
}

/** Whether `databases` are the remembered ones, of the same names and places. */
export function isOf({ databases }: Memory, roots: readonly { path: string; source: string }[]): boolean {
  return databases.length === roots.length &&
    databases.every(({ path, source, hashes }, i) =>
      path === roots[i]!.path && source === roots[i]!.source && hashes.length % HASH_BYTES === 0
    );
}
