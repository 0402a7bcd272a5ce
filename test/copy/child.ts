/**
 * Copies between two folders, and dies by SIGKILL in the middle of its `at`th write: SOURCE-TREE FROM TO AT. Ends with 0 when there were
 * fewer writes.
 */
import { copy, type Store, store } from "../../mod.ts";
import { hour } from "./scene.ts";
import { planOf } from "../engine/support.ts";
import { watch } from "../../src/bytes.ts";

const [tree, from, to, at] = Deno.args as [string, string, string, string];
const target = store.open(to);
let writes = 0;
const deadly: Store = {
  ...target,
  put: async (key, body, options) => {
    if (++writes < Number(at)) return await target.put(key, body, options);
    if (body instanceof ReadableStream) {
      let seen = 0;
      // After a part of the archive has gone up.
      await target.put(
        key,
        watch(body, (chunk) => (seen += chunk.length) > 3_000_000 ? die() : undefined),
        options,
      );
    }
    die();
  },
};

function die(): void {
  Deno.kill(Deno.pid, "SIGKILL");
}

await copy(planOf(tree, [store.open(from), deadly]), { to: [deadly], now: hour(9) });
