/**
 * Several targets: bring one up to date, compare them.
 *
 * @module
 */
export {
  compare,
  type CompareOptions,
  type CompareResult,
  type Difference,
  type Disagreement,
} from "./compare.ts";
export { copy } from "./copy.ts";
export type { CopyOptions, CopyResult, CopyStep, CopyTrouble } from "./result.ts";
