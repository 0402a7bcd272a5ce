/** Becomes an ordinary user (65534), then restores: `restore_as_user.ts TAR INTO`. Prints the warnings as JSON. */
import { readTar } from "../../src/archive/read.ts";
import { extract } from "../../src/collect/extract.ts";
import { everything } from "../../src/context.ts";
import type { Bytes } from "../../src/stage.ts";
import { type Seen, testContext } from "../support.ts";

const [tar, into] = Deno.args;
const seen: Seen = { warnings: [], infos: [] };
const context = testContext({ want: { into: into! }, seen });
const libc = Deno.dlopen("libc.so.6", {
  setgroups: { parameters: ["usize", "pointer"], result: "i32" },
  setgid: { parameters: ["u32"], result: "i32" },
  setuid: { parameters: ["u32"], result: "i32" },
}) as unknown as { symbols: Record<string, (...of: unknown[]) => number>; close: () => void };
const { setgroups, setgid, setuid } = libc.symbols;
if (setgroups!(0n, null) + setgid!(65534) + setuid!(65534) !== 0) {
  throw new Error("Cannot become another user");
}
libc.close();
await extract(
  {
    kind: "files",
    entries: () => readTar(Deno.openSync(tar!).readable as Bytes, everything.limits),
    facts: () => ({ sources: [], stages: [] }),
  },
  context,
);
await Deno.stdout.write(new TextEncoder().encode(JSON.stringify(seen.warnings)));
