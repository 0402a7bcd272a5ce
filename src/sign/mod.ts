/**
 * Detached signatures and checksums over the stored bytes: `Sealed` to `Sealed`.
 *
 * @module
 */
export { minisign, type MinisignOptions } from "./minisign.ts";
export { openpgp, type OpenpgpSignOptions } from "./openpgp.ts";
export { sha256 } from "./sha256.ts";
export type { KeyData, OpenpgpSecrets, SecretKeys } from "../openpgp/keys.ts";
