/** Encrypts again, slowly, until killed; says "ready" when it begins and "done" when all of it is. */
import { reencrypt, store } from "../../mod.ts";
import type { Store } from "../../mod.ts";
import { planOf } from "./support.ts";

const [target, recipient, identity] = Deno.args as [string, string, string];
const inner = store.directory(target);
const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));
// Slow, so that a kill meets it at work on any machine; its lock is the real one, which dies with it.
const slow: Store = {
  ...inner,
  put: (key, body, options) => pause().then(() => inner.put(key, body, options)),
  delete: (key) => pause().then(() => inner.delete(key)),
};
console.log("ready");
const { steps } = await reencrypt(planOf(".", slow, recipient, identity, false), {
  confirm: true,
});
console.log(steps.every(({ error }) => error === undefined) ? "done" : "failed");
