/**
 * Stores whose working parts are loaded with the first call: a command that uses one store does not wait for all of them.
 *
 * @module
 */

/** The named methods of what `load` gives, which is called once, by the first of them. `list` is a generator, all others promise. */
export function later<S extends object, K extends keyof S & string>(
  load: () => Promise<S>,
  methods: readonly K[],
): Pick<S, K> {
  type Method = (...args: readonly unknown[]) => unknown;
  let loading: Promise<Record<string, Method>> | undefined;
  const loaded = (): Promise<Record<string, Method>> =>
    loading ??= load() as Promise<object> as Promise<Record<string, Method>>;
  const made = methods.map((name): [K, Method] => [
    name,
    name === "list"
      ? async function* (...args): AsyncGenerator<unknown, void, undefined> {
        yield* (await loaded())[name]!(...args) as AsyncIterable<unknown>;
      }
      : async (...args) => await (await loaded())[name]!(...args),
  ]);
  return Object.fromEntries(made) as unknown as Pick<S, K>;
}
