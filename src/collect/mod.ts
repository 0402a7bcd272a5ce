/**
 * Collectors: where a backup's entries come from, and how they go back.
 *
 * @module
 */
export { files, type FilesOptions } from "./files.ts";
