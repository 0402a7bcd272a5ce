/** A store that counts what is read from it, and a tree whose archive has several zstd frames. */
import { mkdirSync, writeFileSync } from "node:fs";
import { archive, collect, encrypt, pipeline, sign, upload } from "../../mod.ts";
import { readAll, watch } from "../../src/bytes.ts";
import { memoryState, type RunOptions } from "../../src/context.ts";
import type { Plan } from "../../src/find.ts";
import type { Archive, Sealed, Stage, Store } from "../../mod.ts";
import { identity, recipient } from "../engine/support.ts";
import { noise, type Seen } from "../support.ts";

/** The same store; `read` counts bytes by the end of the key. */
export function counting(store: Store): Store & { read: (suffix?: string) => number; reset: () => void } {
  const read = new Map<string, number>();
  return {
    ...store,
    get: async (key, range) =>
      watch(await store.get(key, range), (chunk) => void read.set(key, (read.get(key) ?? 0) + chunk.length)),
    read: (suffix = "") =>
      [...read].filter(([key]) => key.endsWith(suffix)).reduce((sum, [, bytes]) => sum + bytes, 0),
    reset: () => read.clear(),
  };
}

/** 16 MiB in four files of noise, with small ones before, between and behind. */
export function makeWide(root: string): void {
  mkdirSync(`${root}/deep/er`, { recursive: true, mode: 0o751 });
  for (let i = 0; i < 4; i++) {
    writeFileSync(`${root}/noise${i}`, noise(4 * 2 ** 20, i + 1));
    writeFileSync(`${root}/noise${i}.txt`, `after ${i}\n`.repeat(i * 1000 + 1));
  }
  writeFileSync(`${root}/deep/er/small`, "small\n", { mode: 0o640 });
  writeFileSync(`${root}/deep/empty`, "");
  Deno.linkSync(`${root}/deep/er/small`, `${root}/hard`);
  Deno.symlinkSync("deep/er", `${root}/soft`);
}

/** A chain over `source` with other stages in the middle. */
export function planWith(
  source: string | readonly string[],
  to: Store,
  pack: Stage<Archive, Archive> | undefined,
  seal: Stage<Archive, Sealed> = ageStage(),
): Plan {
  const tar = pipeline(collect.files(source)).pipe(archive.tar());
  return (pack ? tar.pipe(pack) : tar).pipe(seal).pipe(sign.sha256()).pipe(upload({ name: "app", to }));
}

/** Another tree of several frames, which packs to next to nothing: 9 MiB of numbered lines, and small files around them. */
export function makeThin(root: string): void {
  mkdirSync(root);
  const lines = Array.from({ length: 2 ** 17 * 9 }, (_, i) => `${i}`.padStart(7, "0") + "\n");
  writeFileSync(`${root}/large.txt`, lines.join(""));
  for (const name of ["a", "m", "z"]) writeFileSync(`${root}/${name}.txt`, `small ${name}\n`.repeat(5));
  Deno.linkSync(`${root}/a.txt`, `${root}/hard`);
}

/** Age for the tests' identity. */
export function ageStage(options: { armor?: boolean } = {}): Stage<Archive, Sealed> {
  return encrypt.age({ recipients: [recipient], identities: () => identity, ...options });
}

/** Options whose reports land in `seen`. */
export function noted(): { seen: Seen; options: RunOptions } {
  const seen: Seen = { warnings: [], infos: [] };
  const log = {
    info: (message: string): void => void seen.infos.push(message),
    warn: (kind: string, message: string): void => void seen.warnings.push({ kind, message }),
  };
  return { seen, options: { log, state: memoryState() } };
}

/** A stream as text. */
export async function textOf(bytes: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<string> {
  return new TextDecoder().decode(await readAll(bytes, 2 ** 30));
}
