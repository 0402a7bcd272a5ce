import type { Archive, Stage } from "@holdfast/backup";
export const oneWay: Stage<Archive, Archive> = { name: "one-way", run: (input) => Promise.resolve(input) };
