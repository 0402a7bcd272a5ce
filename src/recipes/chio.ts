/**
 * Chio: its receipt store, checked offline; see the README.
 *
 * @module
 */
export { type ChioFinding, type ChioReport, type ChioVerifyOptions, verifyChioStore } from "./chio/verify.ts";
export type { Watermarks } from "./chio/watermarks.ts";
