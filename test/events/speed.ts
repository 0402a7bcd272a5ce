/** A child process that serves one log to ten peers' addresses, so that the reader has a core of its own. Run by speed.test.ts. */
const [count = "100000", size = "5000"] = Deno.args;
const pages: Uint8Array<ArrayBuffer>[] = [];
for (let at = 0; at < Number(count); at += Number(size)) {
  const events: string[] = [];
  for (let i = at; i < Math.min(at + Number(size), Number(count)); i++) {
    const id = (BigInt(i) * 0x9e3779b97f4a7c15n & 0xffffffffffffffffn).toString(16).padStart(16, "0");
    events.push(
      `{"id":"${id}${id}","ts":${
        1704067200000000000n + BigInt(i) * 1_000_003n
      },"svc":"ping","emitter":"alice","ping":{"observer":"alice","target":"bob","rtt":${i % 100}.25}}`,
    );
  }
  pages.push(new TextEncoder().encode(`[${events.join()}]`));
}
const empty = new TextEncoder().encode("[]");
const server = Deno.serve(
  { port: 0, hostname: "127.0.0.1", onListen: ({ port }) => console.log(port) },
  (request) => {
    const [, , peer, , page] = new URL(request.url).pathname.split("/");
    // Peers overlap: each holds two fifths of the log.
    const own = pages.filter((_, i) => (i + Number(peer)) % 5 < 2);
    return new Response(own[Number(page)] ?? empty, { headers: { "content-type": "application/json" } });
  },
);
await server.finished;
