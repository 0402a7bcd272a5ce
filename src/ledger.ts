/**
 * The ledger: receipts that name their parents by digest. Every event names all heads it can see; a prune's receipt lists what is
 * gone (tombstones) and what stays (live), so that a walk starts at the newest one and older receipts may go.
 *
 * @module
 */
export { type Audit, audit } from "./ledger/audit.ts";
export { lostBackups, lostHeads, remember, seenHeads } from "./ledger/memory.ts";
export { type Ledger, provenReceipt, readLedger } from "./ledger/read.ts";
export { headsOf, obsoleteEvents } from "./ledger/obsolete.ts";
export { type Head, headOf, readReceipt, receiptIds } from "./ledger/receipts.ts";
export { acceptLedger, announce, appendEvent } from "./ledger/write.ts";
