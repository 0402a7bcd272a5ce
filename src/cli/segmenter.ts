/**
 * A segmenter of text that is made when it is first used. `@optique/core` makes one when it is loaded, to lay out help, and the first thing
 * of `Intl` that a program makes takes 10 ms: a tenth of every start, which hardly any start needs. For the tasks' own process only.
 *
 * @module
 */
const { Segmenter } = Intl;

class LateSegmenter implements Intl.Segmenter {
  static readonly supportedLocalesOf = Segmenter.supportedLocalesOf;
  readonly #options: ConstructorParameters<typeof Segmenter>;
  #made: Intl.Segmenter | undefined;

  constructor(...options: ConstructorParameters<typeof Segmenter>) {
    this.#options = options;
  }

  get #real(): Intl.Segmenter {
    return this.#made ??= new Segmenter(...this.#options);
  }

  segment(input: string): Intl.Segments {
    return this.#real.segment(input);
  }

  resolvedOptions(): Intl.ResolvedSegmenterOptions {
    return this.#real.resolvedOptions();
  }
}

Object.defineProperty(Intl, "Segmenter", { value: LateSegmenter, writable: true, configurable: true });
