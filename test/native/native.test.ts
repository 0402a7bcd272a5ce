/** The system's libraries give what Deno's own code gives, or nothing; and nothing waits for them that need not. */
import { strict as assert } from "node:assert";
import { Buffer } from "node:buffer";
import { createCipheriv, createHash } from "node:crypto";
import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { globSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { toBytes } from "../../src/bytes.ts";
import { zstd } from "../../src/compress/zstd.ts";
import { hashed } from "../../src/digest.ts";
import { chacha, sha256Beside } from "../../src/native/crypto.ts";
import { packer, unpacker } from "../../src/native/zstd.ts";
import type { U8 } from "../../src/stage.ts";
import { archiveOf } from "../encrypt/support.ts";
import { noise, scratch, sh, testContext } from "../support.ts";

const MIB = 1024 * 1024;
const KEY = noise(32, 1);

/** Registers a test that needs both libraries: Debian's tools stand on them. */
function native(name: string, fn: () => Promise<void> | void): void {
  const [cipher, unpack] = [chacha(KEY), unpacker(1)];
  const here = cipher !== undefined && unpack !== undefined;
  cipher?.close();
  void unpack?.close();
  const ignore = !here && Deno.env.get("CI") === undefined;
  Deno.test({ name: here ? name : `${name} [needs libcrypto and libzstd]`, ignore, fn });
}

function nodeSealed(nonce: U8, plain: U8): U8 {
  const cipher = createCipheriv("chacha20-poly1305", KEY, nonce, { authTagLength: 16 });
  const parts = [cipher.update(plain), cipher.final()];
  return new Uint8Array(Buffer.concat([...parts, cipher.getAuthTag()]));
}

native("libcrypto seals and opens as node:crypto does, and opens nothing that was changed", () => {
  const cipher = chacha(KEY)!;
  for (const size of [1, 63, 64, 65, 4096, 65_536]) {
    const [nonce, plain] = [noise(12, size), noise(size, size + 1)];
    const sealed = new Uint8Array(size + 16);
    cipher.seal(nonce, plain, sealed);
    assert.deepEqual(sealed, nodeSealed(nonce, plain), `${size} bytes`);
    const target = new Uint8Array(size + 16);
    assert.equal(cipher.open(nonce, sealed, target), true);
    assert.deepEqual(target.subarray(0, size), plain);
    for (const at of [0, size - 1, size, size + 15]) {
      const other = sealed.slice();
      other[at]! ^= 1;
      assert.equal(cipher.open(nonce, other, target), false, `byte ${at} of ${size}`);
    }
    assert.equal(cipher.open(noise(12, 99), sealed, target), false, "another nonce");
    assert.equal(cipher.open(nonce, sealed, target), true, "a failure leaves nothing behind");
  }
  cipher.close();
  cipher.close();
});

native("libcrypto hashes beside this thread as node:crypto does, whatever the chunks", async () => {
  const bytes = noise(3 * MIB + 17, 5);
  const expected = createHash("sha256").update(bytes).digest("hex");
  for (const step of [MIB, 200_000, 3 * MIB + 17]) {
    const hash = sha256Beside()!;
    for (let at = 0; at < bytes.length; at += step) await hash.add(bytes.subarray(at, at + step));
    assert.equal(hash.hex(), expected, `in steps of ${step}`);
    hash.close();
    hash.close();
  }
});

function frameOf(content: U8): U8 {
  const params = { [constants.ZSTD_c_checksumFlag]: 1 };
  return new Uint8Array(zstdCompressSync(content, { params, chunkSize: content.length + 4096 }));
}

native(
  "libzstd unpacks many frames at a time, and gives nothing for one that holds something else",
  async () => {
    const contents = Array.from({ length: 12 }, (_, i) => noise(200_000 + i, i).fill(7, 0, i * 10_000));
    for (const width of [0, 1, 3]) {
      const { unpack, close } = unpacker(width)!;
      const results = await Promise.all(contents.map((content) => unpack(frameOf(content), content.length)));
      results.forEach((result, i) => assert.deepEqual(result, contents[i], `frame ${i}, width ${width}`));
      const frame = frameOf(contents[0]!);
      assert.ok(await unpack(frame, 199_999) === undefined, "more than declared");
      assert.ok(await unpack(frame, 200_001) === undefined, "less than declared");
      assert.ok(await unpack(frame.subarray(0, -1), 200_000) === undefined, "cut");
      for (const at of [1000, frame.length - 1]) {
        const other = frame.slice();
        other[at]! ^= 0x55;
        assert.ok(await unpack(other, 200_000) === undefined, `byte ${at} changed`);
      }
      assert.deepEqual(await unpack(frame, 200_000), contents[0], "and goes on");
      await close();
    }
  },
);

native("libzstd packs frames that Deno and zstd unpack, and measures them", async () => {
  using tmp = scratch();
  const contents = Array.from({ length: 9 }, (_, i) => noise(200_000 + i, i).fill(7, 0, i * 20_000));
  for (const first of [0, 1]) {
    const { pack, measure, widen, load, close } = packer(first)!;
    const jobs = contents.map((content, i) => pack(content, 1 + i));
    assert.equal(load(), contents.length);
    if (first > 0) widen(3);
    const frames = (await Promise.all(jobs)).map((frame) => frame!.slice());
    frames.forEach((frame, i) => {
      assert.equal(frame[4]! >> 6, 2, "its header has the content's size, in four bytes");
      assert.equal(frame[4]! & 4, 4, "and a checksum follows");
      assert.ok(zstdDecompressSync(frame).equals(contents[i]!), `frame ${i}`);
      assert.equal(measure(contents[i]!, 1 + i), frame.length);
    });
    writeFileSync(tmp.join("all.zst"), Buffer.concat(frames));
    sh("zstd -d -q -f all.zst -o all", { cwd: tmp.path });
    assert.ok(readFileSync(tmp.join("all")).equals(Buffer.concat(contents)));
    assert.equal(load(), 0);
    await close();
    await close();
    assert.equal(await pack(contents[0]!, 3), undefined);
  }
});

native("what zstd() gives does not depend on how long its blocks wait", async () => {
  const bytes = Buffer.concat([noise(3 * MIB, 1), Buffer.alloc(2 * MIB, "text and text, "), noise(MIB, 2)]);
  const packed = async (step: number): Promise<Uint8Array> => {
    const body = toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
      for (let at = 0; at < bytes.length; at += step) {
        if (at % 3 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
        yield new Uint8Array(bytes.subarray(at, at + step));
      }
    });
    const archive = { ...archiveOf(new Uint8Array(0)), body: { read: () => body } };
    return new Uint8Array(
      await new Response((await zstd().run(archive, testContext())).body.read()).arrayBuffer(),
    );
  };
  const whole = await packed(bytes.length);
  for (const step of [300_000, MIB]) assert.deepEqual(await packed(step), whole);
});

native("an unpacker that is closed ends what is under way, and gives what waits back", async () => {
  const content = noise(MIB, 3);
  const { unpack, close } = unpacker(1)!;
  const jobs = [0, 1, 2].map(() => unpack(frameOf(content), content.length));
  let settled = 0;
  for (const job of jobs) void job.then(() => settled++);
  await close();
  assert.ok(settled >= 1, "the first was under way");
  const results = await Promise.all(jobs);
  assert.deepEqual(results[0], content);
  assert.ok(results.slice(1).every((result) => result === undefined));
  assert.ok(await unpack(frameOf(content), content.length) === undefined);
  await close();
});

native(
  "an unpacker for which many frames wait unpacks some on this thread, and finds damage there too",
  async () => {
    const contents = Array.from({ length: 6 }, (_, i) => noise(MIB - i, i));
    const damaged = frameOf(contents[0]!);
    damaged[damaged.length - 1]! ^= 1; // of its checksum
    const { unpack, close } = unpacker(1)!;
    const order: number[] = [];
    const jobs = contents.map(async (content, i) => {
      const result = await unpack(i === 5 ? damaged : frameOf(content), content.length);
      order.push(i);
      return result;
    });
    const results = await Promise.all(jobs);
    assert.deepEqual(results, contents.with(5, undefined as never));
    assert.ok(order.indexOf(3) < order.indexOf(1), "it was done before one that waited");
    await close();
  },
);

Deno.test("hashed() hands on no chunk before it is hashed, and the last after the end was told", async () => {
  for (const about of [0, 64 * MIB]) {
    const told: string[] = [];
    const chunks = [noise(300_000, 1), noise(1, 2), noise(500_000, 3)];
    const expected = createHash("sha256").update(Buffer.concat(chunks)).digest("hex");
    const stream = toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
      for (const chunk of chunks) yield chunk.slice();
    });
    const end = (digest: string, size: number): void => void told.push(`${digest} ${size}`);
    let got = 0;
    for await (const chunk of hashed(stream, about, end)) {
      assert.deepEqual(chunk, chunks[got++]);
      assert.deepEqual(told, got === 3 ? [`${expected} 800001`] : []);
      chunk.fill(0); // its owner may do this: it has been hashed
    }
    assert.equal(got, 3);
  }
});

Deno.test("hashed() that is left, or whose source fails, lets go of the source", async () => {
  for (const about of [0, 64 * MIB]) {
    let closed = 0;
    const stream = (fails: boolean): ReadableStream<U8> =>
      toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
        try {
          for (let i = 0; i < 9; i++) yield noise(MIB, i);
          if (fails) throw new Error("the source's");
        } finally {
          closed++;
        }
      });
    for await (const _ of hashed(stream(false), about, () => assert.fail("not the end"))) break;
    assert.equal(closed, 1);
    const whole = (async () => {
      for await (const _ of hashed(stream(true), about, () => assert.fail("not the end")));
    })();
    await assert.rejects(whole, /the source's/);
    assert.equal(closed, 2);
  }
});

/** What a program with these permissions finds; it is asked nothing. */
function found(...permissions: readonly string[]): string {
  using tmp = scratch();
  const root = join(import.meta.dirname!, "../..");
  writeFileSync(
    tmp.join("look.ts"),
    `import { chacha } from ${JSON.stringify(pathToFileURL(join(root, "src/native/crypto.ts")).href)};
    console.log(chacha(new Uint8Array(32)) ? "found" : "not found");`,
  );
  const args = ["run", "--no-check", `--config=${root}/deno.json`, ...permissions, tmp.join("look.ts")];
  const { stdout, stderr } = new Deno.Command(Deno.execPath(), { args, env: { NO_COLOR: "1" } }).outputSync();
  assert.equal(new TextDecoder().decode(stderr), "");
  return new TextDecoder().decode(stdout).trim();
}

native("a library is used with the permission alone, for all or for its own path; nobody is asked", () => {
  const folder = `/usr/lib/${Deno.build.arch}-linux-gnu`;
  const path = globSync(`${folder}/libcrypto.so.{3,1.1}`)[0];
  assert.equal(found("--allow-read", "--allow-ffi"), "found");
  assert.equal(found("--allow-read"), "not found");
  assert.equal(found("--allow-ffi"), "not found", "who cannot see whether musl is at home");
  assert.equal(found("--allow-read", `--allow-ffi=${folder}/libother.so`), "not found");
  if (path !== undefined) assert.equal(found("--allow-read", `--allow-ffi=${path}`), "found");
});
