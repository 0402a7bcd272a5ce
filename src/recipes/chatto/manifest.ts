/**
 * Chatto's manifest: what an archive says it holds.
 *
 * @module
 */
import { utf8 } from "../../bytes.ts";
import { IntegrityError, messageOf } from "../../errors.ts";
import type { U8 } from "../../stage.ts";
import {
  type Exact,
  exactNumber,
  isObject,
  listAt,
  parseExact,
  textAt,
  writeExact,
} from "../../nats/exact.ts";
import type { Tally } from "../../collect/jetstream/read.ts";
import { isStreamName, kindOfStream } from "../../collect/jetstream/streams.ts";

/** The manifest of what has been read, as Chatto's reader wants it: two blanks, 64-bit numbers as plain integers. */
export function writeManifest({ cuts, skipped, failures }: Tally, started: Date, ended: Date): U8 {
  const bytes = cuts.reduce((sum, cut) => sum + cut.bytes, 0);
  const none = { messages: exactNumber(0), bytes: exactNumber(0) };
  const streams: Exact[] = [
    ...cuts.map(({ name, kind, messages, bytes }) => ({
      name,
      type: kind,
      messages: exactNumber(BigInt(messages)),
      bytes: exactNumber(bytes),
    })),
    ...skipped.map(({ name }) => ({ name, type: "skipped", ...none })),
    ...failures.map(({ name, error }) => ({
      name,
      type: kindOfStream(name),
      ...none,
      error: messageOf(error),
    })),
  ];
  return utf8(writeExact({
    version: exactNumber(1),
    created_at: started.toISOString(),
    streams,
    stats: {
      total_streams: exactNumber(cuts.length),
      total_bytes: exactNumber(bytes),
      duration_ms: exactNumber(ended.getTime() - started.getTime()),
      skipped: exactNumber(skipped.length),
      failed: exactNumber(failures.length),
    },
  }, 2));
}

/** Names of the streams that an archive holds by its manifest. Throws {@linkcode IntegrityError}. */
export function readManifest(text: string): readonly string[] {
  const fail = (why: string): never => {
    throw new IntegrityError(`Cannot restore: the archive's manifest.json ${why}. Restore another backup`);
  };
  let streams: readonly Exact[] = [];
  try {
    const manifest = parseExact(text);
    const version = writeExact(manifest.version ?? null);
    if (version !== "1") fail(`has version ${version}, this program knows version 1`);
    streams = listAt(manifest, "streams");
  } catch (cause) {
    if (cause instanceof IntegrityError) throw cause;
    fail(`is not what Chatto writes: ${messageOf(cause)}`);
  }
  const names = new Set<string>();
  const held: string[] = [];
  for (const stream of streams) {
    const name = isObject(stream) ? textAt(stream, "name") : "";
    if (!isStreamName(name)) fail(`names a stream ${JSON.stringify(name)}, which is no stream's name`);
    if (names.has(name)) fail(`names the stream "${name}" twice`);
    names.add(name);
    const { type, error } = stream as { type?: Exact; error?: Exact };
    if (type !== "skipped" && (error === undefined || error === "")) held.push(name);
  }
  return held;
}
