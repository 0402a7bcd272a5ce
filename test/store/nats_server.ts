/** A real nats-server for the tests of the store, and what lies in its buckets. */
import { store } from "../../mod.ts";
import { ask, startServer, type TestServer } from "../jetstream/support.ts";
import { relay } from "./s3_server.ts";

export { ask, startServer, type TestServer } from "../jetstream/support.ts";

let made = 0;

/** A bucket of its own for one test. */
export function uniqueBucket(): string {
  return `b${++made}`;
}

/** A store in a new bucket. */
export function storeOn(url: string, options: Partial<store.NatsStoreOptions> = {}): store.NatsStore {
  return store.nats({ servers: url, bucket: uniqueBucket(), create: true, ...options });
}

/** Chunks that no description names. */
export async function debrisOf(server: TestServer, bucket: string): Promise<string[]> {
  const all = async (kind: string): Promise<string[]> => {
    const filter = { subjects_filter: `$O.${bucket}.${kind}.>` };
    try {
      const { state } = await ask(server.nc, `STREAM.INFO.OBJ_${bucket}`, filter);
      return Object.keys(state.subjects ?? {});
    } catch (error) {
      if (/10059/.test(String(error))) return []; // nothing has been written yet
      throw error;
    }
  };
  const named = new Set<string>();
  for (const subject of await all("M")) {
    const { message } = await ask(server.nc, `STREAM.MSG.GET.OBJ_${bucket}`, { last_by_subj: subject });
    named.add(`$O.${bucket}.C.${JSON.parse(atob(message.data)).nuid}`);
  }
  return (await all("C")).filter((subject) => !named.has(subject));
}

/** The server through a line that can be cut. */
export function lineTo(
  server: TestServer,
): { readonly url: string; readonly cut: () => Promise<void>; readonly received: () => number } {
  const line = relay(Number(new URL(server.url.replace("nats:", "http:")).port));
  return { url: line.endpoint.replace("http:", "nats:"), cut: line.cut, received: line.received };
}

/** Starts the server that a test file shares. */
export async function sharedServer(): Promise<TestServer> {
  const server = await startServer();
  Deno.test.afterAll(async () => await server[Symbol.asyncDispose]());
  return server;
}
