/**
 * One request through a proxy, with its fault.
 *
 * @module
 */
import { type IncomingMessage, request as send, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { ProxyFault } from "./proxy.ts";

const MIB = 1024 * 1024;

/** One request on its way. */
export interface Passing {
  readonly socket: Socket;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly hostname: string;
  readonly port: number;
  readonly fault: ProxyFault | undefined;
}

/** Passes a request on, and its answer back; what breaks by a fault throws or ends the connection. */
export async function pass(passing: Passing): Promise<void> {
  const { socket, request, response, fault } = passing;
  if (fault?.how === "reset") return void socket.destroy();
  if (fault?.how === "stall") await (fault.ms === undefined ? gone(socket) : sleep(fault.ms));
  if (fault?.how === "answer") {
    request.resume();
    response.writeHead(fault.status ?? 503, { connection: "close", ...fault.headers });
    return void response.end(fault.body ?? "");
  }
  let body: AsyncIterable<Uint8Array> = shaped(request, fault);
  if (fault?.how === "twice") {
    const kept = await keep(body);
    (await forward(passing, again(kept))).resume();
    body = again(kept);
  }
  const answer = await forward(passing, body);
  if (fault?.how === "lost") {
    answer.resume();
    return void socket.destroy();
  }
  response.writeHead(answer.statusCode ?? 502, {
    ...answer.headers,
    ...(fault?.how === "headers" ? fault.headers : {}),
  });
  let sent = 0;
  for await (const chunk of answer as AsyncIterable<Uint8Array>) {
    if (fault?.how === "slow") await sleep(fault.ms ?? 0);
    if (fault?.how === "cut" && sent + chunk.length > (fault.at ?? 0)) {
      response.write(chunk.subarray(0, (fault.at ?? 0) - sent), () => socket.destroy());
      return;
    }
    sent += chunk.length;
    response.write(chunk);
  }
  response.end();
}

/** Sends a request to the server behind; gives the answer's head. */
async function forward(
  { request, hostname, port }: Passing,
  body: AsyncIterable<Uint8Array>,
): Promise<IncomingMessage> {
  const { method, url, headers } = request;
  const onward = send({ hostname, port, method, path: url, headers, agent: false });
  const answer = new Promise<IncomingMessage>((resolve, reject) => {
    onward.on("response", resolve);
    onward.on("error", reject);
  });
  answer.catch(() => {}); // told below, where it is waited for
  try {
    for await (const chunk of body) onward.write(chunk);
  } catch (error) {
    onward.destroy();
    throw error;
  }
  onward.end();
  return await answer;
}

/** A request's body with its fault. */
async function* shaped(
  request: IncomingMessage,
  fault: ProxyFault | undefined,
): AsyncGenerator<Uint8Array> {
  let seen = 0;
  for await (const chunk of request as AsyncIterable<Uint8Array>) {
    if (fault?.how === "slow") await sleep(fault.ms ?? 0);
    if (fault?.how === "tear" && seen + chunk.length > (fault.at ?? 0)) {
      yield chunk.subarray(0, (fault.at ?? 0) - seen);
      throw new Error("Torn on purpose");
    }
    seen += chunk.length;
    yield chunk;
  }
  if (fault?.how === "tear") throw new Error("Torn on purpose");
}

async function keep(body: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const kept: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > 64 * MIB) throw new RangeError("Cannot send twice what is above 64 MiB");
    kept.push(chunk);
  }
  return kept;
}

async function* again(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* await Promise.resolve(chunks);
}

/** Waits until the other side has given up. */
function gone(socket: Socket): Promise<never> {
  return new Promise((_, reject) => socket.on("close", () => reject(new Error("The client has gone"))));
}
