/** What the benchmark's corpora are made of, drawn from a seed. */

/** Whole numbers from 0 to below a limit (mulberry32). */
export type Draw = (below: number) => number;

/** Draws from a seed: the same ones everywhere. */
export function draws(seed: number): Draw {
  let state = seed | 0;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let x = Math.imul(state ^ (state >>> 15), 1 | state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) % below;
  };
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

/** A line of an application's log. */
export function logLine(time: number, draw: Draw): string {
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

const SYLLABLES =
  "ad al ar be ca co da de en er fi fo ge ha in is ke la li lo ma me mi na ne no or pa ra re ri sa se si so ta te ti to un ve wo"
    .split(" ");

/** A word as programs use them. */
export function identifier(draw: Draw): string {
  return Array.from({ length: 2 + draw(3) }, () => SYLLABLES[draw(SYLLABLES.length)]).join("");
}

/** Text that looks like source code. */
export function source(size: number, words: readonly string[], draw: Draw): string {
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

/** Half records that count up, half noise. */
export function records(size: number, noise: (size: number) => Uint8Array): Uint8Array {
  const bytes = noise(size);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0; at + 16 <= size / 2; at += 16) {
    view.setUint32(at, at / 16, true);
    view.setUint32(at + 4, 0x01020304, true);
    view.setUint32(at + 8, 0, true);
  }
  return bytes;
}
