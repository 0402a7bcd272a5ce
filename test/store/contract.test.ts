import { mkdirSync, readdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { directory, memory } from "../../src/store/mod.ts";
import { testStore } from "../contract/store.ts";
import { faulty } from "../../src/testing/faulty.ts";
import { scratch } from "../support.ts";

testStore("directory()", () => {
  const dir = scratch();
  const path = dir.join("store");
  mkdirSync(path);
  return Promise.resolve({
    store: directory(path),
    vanish: () => Promise.resolve(renameSync(path, dir.join("elsewhere"))),
    debris: () => Promise.resolve(debrisOf(path)),
    close: () => Promise.resolve(dir[Symbol.dispose]()),
  });
});

testStore("memory()", () =>
  Promise.resolve({
    store: memory(),
    debris: () => Promise.resolve([]),
    close: () => Promise.resolve(),
  }));

testStore("faulty() without faults", () =>
  Promise.resolve({
    store: faulty(memory(), []),
    debris: () => Promise.resolve([]),
    close: () => Promise.resolve(),
  }), { many: 10 });

/** Hidden files, and empty folders. */
function debrisOf(path: string): string[] {
  return readdirSync(path, { withFileTypes: true, recursive: true })
    .filter((entry) =>
      entry.isDirectory()
        ? readdirSync(join(entry.parentPath, entry.name)).length === 0
        : entry.name.startsWith(".")
    )
    .map((entry) => entry.name);
}
