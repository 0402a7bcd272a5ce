/** Signatures by minisign and OpenPGP keys: what is signed, who is trusted, and what is refused. */
import { strict as assert } from "node:assert";
import { readKey, readPrivateKey, revokeKey } from "openpgp";
import { sign } from "../../mod.ts";
import { findError, IntegrityError, KeyError } from "../../src/errors.ts";
import type { Sealed, Stage, U8 } from "../../src/stage.ts";
import { noise } from "../support.ts";
import { ID, minisignPair, openpgpPair, signed, stored, undone } from "./support.ts";

const mini = minisignPair();
const other = minisignPair();
const pgp = await openpgpPair();
const stranger = await openpgpPair();

const minisign = (): Stage<Sealed, Sealed> =>
  sign.minisign({ publicKey: mini.publicKey, secretKey: () => mini.secretKey });
const openpgp = (): Stage<Sealed, Sealed> =>
  sign.openpgp({ certificate: pgp.certificate, secretKey: () => pgp.secretKey });

const TOOLS: readonly (readonly [string, () => Stage<Sealed, Sealed>, () => Stage<Sealed, Sealed>])[] = [
  [
    "minisign()",
    minisign,
    () => sign.minisign({ publicKey: other.publicKey, secretKey: () => other.secretKey }),
  ],
  [
    "openpgp()",
    openpgp,
    () => sign.openpgp({ certificate: stranger.certificate, secretKey: () => stranger.secretKey }),
  ],
];

async function refused(
  stage: Stage<Sealed, Sealed>,
  objects: ReadonlyMap<string, U8>,
  why: RegExp,
): Promise<void> {
  await assert.rejects(undone(stage, objects), (error) => {
    const found = findError(error, IntegrityError);
    assert.ok(found, String(error));
    assert.match(found.message, why);
    return true;
  });
}

for (const [tool, own, foreign] of TOOLS) {
  const suffix = own().seals![0]!.suffix;

  Deno.test(`${tool} undo gives back what run has signed, at sizes around the chunks`, async () => {
    for (const size of [0, 1, 70_000, 70_001, 1 << 20]) {
      const bytes = noise(size, size + 1);
      assert.deepEqual(await undone(own(), await stored(own(), bytes)), bytes, `${size}`);
    }
  });

  Deno.test(`${tool} undo refuses a flipped bit in the object, in the receipt and in each signature`, async () => {
    const good = await stored(own(), noise(5000));
    for (const [key, bytes] of good) {
      if (key === ".receipt.json") continue;
      const spoilt = bytes.slice();
      // Of a signature the last quarter: a minisign file starts with a comment that means nothing.
      spoilt[Math.floor(bytes.length * 0.8)]! ^= 1;
      await refused(own(), new Map([...good, [key, spoilt]]), /Cannot (trust|read|accept)/);
    }
    const receipt = good.get(".receipt.json")!.slice();
    receipt[receipt.length - 40]! ^= 1;
    await refused(own(), new Map([...good, [".receipt.json", receipt]]), /signature is wrong/);
  });

  Deno.test(`${tool} undo refuses an object that grew or was cut`, async () => {
    const good = await stored(own(), noise(5000));
    for (const bytes of [noise(5001), noise(5000).slice(0, 4999)]) {
      await refused(own(), new Map([...good, ["", bytes]]), /signature is wrong/);
    }
  });

  Deno.test(`${tool} undo refuses when a signature was removed`, async () => {
    const good = await stored(own(), noise(5000));
    for (const key of [suffix, `.receipt.json${suffix}`]) {
      const objects = new Map(good);
      objects.delete(key);
      await refused(own(), objects, /is missing/);
    }
  });

  Deno.test(`${tool} undo refuses another key's signatures, and takes them when that key is trusted`, async () => {
    const theirs = await stored(foreign(), noise(5000));
    await refused(own(), theirs, /none of the trusted ones/);
    const trusting = tool === "minisign()"
      ? sign.minisign({ publicKey: mini.publicKey, trusted: [other.publicKey] })
      : sign.openpgp({ certificate: pgp.certificate, trusted: [stranger.certificate] });
    assert.deepEqual(await undone(trusting, theirs), noise(5000));
  });

  Deno.test(`${tool} undo refuses a signature of the archive in place of the receipt's`, async () => {
    const good = await stored(own(), noise(5000));
    await refused(
      own(),
      new Map([...good, [`.receipt.json${suffix}`, good.get(suffix)!]]),
      /made for another file|signature is wrong/,
    );
  });

  Deno.test(`${tool} undo refuses a signature that is no signature`, async () => {
    const good = await stored(own(), noise(50));
    for (
      const text of [
        "",
        "x",
        "-----BEGIN PGP SIGNATURE-----\n\n!\n-----END PGP SIGNATURE-----\n",
        "untrusted comment: \nRUQ=\n",
      ]
    ) {
      const objects = new Map([...good, [`.receipt.json${suffix}`, new TextEncoder().encode(text)]]);
      await refused(own(), objects, /Cannot read the/);
    }
  });

  Deno.test(`${tool} begins only with a secret key, and it must be the pair`, async () => {
    const without = tool === "minisign()"
      ? sign.minisign({ publicKey: mini.publicKey })
      : sign.openpgp({ certificate: pgp.certificate });
    await assert.rejects(signed(without, noise(1), ID), KeyError);
    const mixed = tool === "minisign()"
      ? sign.minisign({ publicKey: mini.publicKey, secretKey: () => other.secretKey })
      : sign.openpgp({ certificate: pgp.certificate, secretKey: () => stranger.secretKey });
    await assert.rejects(signed(mixed, noise(1), ID), /Give the pair/);
  });
}

Deno.test("minisign() undo refuses a trusted comment that was changed, and a signature moved to another name", async () => {
  const good = await stored(minisign(), noise(50));
  const spoil = (from: RegExp, to: string): U8 =>
    new TextEncoder().encode(new TextDecoder().decode(good.get(".minisig")).replace(from, to));
  await refused(
    minisign(),
    new Map([...good, [".minisig", spoil(/timestamp:\d/, "timestamp:9")]]),
    /comment was changed/,
  );
  const moved = await signed(minisign(), noise(50), ID.replace("20T", "21T"));
  await refused(minisign(), new Map([...good, [".minisig", moved]]), /made for another file/);
});

Deno.test("sign stages refuse wrong options when they are made, without showing a secret", async () => {
  assert.throws(() => sign.minisign({ publicKey: "RW" }), /not a minisign public key/);
  assert.throws(() => sign.minisign({ publicKey: mini.secretKey }), (error: Error) => {
    assert.ok(error instanceof TypeError && !error.message.includes(mini.secretKey.slice(30, 60)));
    return true;
  });
  assert.throws(
    () => sign.minisign({ publicKey: mini.publicKey, secretKey: "x" as unknown as () => string }),
    /must be a function/,
  );
  assert.throws(() => sign.openpgp({ certificate: pgp.secretKey }), /holds a secret key/);
  assert.throws(() => sign.openpgp({ certificate: "hello" }), /neither armored nor binary/);
  assert.throws(
    () => sign.openpgp({ certificate: pgp.certificate + stranger.certificate }),
    /holds 2 certificates/,
  );
  const locked = await openpgpPair({ passphrase: "correct horse" });
  const stage = (passphrase?: () => string): Stage<Sealed, Sealed> =>
    sign.openpgp({ certificate: locked.certificate, secretKey: () => locked.secretKey, passphrase });
  await assert.rejects(signed(stage(), noise(1), ID), /it is locked/);
  await assert.rejects(signed(stage(() => "wrong"), noise(1), ID), /passphrase does not fit/);
  assert.deepEqual(await undone(stage(), await stored(stage(() => "correct horse"), noise(9))), noise(9));
});

Deno.test("openpgp() signs with RSA, elliptic curves of both generations and 448 bits, binary and armored", async () => {
  for (const type of ["rsa", "ecc", "curve25519", "curve448"] as const) {
    const pair = await openpgpPair({ type });
    for (const armor of [false, true]) {
      const stage = sign.openpgp({ certificate: pair.certificate, secretKey: () => pair.secretKey, armor });
      assert.deepEqual(
        await undone(stage, await stored(stage, noise(3000))),
        noise(3000),
        `${type} ${armor}`,
      );
    }
  }
});

Deno.test("openpgp() refuses to sign with an expired key, and takes what was signed before it expired", async () => {
  const day = 86_400_000;
  const pair = await openpgpPair({ date: new Date(Date.now() - 10 * day), days: 5 });
  const stage = sign.openpgp({ certificate: pair.certificate, secretKey: () => pair.secretKey });
  await assert.rejects(signed(stage, noise(1), ID), KeyError);
  // Whoever holds the secret can sign at any time: here the stage has opened its key while that was good.
  const open = sign.openpgp({ certificate: pair.certificate, secretKey: () => pair.secretKey });
  for (const [age, fits] of [[7, true], [3, false], [11, false]] as const) {
    const objects = await withTime(new Date(Date.now() - age * day), () => stored(open, noise(9)));
    if (fits) assert.deepEqual(await undone(stage, objects), noise(9));
    else await refused(stage, objects, /was not good for signing/);
  }
});

Deno.test("a superseded key stands for what it signed before, a compromised one for nothing", async () => {
  const day = 86_400_000;
  const pair = await openpgpPair({ date: new Date(Date.now() - 10 * day) });
  const stage = sign.openpgp({ certificate: pair.certificate, secretKey: () => pair.secretKey });
  const before = await withTime(new Date(Date.now() - 5 * day), () => stored(stage, noise(9)));
  const after = await stored(stage, noise(9));
  const revoked = async (flag: number): Promise<Stage<Sealed, Sealed>> => {
    const { publicKey } = await revokeKey({
      key: await readPrivateKey({ armoredKey: pair.secretKey }),
      reasonForRevocation: { flag, string: "test" },
      date: new Date(Date.now() - 2 * day),
      format: "object",
    });
    return sign.openpgp({ certificate: (await readKey({ armoredKey: publicKey.armor() })).armor() });
  };
  const superseded = await revoked(1);
  assert.deepEqual(await undone(superseded, before), noise(9));
  await refused(superseded, after, /was not good for signing/);
  await refused(await revoked(2), before, /was not good for signing/);
});

/** Runs `work` while the clock stands at `time`. */
async function withTime<T>(time: Date, work: () => Promise<T>): Promise<T> {
  const Real = Date;
  const offset = time.getTime() - Real.now();
  class Shifted extends Real {
    constructor(...args: number[]) {
      super(...(args.length === 0 ? [Real.now() + offset] : args) as [number]);
    }
    static override now(): number {
      return Real.now() + offset;
    }
  }
  globalThis.Date = Shifted as DateConstructor;
  try {
    return await work();
  } finally {
    globalThis.Date = Real;
  }
}
