/**
 * Prose: backups of a pod by its design's names and table of sidecars, restores that leave a running pod whatever happens, and the
 * backups of its version 0.5.
 *
 * @module
 */
export { type PodApiData, takeApiData } from "./prose/api_data.ts";
export { proseCollector, type ProseOptions } from "./prose/collector.ts";
export { type PodApi, podApiAt, podApiFile, type PodApiOptions } from "./prose/pod_api.ts";
export { proseRestore, type ProseRestoreOptions } from "./prose/restore.ts";
export { type ProseService, proseService, type ProseServiceOptions } from "./prose/service.ts";
export { type ProseItem, proseList } from "./prose/list.ts";
export type { BodyLimits } from "./prose/service/body.ts";
export type { ProsePart } from "./prose/layout.ts";
export { proseNaming } from "./prose/names.ts";
export { prosePlan, type ProsePlanOptions } from "./prose/plan.ts";
