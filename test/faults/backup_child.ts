/** One backup after another until killed; says "ready" when the first begins, and each id when it is done. */
import { backup, store } from "../../mod.ts";
import { planOf } from "../engine/support.ts";

const [source, target, from] = Deno.args as [string, string, string];
const plan = planOf(source, store.directory(target));
console.log("ready");
for (let n = 0;; n++) console.log((await backup(plan, { now: new Date(Number(from) + n * 1000) })).id);
