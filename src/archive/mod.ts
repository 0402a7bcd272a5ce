/**
 * Archive: entries into one stream of bytes, with an index, and back.
 *
 * @module
 */
export { tar, type TarOptions } from "./tar.ts";
export { comparePaths } from "./path.ts";
export { type IndexFrame, type IndexTail } from "./listing.ts";
export { type IndexReader, readIndex } from "./listing_read.ts";
export { type Inclusion, inclusionProof, merkleRoot, verifyInclusion } from "./merkle.ts";
export { checkProof, type EntryProof, proveEntry } from "./prove.ts";
export { type Checked, checkEntries } from "./check.ts";
