/** One backup of what has changed, killed when it has come to a certain point. */
import { archive, collect, compress, encrypt, pipeline, sign, type Store, store, upload } from "../../mod.ts";
import { backup } from "../../src/run.ts";
import { recipient } from "./child_key.ts";

const [src, index, folder, now, point] = Deno.args as [string, string, string, string, string];

/** A store during, before or after whose writing of a key with that ending the process dies. */
function dying(inner: Store): Store {
  const [when, ending] = point.split(" ");
  const die = (): void => Deno.kill(Deno.pid, "SIGKILL");
  return {
    ...inner,
    put: async (key, body, options) => {
      const here = key.endsWith(ending!);
      if (here && when === "before") die();
      if (here && when === "during" && body instanceof ReadableStream) {
        await body.getReader().read();
        die();
      }
      await inner.put(key, body, options);
      if (here && when === "after") die();
    },
  };
}

const plan = pipeline(collect.files({ app: src }, { since: "latest", indexDir: index, fullShare: 1000 }))
  .pipe(archive.tar())
  .pipe(compress.zstd())
  .pipe(encrypt.age({ recipients: [recipient] }))
  .pipe(sign.sha256())
  .pipe(upload({ name: "app", to: dying(store.directory(folder)) }));
await backup(plan, { now: new Date(Number(now)) });
