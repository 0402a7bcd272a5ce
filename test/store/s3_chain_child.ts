/** A process without keys of its own: ENDPOINT KEY MIB. Uploads at 4 MiB a second, reads back, and says how it went. */
import { messageOf } from "../../src/errors.ts";
import { s3 } from "../../src/store/s3.ts";
import { bytesOf } from "../contract/store.ts";
import { inChunks, noise } from "../support.ts";

const [endpoint, key, mib] = Deno.args as [string, string, string];
const store = s3({
  bucket: "backups",
  endpoint,
  partBytes: 5 * 1024 * 1024,
  uploadBytesPerSecond: 4 * 1024 * 1024,
  retries: 2,
});
const body = noise(Number(mib) * 1024 * 1024, 5);
try {
  await store.put(key, inChunks(body, 1024 * 1024), { ifAbsent: true });
  const back = await bytesOf(store, key);
  console.log(
    back.length === body.length && back.every((byte, i) => byte === body[i]) ? "whole" : "other bytes",
  );
} catch (error) {
  console.log(messageOf(error));
}
