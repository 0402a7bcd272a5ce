/**
 * A segmenter of text that is made when it is first used. `@optique/core` makes one when it is loaded, to lay out help, and the first thing
 * of `Intl` that a program makes takes 10 ms: a tenth of every start, which hardly any start needs. For the tasks' own process only.
 *
 * @module
 */
const { Segmenter } = Intl;

class LateSegmenter implements Intl.Segmenter {
  static readonly supportedLocalesOf = Segmenter.supportedLocalesOf;
  readonly #make: () => Intl.Segmenter;
  #made: Intl.Segmenter | undefined;

  constructor(...options: ConstructorParameters<typeof Segmenter>) {
    this.#make = () => new Segmenter(...options);
  }

  segment(input: string): Intl.Segments {
    return (this.#made ??= this.#make()).segment(input);
  }

  resolvedOptions(): Intl.ResolvedSegmenterOptions {
    return (this.#made ??= this.#make()).resolvedOptions();
  }
}

Object.defineProperty(Intl, "Segmenter", { value: LateSegmenter, writable: true, configurable: true });
