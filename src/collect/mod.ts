/**
 * Collectors: where a backup's entries come from, and how they go back.
 *
 * @module
 */
export { command, type CommandOptions } from "./command.ts";
export { files, type FilesOptions } from "./files.ts";
export { group } from "./group.ts";
