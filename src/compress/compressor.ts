/**
 * What both stages are made of: blocks of one size, each packed on its own, in order; and the way back.
 *
 * @module
 */
import { emptyShelves } from "../blocks.ts";
import { label } from "../bytes.ts";
import type { Archive, Bytes, FactSheet, Stage, StageFact, U8 } from "../stage.ts";
import { expand } from "./expand.ts";
import { inOrder, type SourceReader, through, type Unit } from "./flow.ts";
import { createInput } from "./input.ts";
import { createPack, type Pack } from "./pack.ts";
import type { PoolOptions } from "./pool.ts";
import { openRanges } from "./ranges.ts";
import type { TableBuilder } from "./seekable.ts";

/** Blocks under way for each worker: one it works on and one that waits, so that no worker does. */
const BLOCKS_PER_WORKER = 2;

/** How one tool packs. */
export interface Recipe {
  /** The tool's name, which is the stage's and the job's. */
  readonly tool: "zstd" | "gzip";
  /** What is added to the file name. */
  readonly suffix: string;
  /** Compression level. */
  readonly level: number;
  /** Content of one block in bytes. */
  readonly blockBytes: number;
  /** Options as the receipt records them. */
  readonly options: NonNullable<StageFact["options"]>;
  /** Takes the sizes of every packed block and makes what follows the last one. */
  readonly trailer?: (() => TableBuilder) | undefined;
  /** The workers. */
  readonly pool: PoolOptions;
}

/** Checks a level when the stage is made. Throws TypeError or RangeError. */
export function checkLevel(tool: string, level: number, most: number): void {
  if (typeof level !== "number") {
    throw new TypeError(`Cannot make ${tool}(): level must be a number, not ${typeof level}`);
  }
  if (!Number.isInteger(level) || level < 1 || level > most) {
    throw new RangeError(`Cannot make ${tool}(): level ${level} is not a whole number from 1 to ${most}`);
  }
}

/** The stage of a recipe. */
export function compressor(recipe: Recipe): Stage<Archive, Archive> {
  const { tool, suffix, options } = recipe;
  const fact: StageFact = { verb: "compress", tool, options };
  return {
    name: tool,
    verb: "compress",
    run: (input) =>
      Promise.resolve({
        ...input,
        suffix: input.suffix + suffix,
        body: { read: () => label(tool, pack(recipe, input.body.read)) },
        facts: () => withStage(input.facts(), fact),
      }),
    undo: (output, { want }) => {
      const what = output.proof ? `"${output.proof.id}"` : "the archive";
      // Asked for when the bytes are read: facts may be known only then.
      const body = (): Bytes =>
        expand(output.body, { limits: want.limits, what, table: isSeekable(output), pool: recipe.pool })
          .read();
      return Promise.resolve({
        ...output,
        suffix: output.suffix.replace(/\.(?:zst|gz)$/, ""),
        body: {
          read: () => label(tool, body()),
          ...(output.body.open ? { open: () => openRanges(output.body.open!, tool, what) } : {}),
        },
      });
    },
  };
}

function withStage(facts: FactSheet, fact: StageFact): FactSheet {
  return { ...facts, stages: [...facts.stages, fact] };
}

/** Whether the receipt says that the object was written in seekable frames. */
function isSeekable(output: Archive): boolean {
  try {
    return output.facts().stages.some(({ tool, options }) =>
      tool === "zstd" && options?.["frameBytes"] !== undefined
    );
  } catch {
    // No receipt, no facts: a foreign object, judged by itself.
    return false;
  }
}

function pack(recipe: Recipe, open: () => Bytes): Bytes {
  return through(open, async function* (source): AsyncGenerator<U8> {
    const packer = createPack(recipe.tool, recipe.level, recipe.pool);
    const trailer = recipe.trailer?.();
    const sizes: number[] = [];
    try {
      const room = Math.max(1, BLOCKS_PER_WORKER * packer.width) * recipe.blockBytes;
      for await (const bytes of inOrder(blocks(recipe, source, packer, sizes), room, source)) {
        trailer?.add(bytes.length, sizes.shift()!);
        yield bytes;
      }
      if (trailer) yield trailer.end();
    } finally {
      await packer.close();
      emptyShelves();
    }
  });
}

/** The blocks of the source on their way through the packer, and their sizes; an empty source is one empty block. */
async function* blocks(
  recipe: Recipe,
  source: SourceReader,
  packer: Pack,
  sizes: number[],
): AsyncGenerator<Unit> {
  const input = createInput(source);
  for (let count = 0;; count++) {
    const from = performance.now();
    const block = await input.block(recipe.blockBytes);
    const madeMs = performance.now() - from;
    const size = block.length;
    if (size > 0 || count === 0) {
      sizes.push(size);
      yield { weight: recipe.blockBytes, bytes: packer.pack(block, madeMs) };
    }
    if (size < recipe.blockBytes) return packer.hurry();
  }
}
