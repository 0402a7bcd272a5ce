/** `openpgp_run.ts encrypt|decrypt KEY FROM TO`: the stage alone, from a file to a file, as a process to measure. */
import { encrypt } from "../../mod.ts";
import { giveBack, takeBlock } from "../../src/blocks.ts";
import { toBytes } from "../../src/bytes.ts";
import type { Archive, Body, Sealed, U8 } from "../../src/stage.ts";
import { testContext } from "../support.ts";

const [verb, key, from, to] = Deno.args as [string, string, string, string];
const facts = (): ReturnType<Archive["facts"]> => ({ sources: [], stages: [] });

const body: Body = {
  read: () =>
    toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
      using file = Deno.openSync(from);
      for (;;) {
        const block = takeBlock(1024 * 1024);
        const size = file.readSync(block);
        if (size === null) return;
        yield block.subarray(0, size);
      }
    }),
};

async function stage(): Promise<Body> {
  if (verb === "encrypt") {
    const archive: Archive = { kind: "archive", suffix: ".tar", body, facts };
    const stage = encrypt.openpgp({ recipients: [Deno.readFileSync(key)] });
    return (await stage.run(archive, testContext())).body;
  }
  const sealed: Sealed = { kind: "sealed", suffix: ".tar.gpg", body, facts, signers: [] };
  const stage = encrypt.detect({ openpgp: { secretKey: () => Deno.readFileSync(key) } });
  return (await stage.undo(sealed, testContext())).body;
}

using file = Deno.createSync(to);
let writing = Promise.resolve();
async function write(chunk: U8): Promise<void> {
  for (let at = 0; at < chunk.length;) at += await file.write(chunk.subarray(at));
  giveBack(chunk);
}
// As a store does: one chunk is being written while the next is being made.
for await (const chunk of (await stage()).read()) {
  await writing;
  writing = write(chunk);
}
await writing;
