/** Packets sealed by Web Crypto: OpenSSH takes them in their order, over many changes of keys. */
import { strict as assert } from "node:assert";
import { Buffer } from "node:buffer";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { type Channel, type Client, loadLibrary } from "../../src/store/sftp/library.ts";
import { sealAside } from "../../src/store/sftp/seal.ts";
import { judged, noise } from "../support.ts";
import { folderOn, type SftpServer, SSHD, startSshd } from "./sftp_server.ts";

const MIB = 1024 * 1024;

judged("Web Crypto seals what the library would have, whatever keys it has changed to", [SSHD], async () => {
  const server = await startSshd({ config: ["RekeyLimit 1M"] });
  try {
    for (const cipher of ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com"]) {
      const { client, channel, sealed } = await login(server, cipher);
      try {
        const file = `${folderOn(server)}/file`;
        const bytes = Buffer.from(noise(12 * MIB, 7));
        await write(channel, file, bytes);
        assert.ok(readFileSync(file).equals(bytes), cipher);
        // Each write of 64 KiB goes as two long packets and a short one; the first after a change of keys by the library.
        assert.ok(sealed() > bytes.length / MIB * 16, `${cipher}: ${sealed()} packets sealed aside`);
      } finally {
        client.destroy();
      }
    }
  } finally {
    await server.close();
  }
});

judged("another cipher is left to the library", [SSHD], async () => {
  const server = await startSshd();
  try {
    const { client, channel, sealed } = await login(server, "aes128-ctr");
    try {
      const file = `${folderOn(server)}/file`;
      const bytes = Buffer.from(noise(MIB, 8));
      await write(channel, file, bytes);
      assert.ok(readFileSync(file).equals(bytes));
      assert.equal(sealed(), 0);
    } finally {
      client.destroy();
    }
  } finally {
    await server.close();
  }
}, { sanitizeResources: false }); // the library keeps the ciphers of a connection that has ended

Deno.test("a library that looks otherwise inside is left as it is", () => {
  const client = { on: () => assert.fail("it listens") } as unknown as Client;
  assert.equal(sealAside(client, assert.fail)(), 0);
});

async function login(
  server: SftpServer,
  cipher: string,
): Promise<{ client: Client; channel: Channel; sealed: () => number }> {
  const library = await loadLibrary();
  const client = new library.Client();
  const sock = connect({ host: "127.0.0.1", port: server.port });
  const key = library.utils.parseKey(Buffer.from(server.key)) as never;
  let sealed: () => number = () => 0;
  const channel = await new Promise<Channel>((resolve, reject) => {
    client.on("error", reject);
    client.on("ready", () => client.sftp((error, made) => error ? reject(error) : resolve(made)));
    client.connect({
      sock,
      username: server.user,
      authHandler: [{ type: "publickey", username: server.user, key }],
      hostVerifier: () => true,
      algorithms: { serverHostKey: ["ssh-ed25519"], cipher: [cipher], compress: ["none"] },
      readyTimeout: 60_000,
    });
    sealed = sealAside(client, () => sock.destroy());
  });
  return { client, channel, sealed };
}

/** Eight requests at once: what comes out of order, or sealed with the wrong count, ends the connection. */
async function write(channel: Channel, path: string, bytes: Buffer): Promise<void> {
  const handle = await answer<Buffer>((done) => channel.open(path, "w", { mode: 0o600 }, done));
  const piece = 64 * 1024;
  for (let start = 0; start < bytes.length; start += 8 * piece) {
    const starts = Array.from({ length: 8 }, (_, i) => start + i * piece).filter((at) => at < bytes.length);
    await Promise.all(
      starts.map((at) => answer<void>((done) => channel.write(handle, bytes, at, piece, at, done))),
    );
  }
  await answer<void>((done) => channel.close(handle, done));
}

function answer<T>(send: (done: (error: Error | undefined, value: T) => void) => void): Promise<T> {
  return new Promise<T>((resolve, reject) => send((error, value) => error ? reject(error) : resolve(value)));
}
