/** Retention: `prune`. @module */
export { prune } from "./prune.ts";
export { type Candidate, type Decision, keep, type Policy } from "./keep.ts";
