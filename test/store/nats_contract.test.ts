/** Every sentence of the contract, on a real nats-server. */
import { testStore } from "../contract/store.ts";
import { hasTool, judged } from "../support.ts";
import { debrisOf, lineTo, sharedServer, storeOn, uniqueBucket } from "./nats_server.ts";

if (hasTool("nats-server")) {
  const server = await sharedServer();
  testStore("nats()", () => {
    const line = lineTo(server);
    const bucket = uniqueBucket();
    const store = storeOn(line.url, { bucket, prefix: "hosts/web 1", retries: 1 });
    return Promise.resolve({
      store,
      vanish: line.cut,
      debris: async () => await debrisOf(server, bucket),
      close: async () => {
        await store.close();
        await line.cut();
      },
    });
  });
} else judged("nats() keeps the contract", ["nats-server"], () => {});
