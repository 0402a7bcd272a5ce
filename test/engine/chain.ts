/** The usual chain over any collector. */
import { archive, compress, encrypt, pipeline, sign, upload } from "../../mod.ts";
import type { Files, Stage, Store } from "../../mod.ts";
import type { Plan } from "../../src/find.ts";
import { identity, recipient } from "./support.ts";

/** Tar, zstd, age, sha256 from `source` to `to`. */
export function chain(source: Stage<void, Files>, to: Store | readonly Store[], name = "app"): Plan {
  return pipeline(source)
    .pipe(archive.tar())
    .pipe(compress.zstd({ level: 1 }))
    .pipe(encrypt.age({ recipients: [recipient], identities: () => identity }))
    .pipe(sign.sha256())
    .pipe(upload({ name, to }));
}
