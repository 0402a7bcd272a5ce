/** Chains that compile. Checked by `deno check`; never run. */
import {
  archive,
  backup,
  collect,
  compress,
  encrypt,
  pipeline,
  prune,
  restore,
  sign,
  store,
  upload,
} from "@holdfast/backup";
import type { Archive, Bytes, Files, Pipeline, Sealed, Stage, Stored } from "@holdfast/backup";

const to = store.memory();

/** The whole sentence. */
export const full: Pipeline<void, Stored> = pipeline(collect.files("/srv/app"))
  .pipe(archive.tar())
  .pipe(compress.zstd())
  .pipe(encrypt.age({ recipients: ["age1..."] }))
  .pipe(sign.sha256())
  .pipe(upload({ name: "app", to }))
  .pipe(prune({ keepLast: 3 }));

/** Compression and signing are optional, clear text is said aloud. */
export const short: Pipeline<void, Stored> = pipeline(collect.files("/srv/app"))
  .pipe(archive.tar())
  .pipe(encrypt.plaintext())
  .pipe(upload({ name: "app", to: [to, store.memory()] }));

/** A chain is a stage. */
export const half: Pipeline<Files, Sealed> = pipeline(archive.tar()).pipe(encrypt.plaintext());
export const nested: Pipeline<void, Stored> = pipeline(collect.files("/srv/app")).pipe(half).pipe(
  upload({ name: "app", to }),
);

/** An optional stage keeps its noun. */
export function optional(small: boolean): Pipeline<void, Archive> {
  let chain = pipeline(collect.files("/srv/app")).pipe(archive.tar());
  if (small) chain = chain.pipe(compress.gzip());
  return chain;
}

/** A stage of one's own: an annotated object. */
export const shout: Stage<Archive, Archive> = {
  name: "shout",
  run: (input) => Promise.resolve({ ...input, body: { read: (): Bytes => input.body.read() } }),
  undo: (output) => Promise.resolve(output),
};
/** A generic factory fits wherever its noun fits. */
export function watching<T extends Archive | Sealed>(): Stage<T, T> {
  return {
    name: "watching",
    run: (value) => Promise.resolve(value),
    undo: (value) => Promise.resolve(value),
  };
}
export const own: Pipeline<void, Archive> = pipeline(collect.files("/srv/app")).pipe(archive.tar()).pipe(
  shout,
)
  .pipe(watching());

/** Both ways take the same plan. */
export async function both(): Promise<void> {
  await backup(full);
  await restore(full, { into: "/tmp/x" });
}
