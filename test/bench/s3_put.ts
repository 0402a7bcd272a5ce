/** One upload through the S3 store, as a process of its own to be measured: FILE KEY, with the endpoint in S3_ENDPOINT. */
import { s3 } from "../../src/store/s3.ts";
import { toBytes } from "../../src/bytes.ts";
import type { U8 } from "../../src/stage.ts";

const [path, key] = Deno.args as [string, string];
const store = s3({ bucket: "backups", endpoint: Deno.env.get("S3_ENDPOINT")! });
const body = toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
  using file = await Deno.open(path);
  for (;;) {
    const chunk = new Uint8Array(1024 * 1024);
    const size = await file.read(chunk);
    if (size === null) return;
    yield chunk.subarray(0, size);
  }
});
await store.put(key, body, { ifAbsent: true });
