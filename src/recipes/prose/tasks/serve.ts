/**
 * `deno task prose:serve`
 *
 * @module
 */
import { object } from "@optique/core/constructs";
import { message, text } from "@optique/core/message";
import { withDefault } from "@optique/core/modifiers";
import type { InferValue } from "@optique/core/parser";
import { option } from "@optique/core/primitives";
import { string } from "@optique/core/valueparser";
import { type Cli, type Command, command } from "../../../cli.ts";
import { numberOption, planArgs, textOption, toggle } from "../../../cli/args.ts";
import { EXIT } from "../../../cli/exit.ts";
import { fromCaller } from "../../../cli/folders.ts";
import { ConfigError, messageOf } from "../../../errors.ts";
import { tokenFrom } from "../pod_api.ts";
import { proseService } from "../service.ts";
import { proseJob } from "./choose.ts";

const parser = object({
  ...planArgs,
  tokenFile: textOption(
    "--token-file",
    "FILE",
    "A file whose first line is the token that requests must bring; at least 16 characters",
  ),
  listen: withDefault(
    option("--listen", string({ metavar: "HOST:PORT" }), {
      description: message`${text("Where to listen. Other hosts need a proxy with TLS before it")}`,
    }),
    "127.0.0.1:8484",
  ),
  podApi: textOption(
    "--pod-api",
    "TEXT",
    "The Pod API's URL: it gets its data back on a restore, with the request's x-prose-token",
  ),
  maxBodyMib: numberOption("--max-body", "The most that the Pod API may send, in MiB. Default: 1024"),
  quiet: toggle("--quiet", "No remarks; warnings and errors are shown"),
});

/** How long answers may take that change nothing, once the service is to end. */
const READERS_MS = 30_000;

/** The command. */
export const proseServeCommand: Command = command({
  name: "prose:serve",
  usage: "--token-file FILE [OPTION...]",
  brief:
    "Serves a Prose pod's lifecycle over HTTP: POST /lifecycle/backup, PUT /lifecycle/restore, GET /lifecycle/backups.",
  about: [
    "One operation at a time; each runs to its end whoever listens. Standard output: the address, once it listens. GET /openapi.json " +
    "describes it, GET /health says that it runs. On SIGTERM it waits for the backup or restore under way, and for nothing else longer than 30 s.",
  ],
  examples: [
    "deno task prose:serve --config /etc/holdfast/backup.toml --plan prose --token-file /etc/holdfast/prose-token --pod-api http://127.0.0.1:8080",
  ],
  parser,
  run: serve,
});

async function serve(args: InferValue<typeof parser>, cli: Cli): Promise<number> {
  const job = await proseJob(args, cli);
  const { log, state, note } = cli.runOptions(args.quiet);
  const { hostname, port } = addressOf(args.listen);
  const service = await proseService({
    pod: job.options,
    token: await tokenOf(args.tokenFile, cli.folder),
    podApi: args.podApi,
    body: args.maxBodyMib === undefined ? undefined : { maxBytes: args.maxBodyMib * 2 ** 20 },
    log,
    state,
  }).catch((cause) => {
    throw cause instanceof TypeError ? new ConfigError(cause.message, { cause }) : cause;
  });
  const server = listen(hostname, port, service.fetch, (url) => cli.terminal.out(url));
  await new Promise<void>((resolve) => {
    if (cli.signal.aborted) resolve();
    cli.signal.addEventListener("abort", () => resolve(), { once: true });
  });
  note("Letting nothing new begin, and waiting for what is under way");
  await service.close();
  // What is left only reads. It may finish, within its time.
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<void>((resolve) => timer = setTimeout(resolve, READERS_MS));
  await Promise.race([server.shutdown(), late]).finally(() => clearTimeout(timer));
  return EXIT.complete;
}

function listen(
  hostname: string,
  port: number,
  fetch: (request: Request) => Promise<Response>,
  ready: (url: string) => void,
): Deno.HttpServer {
  const shown = hostname.includes(":") ? `[${hostname}]` : hostname;
  try {
    return Deno.serve({
      hostname,
      port,
      onListen: (address) => ready(`http://${shown}:${address.port}`),
    }, fetch);
  } catch (cause) {
    throw new ConfigError(
      `Cannot listen on ${shown}:${port}: ${messageOf(cause)}. Choose another --listen HOST:PORT`,
      { cause },
    );
  }
}

async function tokenOf(file: string | undefined, folder: string): Promise<string> {
  if (file === undefined) {
    throw new ConfigError(
      "Cannot serve without a token, for whoever may ask could replace the pod. Make one (openssl rand -hex 32 > FILE) and pass --token-file FILE",
    );
  }
  try {
    return await tokenFrom(fromCaller(file, folder));
  } catch (cause) {
    throw new ConfigError(messageOf(cause), { cause });
  }
}

function addressOf(listen: string): { hostname: string; port: number } {
  const [, bracketed, plain, port] = /^(?:\[([0-9a-fA-F:.]+)\]|([^:\s]+)):(\d{1,5})$/.exec(listen) ?? [];
  const hostname = bracketed ?? plain;
  if (hostname === undefined || Number(port) > 65_535) {
    throw new ConfigError(
      `Cannot listen on ${JSON.stringify(listen)}: give HOST:PORT, such as 127.0.0.1:8484`,
    );
  }
  return { hostname, port: Number(port) };
}
