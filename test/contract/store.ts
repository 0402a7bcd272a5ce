/** The contract of every store as tests: `src/store/contract/` holds the sentences. A new store is tested by one call of `testStore`. */
import { type ContractOptions, type Place, sentences } from "../../src/store/contract/mod.ts";

export { bytesOf, keysOf } from "../../src/store/contract/mod.ts";

/** A store to test. */
export interface Fixture extends Place {
  /** Removes everything. */
  readonly close: () => Promise<void>;
}

/** Options of {@linkcode testStore}. */
export interface TestOptions extends ContractOptions {
  /** Sentences that this kind of store cannot keep, and says so. */
  readonly except?: RegExp | undefined;
}

/** Registers the contract's tests for a store. */
export function testStore(name: string, make: () => Promise<Fixture>, options: TestOptions = {}): void {
  for (const { text, run } of sentences(options)) {
    if (options.except?.test(text)) continue;
    Deno.test({
      name: `${name} ${text}`,
      sanitizeResources: true, // a file left open is a failure
      sanitizeOps: true,
      fn: async () => {
        const fixture = await make();
        try {
          await run(fixture);
        } finally {
          await fixture.close();
        }
      },
    });
  }
}
