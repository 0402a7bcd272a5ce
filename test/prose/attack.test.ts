/** The attack table against a pod's backups: who can write to the store, and holds no secret key. The pod is never touched. */
import { strict as assert } from "node:assert";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { backup, encrypt, type Plan, prose, sign, store, verify } from "../../mod.ts";
import { sha256 } from "../../src/bytes.ts";
import { EXIT, exitCode } from "../../src/cli/exit.ts";
import { memoryState } from "../../src/context.ts";
import { decodeReceipt, encodeReceipt, type Receipt } from "../../src/receipt.ts";
import { treeOf } from "../collect/extract_support.ts";
import { openpgpPair } from "../sign/support.ts";
import { scratch } from "../support.ts";

const owner = await openpgpPair();
const thief = await openpgpPair();
const T0 = Date.UTC(2025, 11, 2, 10, 46, 50);
const idAt = (n: number): string =>
  `prose_${new Date(T0 + n * 3_600_000).toISOString().slice(0, 19)}Z.tar.zst.gpg`;
const [FIRST, SECOND, LAST] = [idAt(0), idAt(1), idAt(2)] as const;

type Change = (file: (name: string) => string) => void;

const spoil = (path: string, change: (bytes: Uint8Array) => Uint8Array): void =>
  writeFileSync(path, change(new Uint8Array(readFileSync(path))));
const flip = (bytes: Uint8Array): Uint8Array => {
  bytes[bytes.length >> 1]! ^= 1;
  return bytes;
};
const forge = (path: string, id: string, change: (receipt: Receipt) => object): void =>
  spoil(path, (bytes) => {
    const receipt = decodeReceipt(new Uint8Array(bytes), id);
    return encodeReceipt({ ...receipt, ...change(receipt) } as Receipt);
  });

/** Every object of one backup under another's name. */
function rename(file: (name: string) => string, from: string, to: string): void {
  const folder = file("");
  for (const name of readdirSync(folder)) {
    if (name.startsWith(from)) renameSync(join(folder, name), file(name.replace(from, to)));
  }
}

const TABLE: readonly (readonly [name: string, attack: Change, says: RegExp, id?: string])[] = [
  ["flip a bit", (file) => spoil(file(LAST), flip), /SHA-256|signature/],
  ["truncate", (file) => spoil(file(LAST), (bytes) => bytes.subarray(0, -1)), /bytes/],
  ["strip .sig", (file) => rmSync(file(`${LAST}.sig`)), /not signed/],
  [
    "strip .sig, plant .sha256, forge the receipt",
    (file) => {
      spoil(file(LAST), flip);
      const digest = sha256(readFileSync(file(LAST)));
      for (const suffix of [".sig", ".receipt.json.sig"]) rmSync(file(LAST + suffix));
      writeFileSync(file(`${LAST}.sha256`), `${digest}  ${LAST}\n`);
      forge(file(`${LAST}.receipt.json`), LAST, (receipt) => ({
        objects: (receipt as unknown as { objects: { suffix: string }[] }).objects.map((one) =>
          one.suffix === "" ? { ...one, sha256: digest } : one
        ),
      }));
    },
    /signature|signed/,
  ],
  [
    "swap two backups",
    (file) => {
      rename(file, FIRST, "x");
      rename(file, SECOND, FIRST);
      rename(file, "x", SECOND);
    },
    /made for|is about|receipt/,
    SECOND,
  ],
  [
    "re-date: rename with everything beside it",
    (file) => rename(file, FIRST, idAt(30)),
    /made for|receipt/,
    idAt(30),
  ],
  [
    "prose_x.tar.zst in the clear beside prose_x.tar.zst.gpg",
    (file) => {
      const clear = LAST.replace(/\.gpg$/, "");
      writeFileSync(file(clear), "whatever");
      writeFileSync(file(`${clear}.sha256`), `${sha256(new TextEncoder().encode("whatever"))}  ${clear}\n`);
    },
    /no receipt/,
    LAST.replace(/\.gpg$/, ""),
  ],
  [
    "the same, with a receipt of its own making",
    (file) => {
      const clear = LAST.replace(/\.gpg$/, "");
      writeFileSync(file(clear), readFileSync(file(LAST)));
      writeFileSync(file(`${clear}.receipt.json`), readFileSync(file(`${LAST}.receipt.json`)));
      forge(file(`${clear}.receipt.json`), LAST, () => ({ id: clear }));
    },
    /in the clear|signature|signed/,
    LAST.replace(/\.gpg$/, ""),
  ],
  [
    "sign with another key",
    (file) => {
      for (const suffix of [".sig", ".receipt.json.sig"]) rmSync(file(LAST + suffix));
      for (const suffix of [".sig", ".receipt.json.sig"]) {
        writeFileSync(file(LAST + suffix), readFileSync(join(file(".."), `thief${suffix}`)));
      }
    },
    /none of the trusted ones/,
  ],
  ["replay an old receipt", (file) => {
    for (const suffix of [".receipt.json", ".receipt.json.sig"]) {
      writeFileSync(file(LAST + suffix), readFileSync(file(FIRST + suffix)));
    }
  }, /made for/],
  [
    "delete the newest",
    (file) => {
      for (const name of readdirSync(file(""))) if (name.startsWith(LAST)) rmSync(file(name));
    },
    /gone|had seen/,
    "latest",
  ],
];

function planOf(dir: ReturnType<typeof scratch>, to: string, { certificate, secretKey } = owner): Plan {
  return prose.prosePlan(optionsOf(dir, to, { certificate, secretKey }));
}

function optionsOf(
  dir: ReturnType<typeof scratch>,
  to: string,
  by: { certificate: string; secretKey: string } = owner,
): prose.ProsePlanOptions {
  const parts = ["prose-config", "prose-pod-server-data", "prosody-config", "prosody-data"] as const;
  return {
    service: "none",
    paths: Object.fromEntries(parts.map((part) => [part, dir.join("live", part)])),
    to: store.directory(dir.join(to)),
    encrypt: encrypt.openpgp({ recipients: [owner.certificate], secretKey: () => owner.secretKey }),
    sign: sign.openpgp({ certificate: by.certificate, secretKey: () => by.secretKey }),
  };
}

Deno.test("attacks on a pod's backups are named, end with exit code 5, and leave the pod as it is", async () => {
  using dir = scratch();
  for (const part of ["prose-config", "prose-pod-server-data", "prosody-config", "prosody-data"]) {
    mkdirSync(dir.join("live", part), { recursive: true });
    writeFileSync(dir.join("live", part, "file"), part);
  }
  const state = memoryState();
  for (const n of [0, 1, 2]) await backup(planOf(dir, "sound"), { now: new Date(T0 + n * 3_600_000), state });
  await backup(planOf(dir, "other", thief), { now: new Date(T0 + 2 * 3_600_000) });
  for (const suffix of [".sig", ".receipt.json.sig"]) {
    writeFileSync(dir.join(`thief${suffix}`), readFileSync(dir.join("other", LAST + suffix)));
  }
  const live = treeOf(dir.join("live")).split("\n").slice(1).join("\n");
  for (const [name, attack, says, id = LAST] of TABLE) {
    // The same path each time: what the host remembers is about it.
    renameSync(dir.join("sound"), dir.join("kept"));
    mkdirSync(dir.join("sound"));
    for (const one of readdirSync(dir.join("kept"))) {
      if (!one.endsWith(".lease")) Deno.copyFileSync(dir.join("kept", one), dir.join("sound", one));
      if (one.startsWith("prose_")) Deno.chmodSync(dir.join("sound", one), 0o600);
    }
    attack((file) => dir.join("sound", file));
    const work = prose.proseRestore(optionsOf(dir, "sound"), { id, state });
    await assert.rejects(work, (error) => {
      assert.match(String(error), says, name);
      assert.equal(exitCode(error), EXIT.integrity, `${name}: ${error}`);
      return true;
    }, name);
    await assert.rejects(
      verify(planOf(dir, "sound"), { id, state, level: "full" }),
      (error) => exitCode(error) === EXIT.integrity,
      name,
    );
    assert.equal(treeOf(dir.join("live")).split("\n").slice(1).join("\n"), live, name);
    rmSync(dir.join("sound"), { recursive: true });
    renameSync(dir.join("kept"), dir.join("sound"));
  }
  // Its twin: untouched, it is restored.
  assert.equal(await prose.proseRestore(optionsOf(dir, "sound"), { id: "latest", state }), LAST);
});
