/**
 * The benchmark's corpora, made from a seed: the same bytes on every machine. Each is a folder, made once and kept.
 */
import { createCipheriv } from "node:crypto";
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  rmSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { type Draw, draws, identifier, logLine, records, source } from "./corpus_text.ts";
import { measureFolder } from "./folder.ts";

/** What the benchmark runs over. */
export interface Corpus {
  /** "json", "random", "tree", "many" or "million". */
  readonly name: string;
  /** For the table's heading. */
  readonly title: string;
  /** Where it lies. */
  readonly path: string;
  /** Number of files. */
  readonly files: number;
  /** Sum of their lengths in bytes. */
  readonly bytes: number;
}

/** Raise it when a corpus changes, so that old ones are made anew. */
const VERSION = 1;
const MIB = 1024 * 1024;

const MAKERS: Readonly<Record<string, { title: string; make: (folder: string, divisor: number) => void }>> = {
  json: { title: "JSON lines", make: makeJson },
  random: { title: "Random bytes", make: makeRandom },
  tree: {
    title: "Small files",
    make: (folder, divisor) => makeTree(folder, 6_400 / divisor, 66_000_000 / divisor),
  },
  many: {
    title: "Many small files",
    make: (folder, divisor) => makeTree(folder, 200_000 / divisor, 400_000_000 / divisor),
  },
  million: { title: "Empty files", make: makeMillion },
};

/** A corpus in `root`, made unless it is there. Sizes are divided by `divisor`. */
export function corpus(name: string, root: string, divisor: number): Corpus {
  const { title, make } = MAKERS[name]!;
  const path = join(root, `${name}-v${VERSION}${divisor === 1 ? "" : `-${divisor}th`}`);
  const done = `${path}.done`;
  if (!existsSync(done)) {
    rmSync(path, { recursive: true, force: true });
    mkdirSync(path, { recursive: true });
    make(path, divisor);
    writeFileSync(done, "");
  }
  return { name, title, path, ...measureFolder(path) };
}

/** Bytes nobody can compress: AES-CTR over zeros, with a key that is no secret. */
function stream(seed: number): (size: number) => Uint8Array {
  const cipher = createCipheriv("aes-256-ctr", Buffer.alloc(32, seed), Buffer.alloc(16));
  return (size) => cipher.update(new Uint8Array(size));
}

/** 700 MB of an application's log, one JSON object a line. */
function makeJson(folder: string, divisor: number): void {
  const draw = draws(1);
  const target = 700_000_000 / divisor;
  const file = openSync(join(folder, "events.jsonl"), "w");
  let time = Date.parse("2026-01-01T00:00:00Z");
  for (let written = 0; written < target;) {
    let text = "";
    while (text.length < MIB) text += logLine(time += draw(40), draw);
    written += writeSync(file, text.slice(0, target - written));
  }
  closeSync(file);
}

/** 1 GiB that does not compress. */
function makeRandom(folder: string, divisor: number): void {
  const next = stream(2);
  const file = openSync(join(folder, "random.bin"), "w");
  for (let left = Math.floor(1024 * MIB / divisor); left > 0;) {
    left -= writeSync(file, next(Math.min(MIB, left)));
  }
  closeSync(file);
}

/** Small files, nine of ten text like source code, the others half records, half noise. */
function makeTree(folder: string, count: number, bytes: number): void {
  const draw = draws(3);
  const noise = stream(3);
  const words = Array.from({ length: 4_000 }, () => identifier(draw));
  for (const [i, size] of treeSizes(Math.floor(count), bytes, draw).entries()) {
    const binary = draw(10) === 0;
    const parts = [`module-${draw(24)}`, `${words[draw(20)]}`, `${words[draw(60)]}`].slice(0, 1 + draw(3));
    const path = join(folder, ...parts, `${words[draw(words.length)]}-${i}.${binary ? "bin" : "ts"}`);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, binary ? records(size, noise) : source(size, words, draw));
    const time = 1_760_000_000 + draw(30_000_000);
    utimesSync(path, time, time);
  }
}

/** A million empty files in a thousand folders: nothing but names. */
function makeMillion(folder: string, divisor: number): void {
  for (let i = 0; i < 1_000_000 / divisor; i++) {
    const into = join(folder, `folder-${Math.floor(i / 1_000)}`);
    if (i % 1_000 === 0) mkdirSync(into);
    closeSync(openSync(join(into, `file-${i}`), "w"));
  }
}

/** Log-normal lengths, as source trees have them, scaled to the sum. */
function treeSizes(count: number, sum: number, draw: Draw): number[] {
  const uniform = (): number => (draw(2 ** 30) + 1) / 2 ** 30;
  const raw = Array.from({ length: count }, () => (
    Math.min(300, Math.exp(1.2 * Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform())))
  ));
  const scale = sum / raw.reduce((a, b) => a + b, 0);
  return raw.map((size) => Math.round(size * scale));
}

/** What a small file of {@linkcode makeWide} holds. */
export function smallText(path: string): string {
  return `I am ${path}\n`.repeat(40);
}

/** Folders of at most 256 MiB, together about `bytes` long: in each one large file of random bytes, and 500 small ones. */
export function makeWide(folder: string, bytes: number): void {
  const size = Math.min(Math.ceil(bytes), 256 * MIB);
  for (let n = 0; n < Math.ceil(bytes / size); n++) {
    const below = `data/${`${n}`.padStart(4, "0")}`;
    mkdirSync(join(folder, below), { recursive: true });
    const next = stream(100 + n);
    const file = openSync(join(folder, below, "large"), "w");
    for (let left = size; left > 0;) left -= writeSync(file, next(Math.min(MIB, left)));
    closeSync(file);
    for (let i = 0; i < 500; i++) {
      const path = `${below}/small${`${i}`.padStart(3, "0")}`;
      writeFileSync(join(folder, path), smallText(path));
    }
  }
}
