/**
 * Libraries that most systems have, where the FFI permission has been granted: they do in half the time what Deno has a call for as
 * well. So they are never needed: whoever uses one has the other way too, and gets the same bytes. Nothing here ever asks for a permission.
 *
 * @module
 */

/** OpenSSL's libcrypto, 3 and 1.1.1, under the names that the loader knows. */
export const LIBCRYPTO: readonly string[] = ["libcrypto.so.3", "libcrypto.so.1.1"];

/** Where Debian, Fedora and others keep libraries: the paths that `--allow-ffi=PATH` may name. */
function folders(machine: string): readonly string[] {
  return [
    `/usr/lib/${machine}-linux-gnu`,
    `/lib/${machine}-linux-gnu`,
    "/usr/lib64",
    "/lib64",
    "/usr/lib",
    "/lib",
  ];
}

/** Kinds of systems whose libraries fit this Deno: Linux with glibc, on the machines that are tested. */
function machineOf(target: string): "x86_64" | "aarch64" | undefined {
  if (target === "x86_64-unknown-linux-gnu") return "x86_64";
  return target === "aarch64-unknown-linux-gnu" ? "aarch64" : undefined;
}

/** A library in use. */
export interface Held<S extends Deno.ForeignLibraryInterface> {
  /** Its functions. */
  readonly lib: Deno.StaticForeignLibraryInterface<S>;
  /** Says that none of them is called any more. May be called twice. */
  readonly release: () => void;
}

/**
 * The first of some libraries that is there, has all the functions and is found right: opened for whoever uses it first, closed with who
 * is left last. Undefined where the permission is not granted, on other systems, and where both glibc and musl are at home: a library of
 * the other kind must not be loaded.
 */
export function sharedNative<const S extends Deno.ForeignLibraryInterface>(
  names: readonly string[],
  symbols: S,
  isRight: (lib: Deno.StaticForeignLibraryInterface<S>) => boolean = () => true,
): () => Held<S> | undefined {
  let library: Deno.DynamicLibrary<S> | undefined;
  let users = 0;
  let isMissing = false;

  function release(): void {
    users--;
    if (users > 0) return;
    library?.close();
    library = undefined;
  }

  return () => {
    if (isMissing) return undefined;
    users++;
    library ??= openNative(names, symbols);
    if (!library || (users === 1 && !isRight(library.symbols))) {
      isMissing = true;
      release();
      return undefined;
    }
    let isHeld = true;
    return {
      lib: library.symbols,
      release: () => {
        if (isHeld) release();
        isHeld = false;
      },
    };
  };
}

function openNative<const S extends Deno.ForeignLibraryInterface>(
  names: readonly string[],
  symbols: S,
): Deno.DynamicLibrary<S> | undefined {
  const machine = machineOf(Deno.build.target);
  if (machine === undefined || mayHaveMusl(machine)) return undefined;
  for (const name of names) {
    const paths = folders(machine).map((folder) => `${folder}/${name}`).filter(isGranted);
    for (const path of isGranted() ? [name] : paths) {
      try {
        return Deno.dlopen(path, symbols);
      } catch { /* not there, or too old to have them all */ }
    }
  }
  return undefined;
}

/** Whether FFI is granted, in general or for one path. */
function isGranted(path?: string): boolean {
  const asked = path === undefined ? { name: "ffi" } as const : { name: "ffi", path } as const;
  return Deno.permissions.querySync(asked).state === "granted";
}

/** Where nobody may look, there may be one. */
function mayHaveMusl(machine: string): boolean {
  const path = `/lib/ld-musl-${machine}.so.1`;
  if (Deno.permissions.querySync({ name: "read", path }).state !== "granted") return true;
  try {
    Deno.lstatSync(path);
    return true;
  } catch (error) {
    return !(error instanceof Deno.errors.NotFound);
  }
}

/** What other threads work on: nothing here goes, whatever its owner does meanwhile. */
const held = new Set<Uint8Array>();

/** Waits for a call that runs on another thread, with the buffers it was given: Deno itself does not keep them. */
export async function holding<T>(buffers: readonly Uint8Array[], call: () => Promise<T>): Promise<T> {
  for (const buffer of buffers) held.add(buffer);
  try {
    return await call();
  } finally {
    for (const buffer of buffers) held.delete(buffer);
  }
}
