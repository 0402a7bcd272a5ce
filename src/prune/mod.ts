/** Retention: `prune`. @module */
export { planDigest, prune } from "./prune.ts";
export { type Candidate, type Decision, keep, type Policy } from "./keep.ts";
