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

/** The names of all corpora. */
export const CORPORA: readonly string[] = Object.keys(MAKERS);
/** Those that a benchmark takes unless others are named: the rest take an hour. */
export const USUAL: readonly string[] = ["json", "random", "tree"];

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

/** Whole numbers from 0 to below a limit (mulberry32). */
type Draw = (below: number) => number;

function draws(seed: number): Draw {
  let state = seed | 0;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let x = Math.imul(state ^ (state >>> 15), 1 | state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) % below;
  };
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

const VERBS = ["GET", "GET", "GET", "GET", "POST", "PUT", "DELETE"];
const ROUTES = ["orders", "orders", "users", "carts", "items", "search", "invoices", "health"];
const LEVELS = ["info", "info", "info", "info", "info", "debug", "warn", "error"];
const SAYINGS = [
  "done",
  "done",
  "cache miss",
  "retrying after timeout",
  "validated",
  "not modified",
  "limit reached",
];

function logLine(time: number, draw: Draw): string {
  return JSON.stringify({
    time: new Date(time).toISOString(),
    level: LEVELS[draw(LEVELS.length)],
    host: `web-${draw(12)}`,
    request: hex(draw) + hex(draw),
    method: VERBS[draw(VERBS.length)],
    path: `/v1/${ROUTES[draw(ROUTES.length)]}/${draw(90_000)}`,
    status: [200, 200, 200, 200, 201, 304, 404, 500][draw(8)],
    ms: draw(250_000) / 1000,
    user: draw(50_000),
    address: `10.${draw(4)}.${draw(256)}.${draw(256)}`,
    message: SAYINGS[draw(SAYINGS.length)],
  }) + "\n";
}

function hex(draw: Draw): string {
  return draw(2 ** 32).toString(16).padStart(8, "0");
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

const SYLLABLES =
  "ad al ar be ca co da de en er fi fo ge ha in is ke la li lo ma me mi na ne no or pa ra re ri sa se si so ta te ti to un ve wo"
    .split(" ");

function identifier(draw: Draw): string {
  return Array.from({ length: 2 + draw(3) }, () => SYLLABLES[draw(SYLLABLES.length)]).join("");
}

function source(size: number, words: readonly string[], draw: Draw): string {
  // The product of two draws makes some words common and most rare.
  const word = (): string => words[Math.floor(draw(words.length) * draw(1_000) / 1_000)]!;
  const lines: readonly (() => string)[] = [
    () => `import { ${word()}, ${word()} } from "./${word()}.ts";\n`,
    () => `export function ${word()}(${word()}: string, ${word()}: number): ${word()} {\n`,
    () => `  const ${word()} = await ${word()}.${word()}(${word()}, ${draw(1_000)});\n`,
    () => `  if (${word()} === undefined) throw new Error("Cannot ${word()} ${word()}: ${word()}");\n`,
    () => `  return { ...${word()}, ${word()}: ${word()}[${draw(64)}] };\n`,
    () => `}\n\n`,
    () => `/** ${word()} ${word()} ${word()} the ${word()} of ${word()}, ${word()} and ${word()}. */\n`,
    () => `  for (const ${word()} of ${word()}) ${word()}.push(${word()} + ${draw(100_000)});\n`,
  ];
  let text = "";
  while (text.length < size) text += lines[draw(lines.length)]!();
  return text.slice(0, size);
}

function records(size: number, noise: (size: number) => Uint8Array): Uint8Array {
  const bytes = noise(size);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0; at + 16 <= size / 2; at += 16) {
    view.setUint32(at, at / 16, true);
    view.setUint32(at + 4, 0x01020304, true);
    view.setUint32(at + 8, 0, true);
  }
  return bytes;
}
