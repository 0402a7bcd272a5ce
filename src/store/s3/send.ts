/**
 * Sends one part of an upload, or a whole small object, with its SHA-256: signed, and checked by the server. What the server keeps
 * beside a part is a CRC-32: a second SHA-256 takes a server such as MinIO a tenth of the upload's processor time.
 *
 * @module
 */
import { Readable } from "node:stream";
import { Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import type { FileHandle } from "node:fs/promises";
import type * as Sdk from "@aws-sdk/client-s3";
import type { U8 } from "../../stage.ts";
import { configOf } from "./client.ts";
import type { Settings } from "./options.ts";
import type { Part } from "./parts.ts";

/** A command's middleware, as far as it is needed here. */
interface Command {
  readonly middlewareStack: {
    readonly add: (
      // deno-lint-ignore no-explicit-any -- the SDK's middleware is typed by command; this one fits all
      middleware: (next: (args: any) => Promise<any>) => (args: any) => Promise<any>,
      options: { readonly step: "build"; readonly name: string },
    ) => void;
  };
}

/** Hands the digest to the signer, which else would read the body once more. */
export function signed<C extends Command>(command: C, sha256: Uint8Array): C {
  command.middlewareStack.add((next) => (args) => {
    args.request.headers["x-amz-content-sha256"] = sha256.toHex();
    return next(args);
  }, { step: "build", name: "holdfastContentSha256" });
  return command;
}

/**
 * A client for parts. They go through node:http: fetch copies a body before it sends it (100 MiB more at the peak), and sends a
 * stream without its length, which S3 refuses. A connection for each part: with TLS, Deno 2.9's node:https stalls on kept ones (tried:
 * 40 s for what takes 4). Made when the first part is there.
 */
export function partClient(settings: Settings, sdk: typeof Sdk): Sdk.S3Client {
  const handler = {
    httpAgent: new HttpAgent({ keepAlive: false }),
    httpsAgent: new HttpsAgent({
      keepAlive: false,
      ...(settings.ca === undefined ? {} : { ca: settings.ca }),
    }),
    requestTimeout: 0,
    socketTimeout: settings.stallMs,
    throwOnRequestTimeout: true,
  };
  return new sdk.S3Client(configOf(settings, handler));
}

/** A part's content as the SDK sends it; made anew for each attempt. */
export function bodyOf(part: Part): U8 | Readable {
  if (part.content instanceof Uint8Array) return part.content;
  return Readable.from(readFile(part.content, part.bytes), { objectMode: false, highWaterMark: 1024 * 1024 });
}

async function* readFile(file: FileHandle, bytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes;) {
    const chunk = new Uint8Array(Math.min(1024 * 1024, bytes - at));
    const { bytesRead } = await file.read(chunk, 0, chunk.length, at);
    if (bytesRead === 0) throw new Error(`The temporary file of a part ends at byte ${at} of ${bytes}`);
    at += bytesRead;
    yield chunk.subarray(0, bytesRead);
  }
}
