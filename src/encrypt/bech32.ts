/**
 * Bech32 (BIP 173) without its limit of 90 characters: the texts of age's keys.
 *
 * @module
 */
import type { U8 } from "../stage.ts";

const ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
const GENERATOR = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3];
const CHECKSUM = 6;

/** The prefix, in lower case, and the bytes of a text; undefined when it has mixed case, a wrong checksum or odd bits at its end. */
export function decodeBech32(text: string): { readonly prefix: string; readonly bytes: U8 } | undefined {
  const lower = text.toLowerCase();
  if (text !== lower && text !== text.toUpperCase()) return undefined;
  const split = lower.lastIndexOf("1");
  const prefix = lower.slice(0, split);
  const words = Array.from(lower.slice(split + 1), (letter) => ALPHABET.indexOf(letter));
  if (split < 1 || words.length < CHECKSUM || words.includes(-1)) return undefined;
  if (polymod([...expanded(prefix), ...words]) !== 1) return undefined;
  const { groups, rest, restBits } = regroup(words.slice(0, -CHECKSUM), 5, 8);
  return restBits >= 5 || rest !== 0 ? undefined : { prefix, bytes: Uint8Array.from(groups) };
}

/** The text, in lower case. */
export function encodeBech32(prefix: string, bytes: Uint8Array): string {
  const { groups, rest, restBits } = regroup([...bytes], 8, 5);
  const words = restBits > 0 ? [...groups, rest << (5 - restBits)] : groups;
  const sum = polymod([...expanded(prefix), ...words, 0, 0, 0, 0, 0, 0]) ^ 1;
  for (let i = CHECKSUM - 1; i >= 0; i--) words.push((sum >>> (5 * i)) & 31);
  return `${prefix}1${words.map((word) => ALPHABET[word]).join("")}`;
}

/** Numbers of `from` bits each as numbers of `to` bits, and the bits that are left over. */
function regroup(
  numbers: readonly number[],
  from: number,
  to: number,
): { groups: number[]; rest: number; restBits: number } {
  const groups: number[] = [];
  let rest = 0;
  let restBits = 0;
  for (const number of numbers) {
    rest = (rest << from) | number;
    restBits += from;
    while (restBits >= to) {
      restBits -= to;
      groups.push(rest >>> restBits);
      rest &= (1 << restBits) - 1;
    }
  }
  return { groups, rest, restBits };
}

function expanded(prefix: string): number[] {
  const codes = Array.from(prefix, (letter) => letter.charCodeAt(0));
  return [...codes.map((code) => code >> 5), 0, ...codes.map((code) => code & 31)];
}

function polymod(words: readonly number[]): number {
  let sum = 1;
  for (const word of words) {
    const top = sum >>> 25;
    sum = ((sum & 0x1ffffff) << 5) ^ word;
    GENERATOR.forEach((part, i) => {
      if ((top >>> i) & 1) sum ^= part;
    });
  }
  return sum >>> 0;
}
