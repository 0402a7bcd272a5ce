/** A real nats-server on loopback, and what tests put into it. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { connect, type ConnectionOptions, type NatsConnection } from "@nats-io/transport-node";
import { readAll } from "../../src/bytes.ts";
import type { Context, Entry, Files, Stage } from "../../src/stage.ts";
import { scratch, testContext } from "../support.ts";

// What `deno task tools` builds lies in a cache of its own.
const CACHE = Deno.env.get("XDG_CACHE_HOME") ?? join(homedir(), ".cache");
Deno.env.set("PATH", `${join(CACHE, "holdfast-tools", "bin")}:${Deno.env.get("PATH")}`);

/** A server under test. */
export interface TestServer extends AsyncDisposable {
  readonly url: string;
  readonly dir: string;
  readonly pid: number;
  /** A client with rights to everything. */
  readonly nc: NatsConnection;
  /** Ends the server, as a signal does. */
  readonly stop: (signal?: Deno.Signal) => Promise<void>;
}

/** Starts a server of its own; `extra` is more configuration. */
export async function startServer(
  options: {
    extra?: string;
    dir?: string;
    program?: string;
    auth?: Partial<ConnectionOptions>;
    /** False for a server without; a text is more of its configuration. */
    jetstream?: boolean | string;
    port?: number;
  } = {},
): Promise<TestServer> {
  const own = options.dir === undefined ? scratch() : undefined;
  const dir = options.dir ?? own!.path;
  mkdirSync(`${dir}/ports`, { recursive: true });
  for (const file of readdirSync(`${dir}/ports`)) Deno.removeSync(`${dir}/ports/${file}`);
  const more = typeof options.jetstream === "string" ? options.jetstream : "";
  const config = `listen: "127.0.0.1:${options.port ?? -1}"\nports_file_dir: "${dir}/ports"\n` +
    (options.jetstream === false ? "" : `jetstream { store_dir: "${dir}/data"\n${more} }\n`) +
    (options.extra ?? "");
  writeFileSync(`${dir}/server.conf`, config);
  const child = new Deno.Command(options.program ?? "nats-server", {
    args: ["-c", `${dir}/server.conf`, "-l", `${dir}/server.log`],
    stdout: "null",
    stderr: "null",
  }).spawn();
  const url = await portOf(dir);
  const nc = await connect({ servers: url, ...options.auth, reconnect: false });
  let stopped: Promise<void> | undefined;
  const stop = (signal: Deno.Signal = "SIGKILL"): Promise<void> =>
    stopped ??= (async () => {
      await nc.close();
      child.kill(signal);
      await child.status;
    })();
  return {
    url,
    dir,
    pid: child.pid,
    nc,
    stop,
    [Symbol.asyncDispose]: async () => {
      await stop();
      own?.[Symbol.dispose]();
    },
  };
}

async function portOf(dir: string): Promise<string> {
  for (let i = 0; i < 500; i++) {
    try {
      const [file] = readdirSync(`${dir}/ports`);
      const ports = JSON.parse(readFileSync(`${dir}/ports/${file}`, "utf8"));
      if (ports.nats?.[0]) return ports.nats[0];
    } catch { /* not there yet */ }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`nats-server did not start: ${readFileSync(`${dir}/server.log`, "utf8")}`);
}

/** Asks JetStream, and throws what it refuses. */
// deno-lint-ignore no-explicit-any -- each answer has its own shape, and the test looks at it
export async function ask(nc: NatsConnection, subject: string, body: unknown = ""): Promise<any> {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const answer = (await nc.request(`$JS.API.${subject}`, text, { timeout: 10_000 })).json() as {
    error?: unknown;
  };
  if (answer.error) throw new Error(`${subject}: ${JSON.stringify(answer.error)}`);
  return answer;
}

/** Makes a stream of `count` messages below `name.`, each with a header and a payload told by its number. */
export async function makeStream(
  nc: NatsConnection,
  name: string,
  count: number,
  config: Record<string, unknown> = {},
): Promise<void> {
  await ask(nc, `STREAM.CREATE.${name}`, { name, subjects: [`${name}.>`], storage: "file", ...config });
  await publish(nc, name, 0, count);
}

/** Publishes messages and waits until the last is stored. */
export async function publish(nc: NatsConnection, name: string, from: number, count: number): Promise<void> {
  const { headers } = await import("@nats-io/transport-node");
  for (let i = from; i < from + count; i++) {
    const h = headers();
    h.set("Number", String(i));
    const payload = new Uint8Array(i % 300).fill(i);
    if (i === from + count - 1) {
      await nc.request(`${name}.n${i % 7}`, payload, { headers: h, timeout: 10_000 });
    } else nc.publish(`${name}.n${i % 7}`, payload, { headers: h });
  }
}

/** Every message of a stream as the server has it: subject, sequence, time, headers, data; with its consumers. */
export async function contents(
  nc: NatsConnection,
  name: string,
): Promise<{ messages: unknown[]; consumers: unknown[] }> {
  const { state } = await ask(nc, `STREAM.INFO.${name}`);
  const wanted: Promise<unknown>[] = [];
  for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
    wanted.push(ask(nc, `STREAM.MSG.GET.${name}`, { seq }).then(({ message }) => message, () => undefined));
  }
  const messages = (await Promise.all(wanted)).filter((message) => message !== undefined);
  const { consumers } = await ask(nc, `CONSUMER.LIST.${name}`, { offset: 0 });
  return {
    messages,
    // deno-lint-ignore no-explicit-any -- as the server words it
    consumers: consumers.map(({ name, config, delivered, ack_floor, num_pending }: any) => ({
      name,
      config: { ...config, metadata: undefined },
      delivered: [delivered.consumer_seq, delivered.stream_seq],
      floor: [ack_floor.consumer_seq, ack_floor.stream_seq],
      num_pending,
    })),
  };
}

/** A collector's entries, held. */
export async function collected(
  stage: Stage<void, Files>,
  context: Context = testContext(),
): Promise<{ files: Files; entries: Entry[] }> {
  const files = await stage.run(undefined, context);
  const entries: Entry[] = [];
  for await (const entry of files.entries()) {
    const body = typeof entry.body === "function" ? await readAll(entry.body(), 2 ** 30) : entry.body;
    entries.push({ ...entry, body });
  }
  return { files, entries };
}

/** Entries as a backup gives them back. */
export function givenBack(entries: readonly Entry[]): Files {
  return {
    kind: "files",
    entries: async function* (): AsyncGenerator<Entry> {
      yield* entries;
    },
    facts: () => ({ sources: [], stages: [] }),
  };
}
