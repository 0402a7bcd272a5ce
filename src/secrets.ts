/**
 * Asking for secrets: they are functions, called when they are needed.
 *
 * @module
 */
import { ConfigError, KeyError, messageOf } from "./errors.ts";

/** Calls a secret's function. What it throws becomes a {@linkcode KeyError}; a {@linkcode ConfigError} and a cancellation stand. */
export async function askSecret<T>(secret: () => T | Promise<T>, name: string): Promise<T> {
  try {
    return await secret();
  } catch (cause) {
    const cancelled = cause instanceof DOMException && cause.name === "AbortError";
    if (cancelled || cause instanceof KeyError || cause instanceof ConfigError) throw cause;
    throw new KeyError(`Cannot read ${name}: ${messageOf(cause)}`, { cause });
  }
}

/** Throws TypeError unless each option that is given is a function. */
export function checkFunctions(options: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(options)) {
    if (value !== undefined && typeof value !== "function") {
      throw new TypeError(
        `Cannot use "${name}": it must be a function that gives the secret when it is needed`,
      );
    }
  }
}
