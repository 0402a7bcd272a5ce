/**
 * Encrypting archives: `Archive` to `Sealed`, and back.
 *
 * @module
 */
export { age, type AgeOptions } from "./age.ts";
export { detect, type DetectOptions } from "./detect.ts";
export { generateIdentity, type KeyPair, type RecipientKind, recipientOf } from "./keys.ts";
export { openpgp, type OpenpgpOptions } from "./openpgp.ts";
export { plaintext } from "./plaintext.ts";
export type { KeyData, OpenpgpSecrets, SecretKeys } from "../openpgp/keys.ts";
export type { Identities, Secrets } from "./unlock.ts";
