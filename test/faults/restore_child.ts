/** Restores a made-up archive over an old tree, to be killed: `restore_child.ts STATE TARGET SOURCE SECOND`. */
import * as fs from "node:fs";
import { join } from "node:path";
import type { Entry } from "../../src/stage.ts";
import { extract } from "../../src/collect/extract.ts";
import { noise, testContext } from "../support.ts";
import { archive, dir, file, link } from "../collect/extract_support.ts";

/** The new tree: some of it stands where the old one has other things. */
export function newTree(root: string, files = 150): Entry[] {
  const entries: Entry[] = [dir(root, 0o750)];
  for (let d = 0; d < 10; d++) {
    entries.push(dir(`${root}/d${d}`, 0o700 + d));
    for (let i = 0; i < files / 10; i++) {
      entries.push(file(`${root}/d${d}/f${i}`, noise(3000, d * 100 + i + 1)));
    }
    entries.push(link(`${root}/d${d}/link`, `f${d}`));
  }
  entries.push(
    file(`${root}/swap`, "a file now"),
    dir(`${root}/swop`),
    file(`${root}/swop/in`, "a folder now"),
  );
  return entries;
}

/** The old tree: half of the folders, other content, things of another kind, things of its own. */
export function oldTree(top: string): void {
  for (let d = 0; d < 10; d += 2) {
    fs.mkdirSync(join(top, `d${d}`), { recursive: true });
    for (let i = 0; i < 20; i += 2) fs.writeFileSync(join(top, `d${d}`, `f${i}`), `old ${d} ${i}`);
    for (let i = 0; i < 20; i += 2) {
      fs.utimesSync(join(top, `d${d}`, `f${i}`), 1_500_000_000, 1_500_000_000 + i);
    }
    fs.utimesSync(join(top, `d${d}`), 1_400_000_000, 1_400_000_000 + d);
  }
  fs.mkdirSync(join(top, "swap"));
  fs.writeFileSync(join(top, "swap", "mine"), "old");
  fs.writeFileSync(join(top, "swop"), "old");
  for (const path of ["swap/mine", "swap", "swop", ""]) {
    fs.utimesSync(join(top, path), 1_300_000_000, 1_300_000_000);
  }
}

/** State in a folder, one file per key. */
export function folderState(folder: string): ReturnType<typeof testContext>["state"] {
  fs.mkdirSync(folder, { recursive: true });
  return {
    get: (key) => {
      const path = join(folder, key);
      return Promise.resolve(fs.existsSync(path) ? new Uint8Array(fs.readFileSync(path)) : undefined);
    },
    put: (key, value) => {
      fs.writeFileSync(join(folder, `${key}.part`), value);
      fs.renameSync(join(folder, `${key}.part`), join(folder, key));
      return Promise.resolve();
    },
  };
}

if (import.meta.main) {
  const [state, one, two] = Deno.args;
  const context = {
    ...testContext({ want: { inPlace: true, conflict: "overwrite" } }),
    state: folderState(state!),
  };
  const entries = [...newTree("one"), ...newTree("two")];
  await Deno.stdout.write(new TextEncoder().encode("ready\n"));
  await extract(archive(entries), context, [{ path: "one", source: one! }, { path: "two", source: two! }]);
}
