/** Every sentence of the contract, on two servers that have nothing in common. */
import { existsSync } from "node:fs";
import { testStore } from "../contract/store.ts";
import { hasTool, judged } from "../support.ts";
import { type Kind, relay, startServer, storeOn, toolPath, uniqueName } from "./s3_server.ts";

for (const kind of ["minio", "versitygw"] as const) {
  if (hasTool(toolPath(kind)) || existsSync(toolPath(kind))) await register(kind);
  else judged(`s3() on ${kind} keeps the contract`, [toolPath(kind)], () => {});
}

async function register(kind: Kind): Promise<void> {
  // list_many.test.ts has MinIO list three pages, and here each of 1,100 objects is two syncs of a disk to it.
  const many = kind === "minio" && Deno.env.get("HOLDFAST_SOAK") === undefined ? 100 : undefined;
  const server = await startServer(kind);
  Deno.test.afterAll(server.close);
  testStore(`s3() on ${kind}`, () => {
    const line = relay(server.port);
    return Promise.resolve({
      store: storeOn(line, { prefix: uniqueName(), partBytes: 5 * 1024 * 1024, retries: 2 }),
      vanish: line.cut,
      debris: () => Promise.resolve(server.unfinished()),
      close: line.cut,
    });
  }, { many });
}
