/**
 * ASCII armor (C2SP age, "ASCII armor"): a strict subset of PEM, streamed.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { IntegrityError } from "../errors.ts";
import type { U8 } from "../stage.ts";
import { type Intake, intake } from "./intake.ts";

const BEGIN = "-----BEGIN AGE ENCRYPTED FILE-----";
const END = "-----END AGE ENCRYPTED FILE-----";
const LINE = 48;
const COLUMNS = 64;
/** Bytes read at a time. */
const STEP = 64 * 1024;
/** White space allowed around the armor, as in the age command. */
const MARGIN = 1024;

/** How many leading bytes {@linkcode isArmored} needs to see. */
export const ARMOR_HEAD: number = MARGIN + BEGIN.length;

/** Whether text starts as armor, after white space. */
export function isArmored(head: U8): boolean {
  return trimStart(ascii(head)).startsWith(BEGIN);
}

/** Wraps bytes in armor, with a final newline. */
export async function* armored(
  source: AsyncIterable<U8>,
): AsyncGenerator<U8, void, undefined> {
  const input = intake(source);
  try {
    yield bytesOf(`${BEGIN}\n`);
    while (await input.more()) {
      const block = await input.take(LINE * 8192);
      const base64 = Buffer.from(block.buffer, block.byteOffset, block.length).toString("base64");
      yield bytesOf(base64.replace(/.{1,64}/g, "$&\n"));
    }
    yield bytesOf(`${END}\n`);
  } finally {
    await input.close();
  }
}

/** Takes the armor off. Throws {@linkcode IntegrityError} on anything the strict grammar does not have. Closes the source. */
export async function* dearmored(source: Intake, what: string): AsyncGenerator<U8, void, undefined> {
  const bad = (why: string): IntegrityError =>
    new IntegrityError(`Cannot read the armor of ${what}: ${why}. Restore another copy or an older backup`);
  try {
    let text = await begin(source, bad);
    let short = false;
    for (;;) {
      const step = await source.take(STEP);
      text += ascii(step);
      const lines = text.split("\n");
      // The last piece has no newline yet, unless the file ends here.
      text = step.length > 0 ? lines.pop()! : "";
      const end = lines.findIndex((line) => trimCr(line) === END);
      const body = (end < 0 ? lines : lines.slice(0, end)).map(trimCr);
      if (body.length > 0 && short) throw bad("a short line stands before its end");
      if (body.length > 0) {
        yield decode(body, bad);
        short = body.at(-1)!.length < COLUMNS;
      }
      if (end >= 0) {
        const tail = step.length > 0 ? [...lines.slice(end + 1), text] : lines.slice(end + 1);
        return await margin(tail.join("\n"), source, bad);
      }
      if (step.length === 0) throw bad("it is cut short, its END line is missing");
      if (text.length > COLUMNS + 1) throw bad("a line is longer than 64 characters");
    }
  } finally {
    await source.close();
  }
}

type Bad = (why: string) => IntegrityError;

/** Takes the BEGIN line, gives what was read after it. */
async function begin(source: Intake, bad: Bad): Promise<string> {
  const head = trimStart(ascii(await source.take(ARMOR_HEAD + 2)));
  const match = /^-----BEGIN AGE ENCRYPTED FILE-----\r?\n/.exec(head);
  if (!match) throw bad("its first line is not the BEGIN line");
  return head.slice(match[0].length);
}

function decode(lines: readonly string[], bad: Bad): U8 {
  for (let i = 0; i < lines.length - 1; i++) {
    if (lines[i]!.length !== COLUMNS) throw bad("a line is not 64 characters long");
  }
  const last = lines.at(-1)!.length;
  if (last === 0 || last > COLUMNS) throw bad("its last line is empty or longer than 64 characters");
  const text = lines.join("");
  const bytes = new Uint8Array(Buffer.from(text, "base64"));
  // Node's decoder forgives nearly everything; canonical base64 is what encodes back to itself.
  if (Buffer.from(bytes.buffer).toString("base64") !== text) throw bad("a line is not canonical base64");
  return bytes;
}

/** Reads to the end and accepts nothing but a little white space. */
async function margin(after: string, source: Intake, bad: Bad): Promise<void> {
  const rest = after + ascii(await source.take(MARGIN + 1));
  if (trimStart(rest) !== "") throw bad("something follows its end");
  if (rest.length > MARGIN) throw bad("more than 1024 characters of white space follow its end");
}

function trimStart(text: string): string {
  return text.replace(/^[ \t\r\n]+/, "");
}

function trimCr(line: string): string {
  return line.endsWith("\r") ? line.slice(0, -1) : line;
}

function ascii(bytes: U8): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
}

function bytesOf(text: string): U8 {
  return new Uint8Array(Buffer.from(text, "latin1"));
}
