/**
 * Ways to hand the Pod API's data back: to the Pod API itself, as Prose 0.5 does, or into a file.
 *
 * @module
 */
import { randomBytes } from "node:crypto";
import { basename, dirname, join } from "node:path";
import { readAll, text } from "../../bytes.ts";
import { syncFolder } from "../../collect/staging.ts";
import { ExistsError, messageOf, NotFoundError } from "../../errors.ts";
import type { Bytes } from "../../stage.ts";
import { directory } from "../../store/mod.ts";

/** Takes the data back. */
export type PodApi = (tar: Bytes, signal: AbortSignal) => Promise<void>;

/** Where the Pod API listens, and who we are to it. */
export interface PodApiOptions {
  /** `http:` or `https:`, without a path: "http://127.0.0.1:8080". */
  readonly url: string;
  /** Gives the token that is sent as `x-prose-token`, when it is needed. Default: none is sent. */
  readonly token?: (() => string | Promise<string>) | undefined;
  /** How long it may take, in milliseconds. Default: 10 minutes. */
  readonly timeoutMs?: number | undefined;
}

/**
 * Sends the data to a Pod API (`PUT /v1/backups-internal/restore`, `application/x-tar`). Anything but a success is an error. Throws
 * TypeError for a URL that is none.
 */
export function podApiAt({ url, token, timeoutMs = 600_000 }: PodApiOptions): PodApi {
  const base = URL.parse(url);
  if (
    !base || !/^https?:$/.test(base.protocol) || base.username !== "" || base.password !== "" ||
    base.search !== ""
  ) {
    throw new TypeError(
      `Cannot use ${JSON.stringify(url)} as the Pod API: give a URL such as http://127.0.0.1:8080`,
    );
  }
  const target = new URL("/v1/backups-internal/restore", base);
  return async (tar, signal) => {
    const failed = (why: string, cause?: unknown): Error =>
      new Error(
        `The Pod API at ${base.origin} did not take its data back: ${why}. Everything else was taken back as well`,
        { cause },
      );
    let response: Response;
    try {
      const secret = await token?.();
      response = await fetch(target, {
        method: "PUT",
        body: tar,
        redirect: "error",
        headers: {
          "content-type": "application/x-tar",
          ...(secret === undefined ? {} : { "x-prose-token": secret }),
        },
        signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
      });
    } catch (cause) {
      throw failed(messageOf(cause), cause);
    }
    const said = await readAll(response.body as Bytes | null ?? new Blob().stream() as Bytes, 65_536)
      .then((bytes) => new TextDecoder().decode(bytes), () => "");
    if (!response.ok) {
      throw failed(`${response.status} ${said.slice(0, 200).replaceAll(/[^\x20-\x7e]/g, " ")}`);
    }
  };
}

/** Writes the data into a new file, readable by its owner only, which appears once it is whole, and is on the disk before this ends. */
export function podApiFile(path: string): PodApi {
  return async (tar, signal) => {
    const part = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString("hex")}.part`);
    try {
      await Deno.writeFile(part, tar, { createNew: true, mode: 0o600, signal });
      {
        using file = await Deno.open(part, { write: true });
        await file.sync();
      }
      await Deno.link(part, path);
      syncFolder(dirname(path)); // what it replaces goes now
    } catch (cause) {
      if (cause instanceof Deno.errors.AlreadyExists) {
        throw exists(path, cause);
      }
      throw new Error(`Cannot write the Pod API's data to "${path}": ${messageOf(cause)}`, { cause });
    } finally {
      await Deno.remove(part).catch(() => {});
    }
  };
}

/** Throws when {@linkcode podApiFile} could not make that file now: it exists, or its folder does not. */
export async function checkNew(path: string): Promise<void> {
  const there = (at: string): Promise<Deno.FileInfo | undefined> =>
    Deno.lstat(at).catch((error) => {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    });
  if (await there(path)) throw exists(path);
  if (await there(dirname(path))) return;
  throw new NotFoundError(
    `Cannot write the Pod API's data to "${path}": there is no folder "${
      dirname(path)
    }". Make it, or name another file`,
  );
}

function exists(path: string, cause?: unknown): ExistsError {
  return new ExistsError(`Cannot write the Pod API's data: "${path}" exists. Name another file`, { cause });
}

/** The bytes of a file. Throws NotFoundError. */
export async function fileBytes(path: string): Promise<Bytes> {
  return await directory(dirname(path)).get(basename(path));
}

/** A token from a file's first line. Throws when there is none. */
export async function tokenFrom(path: string): Promise<string> {
  const token = text(await readAll(await fileBytes(path), 65_536, `"${path}"`)).split("\n", 1)[0]!.trim();
  if (!/^[\x21-\x7e]{16,}$/.test(token)) {
    throw new Error(
      `Cannot use the token in "${path}": its first line must be at least 16 characters without spaces`,
    );
  }
  return token;
}
