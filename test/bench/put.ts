/** One upload through a store, as a process of its own to be measured: FILE KEY, with the store's URL in STORE. */
import { toBytes } from "../../src/bytes.ts";
import type { U8 } from "../../src/stage.ts";
import { open } from "../../src/store/mod.ts";

const [path, key] = Deno.args as [string, string];
const body = toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
  using file = await Deno.open(path);
  for (;;) {
    const chunk = new Uint8Array(1024 * 1024);
    const size = await file.read(chunk);
    if (size === null) return;
    yield chunk.subarray(0, size);
  }
});
await open(Deno.env.get("STORE")!).put(key, body, { ifAbsent: true });
Deno.exit(0); // an idle connection would be kept for a while
