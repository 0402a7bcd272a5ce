/**
 * Detached signatures and checksums over the stored bytes: `Sealed` to `Sealed`.
 *
 * @module
 */
export { sha256 } from "./sha256.ts";
