/**
 * Sealing of long packets by Web Crypto.
 *
 * The library seals AES-GCM packets by node:crypto, and in Deno 2.9 that is half of an upload's time: 250 MB/s, where Web Crypto
 * does 600 to 700. Web Crypto answers later, so all that is sent goes through a line that keeps the order. A library that looks
 * otherwise inside is left as it is: slower, and no less right.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import type { Cipher, Client, Protocol } from "./library.ts";

/** Shorter packets gain nothing. */
const LONG_BYTES = 4096;

/** What waits to be sent, first come first. */
interface Line {
  readonly add: (bytes: Uint8Array) => void;
  readonly addLater: (parts: Promise<readonly Uint8Array[]>) => void;
}

/**
 * Lets a client, from its first key exchange on, seal long packets by Web Crypto where it uses AES-GCM. `failed` is called
 * when a packet cannot be sealed. Gives a function that tells how many were sealed this way.
 */
export function sealAside(client: Client, failed: () => void): () => number {
  let count = 0;
  const protocol = client._protocol;
  if (typeof protocol?._onWrite === "function") {
    const line = lineTo(protocol._onWrite, failed);
    protocol._onWrite = line.add; // ciphers to come write there
    client.on("handshake", () => replace(protocol, line, () => count++)); // the first, and each change of keys
  }
  return () => count;
}

function replace({ _cipher: cipher }: Protocol, line: Line, counted: () => void): void {
  if (!cipher || !isGcm(cipher)) return;
  const atOnce = cipher.encrypt.bind(cipher);
  let key: CryptoKey | undefined;
  crypto.subtle.importKey("raw", new Uint8Array(cipher._encKey), "AES-GCM", false, ["encrypt"])
    .then((imported) => key = imported, () => {});
  cipher.encrypt = (packet) => {
    if (packet.length < LONG_BYTES || !key || cipher._dead) return atOnce(packet);
    line.addLater(sealed(key, new Uint8Array(cipher._encIV), packet));
    advance(cipher._encIV);
    cipher.outSeqno = (cipher.outSeqno + 1) >>> 0;
    counted();
  };
}

function isGcm(cipher: Partial<Cipher>): cipher is Cipher {
  return cipher._encSSLName?.endsWith("-gcm") === true && cipher._encIV?.length === 12 &&
    cipher._encKey instanceof Uint8Array && typeof cipher.encrypt === "function" &&
    typeof cipher.outSeqno === "number";
}

/** RFC 5647, section 7.3: the length goes in the clear and is authenticated, the tag comes last. */
async function sealed(
  key: CryptoKey,
  iv: Uint8Array<ArrayBuffer>,
  packet: Buffer<ArrayBuffer>,
): Promise<readonly Uint8Array[]> {
  const length = new Uint8Array(packet.subarray(0, 4));
  const algorithm = { name: "AES-GCM", iv, additionalData: length, tagLength: 128 };
  return [length, new Uint8Array(await crypto.subtle.encrypt(algorithm, key, packet.subarray(4)))];
}

/** RFC 5647, section 7.1: the last eight bytes count packets, big-endian. */
function advance(iv: Uint8Array): void {
  for (let at = 11; at >= 4; at--) {
    iv[at] = (iv[at]! + 1) & 0xff;
    if (iv[at] !== 0) return;
  }
}

function lineTo(write: (bytes: Uint8Array) => void, failed: () => void): Line {
  const line: { parts?: readonly Uint8Array[] }[] = [];

  function flush(): void {
    const ready: Uint8Array[] = [];
    while (line[0]?.parts) ready.push(...line.shift()!.parts!);
    if (ready.length > 0) write(Buffer.concat(ready)); // one call for what is ready is cheaper than one each
  }

  return {
    add: (bytes) => {
      if (line.length === 0) write(bytes);
      else line.push({ parts: [bytes] });
    },
    addLater: (parts) => {
      const place: { parts?: readonly Uint8Array[] } = {};
      line.push(place);
      parts.then((done) => {
        place.parts = done;
        flush();
      }).catch(failed);
    },
  };
}
