/**
 * The four nouns, the stage, and what a stage is handed. Types only; every other file points here.
 *
 * @module
 */

/** Bytes that own an ordinary buffer, so that they can be transferred and given to web streams. */
export type U8 = Uint8Array<ArrayBuffer>;

/**
 * A stream of bytes: chunks of up to about 2 MiB, nothing read ahead (highWaterMark 0), read once. A chunk belongs to whoever
 * reads it: passing it on gives it away, and its buffer may be detached at once. Copy what is to be kept.
 */
export type Bytes = ReadableStream<U8>;

/** Random access to `size` bytes. `at(start, end)` gives exactly `end - start` bytes or throws. */
export interface Reader {
  /** Length in bytes. */
  readonly size: number;
  /** The bytes from `start` (inclusive) to `end` (exclusive). */
  readonly at: (start: number, end: number) => Promise<U8>;
}

/** Bytes that can be read whole and, where the source allows it, by ranges. Nothing happens before the call. */
export interface Body {
  /** Starts reading from the first byte. */
  readonly read: () => Bytes;
  /**
   * Opens for ranged reads; absent, or gives undefined, where only a full read is possible. What is read by ranges is proven by nothing
   * but the digests of what it holds: the digest and signature of the whole are checked by `read` alone.
   */
  readonly open?: (() => Promise<Reader | undefined>) | undefined;
}

/** What a collected thing is. Anything else (devices, sockets, pipes) is never stored and never restored. */
export type EntryKind = "file" | "directory" | "symlink" | "hardlink";

/** One file, directory or link of an archive. */
export interface Entry {
  /**
   * Relative path, `/`-separated, no leading or trailing slash, no `.` or `..` part, never empty. Of a name that is not UTF-8 each byte
   * that is none stands as one code point, U+10FF00 plus the byte: without loss, and valid Unicode.
   */
  readonly path: string;
  /** What it is. A hard link names an earlier file of the same archive in `target`. */
  readonly kind: EntryKind;
  /** Permission bits with set-uid, set-gid and sticky: 0 to 0o7777. */
  readonly mode: number;
  /** Modification time in whole milliseconds since 1970, may be negative. */
  readonly mtimeMs: number;
  /** Nanoseconds that the modification time lies after `mtimeMs`: 0 to 999,999. Absent: not known. */
  readonly mtimeNs?: number | undefined;
  /** Numeric owner. */
  readonly uid: number;
  /** Numeric group. */
  readonly gid: number;
  /** Owner's name, or "". */
  readonly uname: string;
  /** Group's name, or "". */
  readonly gname: string;
  /** Length of the content; 0 unless `kind` is "file". */
  readonly bytes: number;
  /** A symlink's text as it stands, or a hard link's `path` of the earlier file. */
  readonly target?: string | undefined;
  /**
   * Content of a file: small ones as bytes, large ones as a stream read once. It yields exactly `bytes` bytes or
   * throws. Absent for other kinds. An entry's body is read (or skipped) before the next entry is asked for. The archive that has
   * taken an entry may use the memory of its bytes again, and they then read as none: who needs them as well copies them before.
   */
  readonly body?: U8 | (() => Bytes) | undefined;
  /** SHA-256 of the content, when the collector has computed it on the way; valid once the body has been read. */
  readonly sha256?: (() => U8) | undefined;
  /** Extended attributes by name ("user.origin", "security.capability"), ACLs left out. Absent: none, or not known. */
  readonly xattrs?: ReadonlyMap<string, U8> | undefined;
  /** Access control lists, of what has more than its mode says. Absent: none, or not known. */
  readonly acl?: Acl | undefined;
  /**
   * Of a sparse file what is no hole: offset and length in bytes of each extent in turn, ascending and apart. The content reads as
   * zeros outside of them. Absent: no holes, or not known.
   */
  readonly extents?: readonly number[] | undefined;
}

/**
 * POSIX access control lists as text (acl(5), short form): entries between commas, named ones with the number after the permissions
 * as star and libarchive write it: `user::rw-,user:lisa:r--:1000,group::r--,mask::r--,other::---`. The name is the number where this host has none.
 */
export interface Acl {
  /** What applies to the thing itself. */
  readonly access?: string | undefined;
  /** Of a folder: what is made in it gets. */
  readonly default?: string | undefined;
}

/** One line of an archive's index: an entry's metadata, its digest, and where its bytes lie. */
export interface IndexEntry extends Omit<Entry, "body" | "sha256" | "xattrs" | "acl" | "extents"> {
  /** Lower-case hexadecimal SHA-256 of the content; only for files. */
  readonly sha256?: string | undefined;
  /** Offset of the content (for other kinds: of the end of the header) in the uncompressed archive. */
  readonly offset: number;
  /** Lower-case hexadecimal SHA-256 of extended attributes and ACLs, as the archive's PAX records in order of their keys; absent: none. */
  readonly attributes?: string | undefined;
  /** Length of the headers that lie before `offset`; of an entry with attributes or holes, which is read with them. */
  readonly head?: number | undefined;
  /** Of a file stored as sparse: length of what lies at `offset`, its map (GNU tar's PAX format 1.0) and then the extents. */
  readonly stored?: number | undefined;
}

/** One tool that took part, as the receipt records it. */
export interface StageFact {
  /** The verb: "archive", "compress", "encrypt", "sign". */
  readonly verb: string;
  /** The tool: "tar", "zstd", "age". */
  readonly tool: string;
  /** Options that matter to a reader; never a secret. */
  readonly options?: Readonly<Record<string, string | number | boolean>> | undefined;
}

/** One source, as the receipt records it. */
export interface SourceFact {
  /** The collector: "files", "command". */
  readonly tool: string;
  /** When the data was read (RFC 3339, UTC). */
  readonly cutAt: string;
  /** What the collector wants to record: counts and numbers; no file names, no secrets. */
  readonly facts: Readonly<Record<string, unknown>>;
}

/** What the archive holds, as the receipt records it. */
export interface Contents {
  /** Number of entries. */
  readonly entries: number;
  /** Sum of all file lengths in bytes. */
  readonly bytes: number;
  /** Root of the Merkle tree over the index (RFC 6962, SHA-256), lower-case hexadecimal. */
  readonly merkleRoot: string;
  /** Digest of the receipt of the backup this one builds on; null for a full backup. */
  readonly base: string | null;
  /** "basic": mode, owner, millisecond times, links. "full": also nanoseconds, extended attributes, ACLs, holes, names that are not UTF-8. */
  readonly metadata: string;
}

/** What the stages have to say once the last byte has gone by. */
export interface FactSheet {
  /** Every source in the order it was read. */
  readonly sources: readonly SourceFact[];
  /** Every tool so far, first to last. */
  readonly stages: readonly StageFact[];
  /** Known once the archive is complete. */
  readonly contents?: Contents | undefined;
  /** From collectors of files: how much of their metadata is stored, see {@linkcode Contents}. Absent: they make their entries up. */
  readonly metadata?: "full" | "basic" | undefined;
  /** Public recipients the backup is encrypted to. */
  readonly recipients?: readonly string[] | undefined;
  /**
   * From a collector that stored only what has changed: the file name of the backup it builds on. The receipt names that one by the
   * digest of its receipt (`contents.base`), in each target by its own.
   */
  readonly base?: string | undefined;
}

/** Gives the facts; throws before the last byte has been read. */
export type Facts = () => FactSheet;

/** Noun 1: entries from a source. */
export interface Files {
  /** The noun. */
  readonly kind: "files";
  /**
   * The entries in walk order; iterated once. Ends only when the source is proven complete. On the way back `wanted` allows to leave out
   * entries it is false for, other than folders: what is left is then read by ranges where that is possible and less work.
   */
  readonly entries: (wanted?: (path: string) => boolean) => AsyncIterable<Entry>;
  /** Facts of the collectors. */
  readonly facts: Facts;
  /** What may be recorded only in the sealed index, because it holds names: root paths, names behind warnings. */
  readonly notes?: (() => Readonly<Record<string, unknown>>) | undefined;
  /** On the way back: the entries by the index, without bodies; absent when there is no index. */
  readonly listing?: (() => AsyncIterable<IndexEntry>) | undefined;
  /** On the way back: the index as stored, for checks and proofs; absent when there is none. */
  readonly index?: Body | undefined;
  /** Whether the entries come in path order (`comparePaths` of the archive folder): sorting them then needs no memory. */
  readonly ordered?: boolean | undefined;
  /** Whether the entries come in an order of their own that equal sources give again: a deterministic archive keeps it and sorts nothing. */
  readonly steady?: boolean | undefined;
  /**
   * On the way back, of an increment only: opens the backup it builds on, from the same store; that one has its own `below`. Each call
   * reads anew. Throws IntegrityError where the base is gone or altered.
   */
  readonly below?: (() => Promise<Files>) | undefined;
}

/** What `Archive` and `Sealed` share: bytes with a suffix. */
export interface Carrier {
  /** File-name suffix so far: ".tar", ".tar.zst", ".tar.zst.age". */
  readonly suffix: string;
  /** The bytes. */
  readonly body: Body;
  /** The index; readable once the body has been read to its end. */
  readonly index?: Body | undefined;
  /** Facts so far. */
  readonly facts: Facts;
  /** On the way back: the evidence that came with the bytes. */
  readonly proof?: Proof | undefined;
}

/** Noun 2: readable bytes. */
export interface Archive extends Carrier {
  /** The noun. */
  readonly kind: "archive";
}

/** Noun 3: bytes that may leave the machine. */
export interface Sealed extends Carrier {
  /** The noun. */
  readonly kind: "sealed";
  /** Who will sign, opened by upload before byte one. */
  readonly signers: readonly Signer[];
  /** Forward: who must have signed what is in the ledger. */
  readonly seals?: readonly Seal[] | undefined;
}

/** Makes detached signatures or checksums. */
export interface Signer {
  /** Sidecar suffix: ".sha256", ".minisig". */
  readonly suffix: string;
  /** Whether it proves who signed: such a signer signs the receipt too. A bare checksum does not. */
  readonly authenticates: boolean;
  /** The sidecar from the object's SHA-256 (lower-case hexadecimal) alone, which upload computes anyway: `begin` is not called then. */
  readonly fromDigest?: ((name: string, sha256: string) => U8) | undefined;
  /** Public identity for the receipt, where there is one. */
  readonly identity?: string | undefined;
  /** Opens the key, before any byte is read. `name` is the object's file name. */
  readonly begin: (name: string) => Promise<Signature>;
}

/** A signature under way over one object. */
export interface Signature {
  /** Takes the next bytes; must not keep a reference. */
  readonly add: (chunk: Uint8Array) => void;
  /** Gives the sidecar's content after the last byte. */
  readonly end: () => Promise<U8>;
}

/** Signs receipts, and tells who signed one: trust that the operator pinned in the plan. */
export interface Seal {
  /** Sidecar suffix: ".minisig". */
  readonly suffix: string;
  /** Signs; its `begin` throws KeyError where no secret key is at hand. */
  readonly signer: Signer;
  /** The public identity of the trusted key that signed `bytes`, the object called `name`. Throws IntegrityError for any other. */
  readonly verify: (bytes: U8, name: string, signature: U8) => Promise<string>;
  /** The same of an object that is read in pieces; what can be told of the signature alone is thrown now. */
  readonly check: (signature: U8, name: string) => Promise<SealCheck>;
}

/** A signature by a trusted key, waiting for the bytes it is about. */
export interface SealCheck {
  /** Public identity of the key. */
  readonly identity: string;
  /** When the signature says it was made, where it says so. */
  readonly created?: Date | undefined;
  /** Takes the next bytes; must not keep a reference. */
  readonly add: (chunk: Uint8Array) => void;
  /** Throws IntegrityError unless the signature fits all of them. */
  readonly end: () => Promise<void>;
}

/** The evidence stored beside an object. */
export interface Proof {
  /** The object's file name. */
  readonly id: string;
  /** The receipt as stored. */
  readonly receipt: U8;
  /** The content of the object's sidecar with this suffix; undefined when it is proven absent. */
  readonly sidecar: (suffix: string) => Promise<U8 | undefined>;
}

/** Noun 4: a backup in its stores. */
export interface Stored {
  /** The noun. */
  readonly kind: "stored";
  /** The full file name of the archive. */
  readonly id: string;
  /** The shelf it lies on. */
  readonly shelf: Shelf;
  /** One per target that has it. */
  readonly copies: readonly Copy[];
  /** Targets that failed while others succeeded. */
  readonly failures: readonly CopyFailure[];
  /** What retention decided, once prune has run. */
  readonly verdicts?: readonly Verdict[] | undefined;
}

/** A backup in one store. */
export interface Copy {
  /** Where. */
  readonly store: Store;
  /** The receipt as stored there. */
  readonly receipt: U8;
}

/** A target that did not get its copy. */
export interface CopyFailure {
  /** Where. */
  readonly store: Store;
  /** Why. */
  readonly error: Error;
}

/** One object in a store's listing. */
export interface StoreItem {
  /** The key, `/`-separated. */
  readonly key: string;
  /** Length in bytes. */
  readonly bytes: number;
  /** When it was written, by the store's clock. */
  readonly modified: Date;
}

/** How an object is written. */
export interface PutOptions {
  /** Fail with {@linkcode ExistsError} if the key exists, and leave the existing object as it is. Default: replace. */
  readonly ifAbsent?: boolean | undefined;
  /** Gives up, and leaves nothing behind, when it fires. */
  readonly signal?: AbortSignal | undefined;
}

/** A part of an object. */
export interface ByteRange {
  /** First byte, inclusive. */
  readonly start: number;
  /** Last byte, exclusive. */
  readonly end: number;
}

/** An upload that was begun and neither completed nor aborted. */
export interface UnfinishedUpload {
  /** The key it is for. */
  readonly key: string;
  /** When it began, by the store's clock. */
  readonly begun: Date;
}

/** A place that keeps objects. Every sentence below is a test in `test/contract/`, passed by every store. */
export interface Store {
  /** Where it is, as an absolute path or URL without secrets: what a run prints. */
  readonly url: string;
  /** The absolute path of its folder, where it is one on this machine: a backup never stores its own store. */
  readonly folder?: string | undefined;
  /**
   * Writes an object, all or nothing to readers: a failed or cancelled put leaves the key as it was. The stream's length
   * need not be known. Retries per part by itself.
   */
  readonly put: (key: string, body: Bytes | U8, options?: PutOptions) => Promise<void>;
  /** Reads an object or a part of it. Rejects with NotFoundError only when the object is proven absent. */
  readonly get: (key: string, range?: ByteRange) => Promise<Bytes>;
  /** The object's item, or undefined when it is proven absent. */
  readonly head: (key: string) => Promise<StoreItem | undefined>;
  /** Lists every object whose key starts with `prefix`, sorted by key, complete or it throws. */
  readonly list: (prefix?: string) => AsyncIterable<StoreItem>;
  /** Deletes an object. Deleting nothing is fine. */
  readonly delete: (key: string) => Promise<void>;
  /** Why the store keeps an object whatever it is told (a lock, a hold), where there is such a thing; undefined: it does not. */
  readonly retained?: ((key: string) => Promise<string | undefined>) | undefined;
  /**
   * Uploads that were begun and neither completed nor aborted, which a listing does not show; undefined where that may not be
   * asked. Absent where there is no such thing.
   */
  readonly unfinished?: (() => Promise<readonly UnfinishedUpload[] | undefined>) | undefined;
  /** Free space in bytes, where the store can tell. */
  readonly space?: (() => Promise<number | undefined>) | undefined;
  /**
   * An exclusive lock that dies with its holder, where the store has one. Undefined: held by another, whose `text`
   * `holder` receives. Where absent, conditional objects are used.
   */
  readonly lock?: ((key: string, text: string) => Promise<Lock>) | undefined;
}

/** The answer to an attempt at a lock. */
export type Lock =
  | { readonly held: true; readonly release: () => Promise<void> }
  | { readonly held: false; readonly holder: string };

/** Small facts a host remembers between runs. Losing them is safe and is said. */
export interface State {
  /** The value, or undefined. */
  readonly get: (key: string) => Promise<U8 | undefined>;
  /** Sets the value, atomically, readable by the owner only. */
  readonly put: (key: string, value: Uint8Array) => Promise<void>;
}

/** Where stages report. The library never prints. */
export interface Log {
  /** Something worth knowing. */
  readonly info: (message: string) => void;
  /** Something is missing or odd, the run goes on; counted by `kind` in the receipt, exit code 3. */
  readonly warn: (kind: string, message: string) => void;
}

/** How far a run is. */
export interface ProgressUpdate {
  /** What is being counted: "collect" counts content read, "upload" stored bytes, "restore" content written. */
  readonly phase: "collect" | "upload" | "restore" | "verify";
  /** Bytes so far in this phase. */
  readonly bytes: number;
  /** Entries so far in this phase. */
  readonly entries?: number | undefined;
  /** Expected bytes, where known or estimated from the backup before. */
  readonly totalBytes?: number | undefined;
}

/** Called often (at least every MiB); must be cheap and must not throw. */
export type Progress = (update: ProgressUpdate) => void;

/** What to do with something that stands where an entry would go. */
export type Conflict = "error" | "skip" | "overwrite";

/** What a restore did, or with `dryRun` would do, with one entry. */
export type RestoreAction = "create" | "overwrite" | "append" | "skip";

/** The restore request. */
export interface Want {
  /** The folder to restore into, absolute. Undefined with `inPlace`, or when nothing is written. */
  readonly into?: string | undefined;
  /** Restore each root to its recorded path, all or none. */
  readonly inPlace: boolean;
  /** Globs; an entry is wanted when its path, or a folder above it, matches one. Empty: all. */
  readonly only: readonly string[];
  /** Leading path parts to drop; entries with fewer are left out. */
  readonly strip: number;
  /** What to do with existing things. */
  readonly conflict: Conflict;
  /**
   * With `inPlace` and "overwrite": a folder that stands where a root goes makes way as a whole, so that nothing is left of what the
   * backup does not have. Default false: folders are merged.
   */
  readonly replace?: boolean | undefined;
  /** Called when all stands in its place and can still be taken back: what it throws takes all back. Default: nothing is asked. */
  readonly confirm?: (() => Promise<void>) | undefined;
  /** Report only. */
  readonly dryRun: boolean;
  /** The one path that is asked for, when nothing is written: no more of the index is read than finding it takes, and notes are left out. */
  readonly path?: string | undefined;
  /** Leave the index alone, because it is damaged: everything is read. Default false. */
  readonly whole?: boolean | undefined;
  /** Bounds against hostile archives. */
  readonly limits: Limits;
  /** Told about each entry. */
  readonly report?: ((path: string, action: RestoreAction) => void) | undefined;
}

/** Bounds on what an archive may unfold to. */
export interface Limits {
  /** Most entries. Default 10,000,000. */
  readonly entries: number;
  /** Most content bytes. Default 1 TiB, or 4 x what the receipt says. */
  readonly bytes: number;
  /** Most bytes out per byte in, once more than 64 MiB came out. Default 200. */
  readonly ratio: number;
  /** Most bytes in a path. Default 4,096. */
  readonly pathBytes: number;
}

/** What every stage is handed. */
export interface Context {
  /** Fires when the run is cancelled. */
  readonly signal: AbortSignal;
  /** The run's time: names and receipts use it. */
  readonly now: Date;
  /** The run's id (ULID). */
  readonly run: string;
  /** Whether to wait for a lease that another run holds. */
  readonly wait: boolean;
  /** Store what could be read when a part of the source fails, with a warning, where the collector can do that. Default: as it was made. */
  readonly partial?: boolean | undefined;
  /** Where the plan's backups lie. */
  readonly shelf?: Shelf | undefined;
  /** Forward: whether an incremental collector compares contents though all else is as it was. Absent: as its options say. */
  readonly rehash?: boolean | undefined;
  /** Forward: which member of which group a collector is; tells apart what it keeps on the host. Absent: it stands alone. */
  readonly within?: string | undefined;
  /** Forward: who can read a backup made now; none where it is not encrypted. Absent: not known. */
  readonly recipients?: (() => Promise<readonly string[]>) | undefined;
  /** Reports. */
  readonly log: Log;
  /** Progress. */
  readonly progress: Progress;
  /** The host's memory. */
  readonly state: State;
  /** The restore request. */
  readonly want: Want;
  /** Warnings so far, by kind. */
  readonly warnings: () => Readonly<Record<string, number>>;
}

/** The seven verbs. */
export type Verb = "collect" | "archive" | "compress" | "encrypt" | "sign" | "upload" | "prune";

/**
 * A step both ways. `run` only builds: nothing is read until upload pulls. `undo` is its inverse and is required: a step that
 * changes a backup carries the step that takes it back.
 */
export interface Stage<In, Out> {
  /** The stage's name in errors and receipts: "zstd". */
  readonly name: string;
  /** The verb it is a tool of. Quick verification undoes "prune", "upload" and "sign", which need no key, and stops there. */
  readonly verb?: Verb | undefined;
  /** Forward: towards the store. */
  readonly run: (input: In, context: Context) => Promise<Out>;
  /** Backward: from the store. */
  readonly undo: (output: Out, context: Context) => Promise<In>;
  /**
   * Proves that what was restored into `folder` works, for instance by starting a database on it; only collectors have it. Gives
   * facts for the drill's receipt, throws when it does not work.
   */
  readonly drill?:
    | ((folder: string, context: Context) => Promise<Readonly<Record<string, unknown>>>)
    | undefined;
  /** Where backups lie and under which name; only upload has it. */
  readonly shelf?: Shelf | undefined;
  /** What it reads that must never be stored in the clear ("the authority's seed"): it cannot be put before `encrypt.plaintext`. */
  readonly secret?: string | undefined;
  /** How it proves who wrote a receipt; only sign stages that authenticate have it. A pipeline has those of all its stages. */
  readonly seals?: readonly Seal[] | undefined;
  /** The stage's retention, on its own; only prune has it. */
  readonly retain?:
    | ((want: RetainWant, context: Context, shelf: Shelf) => Promise<readonly Verdict[]>)
    | undefined;
}

/** How backups are named in a store. */
export interface Naming {
  /** What every file name of this backup starts with: narrows listings. */
  readonly prefix: (name: string) => string;
  /** The file name of a backup. */
  readonly format: (name: string, time: Date, suffix: string) => string;
  /** The parts of a file name, or undefined when it is not one of ours. Canonical: format(parse(x)) is x. */
  readonly parse: (id: string) => ParsedName | undefined;
}

/** The parts of a backup's file name. */
export interface ParsedName {
  /** The backup's name, the group retention works on. */
  readonly name: string;
  /** When the run started, to the second. */
  readonly time: Date;
  /** ".tar.zst.age" */
  readonly suffix: string;
}

/** Where a plan's backups lie. */
export interface Shelf {
  /** The backup's name. */
  readonly name: string;
  /** Every target. */
  readonly stores: readonly Store[];
  /** How backups are named. */
  readonly naming: Naming;
  /** Who must have signed its receipts, as the plan's sign stages pin it. Absent or empty: nobody. */
  readonly seals?: readonly Seal[] | undefined;
  /** What every backup must be, as upload's `require` pins it. */
  readonly require?: Requirements | "none" | undefined;
  /** When a lease kept as an object is renewed, and when it counts as abandoned. Default: 10 and 60 seconds. */
  readonly lease?: LeaseTimes | undefined;
}

/** Times of a lease kept as an object, in milliseconds; the expiry is at least two heartbeats. */
export interface LeaseTimes {
  /** How often its holder renews it. */
  readonly heartbeatMs: number;
  /** How long it must stay unchanged for another run to take it over. */
  readonly expiryMs: number;
}

/** What an operator demands of every backup, when it is made and when it is read. What is broken is an IntegrityError. */
export interface Requirements {
  /** A signature by a stage that proves who signed. */
  readonly signature?: boolean | undefined;
  /** Encryption, by any tool. */
  readonly encryption?: boolean | undefined;
  /** Public keys ("RW...") or fingerprints, one of which must have signed. */
  readonly signers?: readonly string[] | undefined;
  /** The most that "latest" may be old: "26h", "2d", "1w". */
  readonly maxAge?: string | undefined;
}

/** What is asked of retention. */
export interface RetainWant {
  /** Whether to remove; else it only decides. */
  readonly confirm: boolean;
  /** The digest of the only list that may be carried out; anything else is refused before anything is removed. Default: any. */
  readonly expect?: string | undefined;
}

/** What retention decided for one backup, and why. */
export interface Verdict {
  /** The backup. */
  readonly id: string;
  /** Where. */
  readonly store: string;
  /** Whether it stays. */
  readonly keep: boolean;
  /** Why it stays ("daily 2026-11-20", "newest verified"), or why not ("no rule keeps it"). */
  readonly reasons: readonly string[];
  /** Stored bytes of the archive and what lies beside it: what its removal frees. */
  readonly bytes: number;
}

/** A stage of any type, for walking a pipeline. */
// deno-lint-ignore no-explicit-any -- the types between stages are gone once they are in one list
export type Part = Stage<any, any>;

/** A chain of stages, itself a stage. Immutable: `pipe` gives a new one. Not thenable. */
export interface Pipeline<In, Out> extends Stage<In, Out> {
  /** The stages, first to last. */
  readonly stages: readonly Part[];
  /** The chain with one more stage. Wrong order is a type error naming both nouns. */
  readonly pipe: <Next>(stage: Stage<Out, Next>) => Pipeline<In, Next>;
}
