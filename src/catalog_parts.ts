/**
 * The objects of one backup, in little memory: a shelf may hold a hundred thousand backups of six objects each.
 *
 * @module
 */
import type { StoreItem } from "./stage.ts";

/** Each suffix once: a part of a key would keep the whole key alive. */
const suffixes = new Map<string, string>();
/** The suffixes that go together are few: most backups of a shelf have the same ones. */
const shapes = new Map<string, readonly string[]>();
/** Names are the store's to choose, memory is ours. */
const MOST = 1000;

/** A backup's objects while they are listed. */
export interface Listed {
  /** From its name. */
  readonly time: Date;
  /** One for each object, in the order of the listing. */
  readonly suffixes: string[];
  /** Their lengths. */
  readonly bytes: number[];
  /** When they were written, in milliseconds since 1970. */
  readonly modified: number[];
}

/** Notes an object of a backup. */
export function note(listed: Listed, suffix: string, { bytes, modified }: StoreItem): void {
  if (suffixes.size > MOST) suffixes.clear();
  if (!suffixes.has(suffix)) suffixes.set(suffix, new TextDecoder().decode(new TextEncoder().encode(suffix)));
  listed.suffixes.push(suffixes.get(suffix)!);
  listed.bytes.push(bytes);
  listed.modified.push(modified.getTime());
}

/** Packs what was listed of a backup, by suffix. */
export function packParts(id: string, listed: Listed): ReadonlyMap<string, StoreItem> {
  const name = listed.suffixes.join("/");
  if (shapes.size > MOST) shapes.clear();
  const shape = shapes.get(name) ?? [...listed.suffixes];
  shapes.set(name, shape);
  return new Packed(id, shape, listed.bytes.concat(listed.modified));
}

/** A map that makes its values when they are asked for. A class, for its methods are shared by all. */
class Packed implements ReadonlyMap<string, StoreItem> {
  readonly #id: string;
  readonly #suffixes: readonly string[];
  readonly #numbers: readonly number[];

  constructor(id: string, suffixes: readonly string[], numbers: readonly number[]) {
    this.#id = id;
    this.#suffixes = suffixes;
    this.#numbers = numbers;
  }

  get size(): number {
    return this.#suffixes.length;
  }

  has(suffix: string): boolean {
    return this.#suffixes.includes(suffix);
  }

  get(suffix: string): StoreItem | undefined {
    const i = this.#suffixes.indexOf(suffix);
    if (i < 0) return undefined;
    const modified = new Date(this.#numbers[this.size + i]!);
    return { key: this.#id + suffix, bytes: this.#numbers[i]!, modified };
  }

  keys(): MapIterator<string> {
    return this.#suffixes.values() as MapIterator<string>;
  }

  *values(): MapIterator<StoreItem> {
    for (const suffix of this.#suffixes) yield this.get(suffix)!;
  }

  *entries(): MapIterator<[string, StoreItem]> {
    for (const suffix of this.#suffixes) yield [suffix, this.get(suffix)!];
  }

  [Symbol.iterator](): MapIterator<[string, StoreItem]> {
    return this.entries();
  }

  forEach(see: (item: StoreItem, suffix: string, map: ReadonlyMap<string, StoreItem>) => void): void {
    for (const [suffix, item] of this) see(item, suffix, this);
  }
}
