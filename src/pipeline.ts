/**
 * Joins stages both ways and names the one that failed. `pipeline(collect).pipe(archive)...` is a value: nothing runs until
 * `backup`, `restore` and their kin are called.
 *
 * @module
 */
import { labelled } from "./bytes.ts";
import type { Context, Part, Pipeline, Stage, Verb } from "./stage.ts";

/** Starts a chain with its first stage. */
export function pipeline<In, Out>(first: Stage<In, Out>): Pipeline<In, Out> {
  return chain(named(first), [first]);
}

function chain<In, Out>(stage: Stage<In, Out>, stages: readonly Part[]): Pipeline<In, Out> {
  return {
    ...stage,
    stages,
    pipe: (next) => {
      checkOrder(stages.at(-1), next);
      checkSecret(stages, next);
      return chain(join(stage, named(next)), [...stages, next]);
    },
  };
}

/** What may follow what; types say it first, but a plan may be loaded without being checked. */
const NEXT: Readonly<Record<Verb, readonly Verb[]>> = {
  collect: ["archive"],
  archive: ["compress", "encrypt"],
  compress: ["compress", "encrypt"],
  encrypt: ["sign", "upload"],
  sign: ["sign", "upload"],
  upload: ["prune"],
  prune: ["prune"],
};

/** Stages without a verb, and chains of several, say nothing of their order. */
function checkOrder(before: Part | undefined, next: Part): void {
  if (!before?.verb || !next.verb || NEXT[before.verb].includes(next.verb)) return;
  throw new TypeError(
    `Cannot put "${next.name}" (${next.verb}) after "${before.name}" (${before.verb}): after ${before.verb} comes ` +
      `${
        NEXT[before.verb].join(" or ")
      }. The order is collect, archive, compress, encrypt, sign, upload, prune`,
  );
}

/** Some things are never stored in the clear, whatever is asked. */
function checkSecret(stages: readonly Part[], next: Part): void {
  const secret = stages.find(({ secret }) => secret !== undefined)?.secret;
  if (secret === undefined || next.verb !== "encrypt" || next.name !== "plaintext") return;
  throw new TypeError(
    `Cannot store ${secret} in the clear: it is a secret. Put encrypt.age or encrypt.openpgp in its place`,
  );
}

function join<A, B, C>(first: Stage<A, B>, second: Stage<B, C>): Stage<A, C> {
  const seals = [...first.seals ?? [], ...second.seals ?? []];
  const shelf = second.shelf ?? first.shelf;
  return {
    name: `${first.name} | ${second.name}`,
    run: async (input, context) => second.run(await first.run(input, context), context),
    undo: async (output, context) => first.undo(await second.undo(output, context), context),
    shelf: shelf && seals.length > 0 ? { ...shelf, seals } : shelf,
    seals,
    retain: second.retain ?? first.retain,
    secret: first.secret ?? second.secret,
  };
}

/** A stage whose failures carry its name. Streams are lazy, so each stage labels what it returns as well. */
function named<In, Out>(stage: Stage<In, Out>): Stage<In, Out> {
  async function guard<T>(work: () => Promise<T>, context: Context): Promise<T> {
    try {
      context.signal.throwIfAborted();
      return await work();
    } catch (error) {
      throw labelled(stage.name, error);
    }
  }
  return {
    ...stage,
    run: (input, context) => guard(() => stage.run(input, context), context),
    undo: (output, context) => guard(() => stage.undo(output, context), context),
  };
}
