/** A way to a server that takes time: every byte arrives later, in both directions, as over a long line. */

/** A line on loopback. */
export interface Line extends AsyncDisposable {
  /** Where to connect to. */
  readonly url: string;
}

/** Opens a line to a NATS server; a byte takes `delayMs` each way, and as many as come may be under way. */
export function longLine(server: string, delayMs: number): Line {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const open = new Set<Deno.TcpConn>();
  const running: Promise<void>[] = [];
  const serve = async (): Promise<void> => {
    for await (const near of listener) {
      const far = await Deno.connect({ hostname: "127.0.0.1", port: Number(new URL(server).port) });
      open.add(near).add(far);
      running.push(carry(near, far, delayMs), carry(far, near, delayMs));
    }
  };
  running.push(serve().catch(() => {}));
  return {
    url: `nats://127.0.0.1:${listener.addr.port}`,
    [Symbol.asyncDispose]: async () => {
      listener.close();
      for (const conn of open) quietly(() => conn.close());
      await Promise.all(running);
    },
  };
}

/** Carries one direction until either end goes. */
async function carry(from: Deno.TcpConn, to: Deno.TcpConn, delayMs: number): Promise<void> {
  const queue = new TransformStream<{ bytes: Uint8Array; due: number }>(undefined, {
    highWaterMark: 64 * 1024 * 1024,
    size: ({ bytes }) => bytes.length,
  });
  const read = async (): Promise<void> => {
    const writer = queue.writable.getWriter();
    const buffer = new Uint8Array(256 * 1024);
    try {
      for (let size; (size = await from.read(buffer)) !== null;) {
        void writer.write({ bytes: buffer.slice(0, size), due: performance.now() + delayMs }).catch(() => {});
        await writer.ready;
      }
    } finally {
      void writer.close().catch(() => {});
    }
  };
  const write = async (): Promise<void> => {
    for await (const { bytes, due } of queue.readable) {
      const wait = due - performance.now();
      if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
      for (let at = 0; at < bytes.length;) at += await to.write(bytes.subarray(at));
    }
    quietly(() => to.closeWrite());
  };
  await Promise.allSettled([read(), write()]);
}

function quietly(work: () => unknown): void {
  try {
    void Promise.resolve(work()).catch(() => {});
  } catch { /* closed already */ }
}
