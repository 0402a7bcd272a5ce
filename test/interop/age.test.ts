/** Stock age judges our files, and we read its files: recipients, passphrases through a real terminal, armor. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { readFileSync, writeFileSync } from "node:fs";
import { age, generateIdentity, recipientOf } from "../../src/encrypt/mod.ts";
import type { U8 } from "../../src/stage.ts";
import { judged, noise, scratch, sh } from "../support.ts";
import { alice, all, archiveOf, bob, context, KIB64, MIB, sealedOf, soak } from "../encrypt/support.ts";

const SIZES = [0, 1, KIB64 - 1, KIB64, KIB64 + 1, MIB, 5 * MIB];
/** A passphrase takes 256 MiB and a second each time. */
const PASSPHRASE_SIZES = soak ? SIZES : [KIB64 + 1];
const PASSPHRASE = "correct horse battery";

/** Runs a program in a terminal of its own and types the passphrase at each prompt for it. */
const TYPIST = `
import os, pty, re, sys
secret, argv = sys.argv[1].encode(), sys.argv[2:]
pid, fd = pty.fork()
if pid == 0:
    os.execvp(argv[0], argv)
seen, typed = b"", 0
while True:
    try:
        data = os.read(fd, 4096)
    except OSError:
        break
    if not data:
        break
    seen += data
    while len(re.findall(rb"passphrase[^:\\n]*: ", seen)) > typed:
        os.write(fd, secret + b"\\n")
        typed += 1
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
if status != 0:
    sys.stderr.write(seen.decode(errors="replace"))
sys.exit(status)
`;

function inTerminal(dir: string, ...argv: readonly string[]): void {
  writeFileSync(`${dir}/typist.py`, TYPIST);
  sh(["python3", `${dir}/typist.py`, PASSPHRASE, ...argv].map((word) => `'${word}'`).join(" "));
}

async function ours(plain: Uint8Array, options: Parameters<typeof age>[0]): Promise<U8> {
  return await all((await age(options).run(archiveOf(plain), context)).body);
}

async function read(file: Uint8Array, options: Parameters<typeof age>[0]): Promise<U8> {
  return await all((await age(options).undo(sealedOf(file), context)).body);
}

for (const recipients of [[alice.recipient], [alice.recipient, bob.recipient]]) {
  const last = recipients.length === 1 ? alice : bob;
  const options = { recipients, identities: () => last.identity };

  judged(`age -d opens what age() writes for ${recipients.length}`, ["age"], async () => {
    using dir = scratch();
    writeFileSync(dir.join("key"), last.identity + "\n");
    for (const size of SIZES) {
      for (const armor of [false, true]) {
        const plain = noise(size, size + 3);
        writeFileSync(dir.join("file.age"), await ours(plain, { ...options, armor }));
        // Not with -o: age makes no file for an empty output.
        sh("age -d -i key file.age > plain", { cwd: dir.path });
        assert.ok(plain.length === size && Buffer.compare(readFileSync(dir.join("plain")), plain) === 0);
      }
    }
  });

  judged(`age() undo opens what age writes for ${recipients.length}`, ["age"], async () => {
    using dir = scratch();
    const to = recipients.map((recipient) => `-r ${recipient}`).join(" ");
    for (const size of SIZES) {
      for (const armor of ["", "-a"]) {
        const plain = noise(size, size + 4);
        // From a file: an empty `input` would leave the program's stdin open.
        writeFileSync(dir.join("plain"), plain);
        const file = sh(`age ${armor} ${to} plain`, { cwd: dir.path });
        assert.ok(Buffer.compare(await read(file, options), plain) === 0, `${size} ${armor}`);
      }
    }
  });
}

judged("age -d in a terminal opens what age() writes with a passphrase", ["age", "python3"], async () => {
  using dir = scratch();
  for (const size of PASSPHRASE_SIZES) {
    const plain = noise(size, 5);
    writeFileSync(dir.join("file.age"), await ours(plain, { passphrase: () => PASSPHRASE }));
    inTerminal(dir.path, "sh", "-c", `age -d ${dir.join("file.age")} > ${dir.join("plain")}`);
    assert.ok(Buffer.compare(readFileSync(dir.join("plain")), plain) === 0);
  }
});

judged("age() undo opens what age -p in a terminal writes", ["age", "python3"], async () => {
  using dir = scratch();
  for (const size of PASSPHRASE_SIZES) {
    const plain = noise(size, 6);
    writeFileSync(dir.join("plain"), plain);
    inTerminal(dir.path, "age", "-p", "-o", dir.join("file.age"), dir.join("plain"));
    const back = await read(readFileSync(dir.join("file.age")), { passphrase: () => PASSPHRASE });
    assert.ok(Buffer.compare(back, plain) === 0);
  }
});

judged("age-keygen's whole key file is taken, and its recipient is ours", ["age", "age-keygen"], async () => {
  using dir = scratch();
  sh("age-keygen -o key 2>/dev/null", { cwd: dir.path });
  const key = readFileSync(dir.join("key"), "utf8");
  const recipient = new TextDecoder().decode(sh("age-keygen -y key", { cwd: dir.path })).trim();
  assert.equal(await recipientOf(key), recipient);
  const file = sh(`age -r ${recipient}`, { input: noise(100) });
  assert.deepEqual(await read(file, { recipients: [alice.recipient], identities: () => key }), noise(100));
});

judged("age-keygen -y agrees with generateIdentity()", ["age-keygen"], async () => {
  const { identity, recipient } = await generateIdentity();
  const input = new TextEncoder().encode(identity + "\n");
  assert.equal(new TextDecoder().decode(sh("age-keygen -y", { input })).trim(), recipient);
});

judged("age -d refuses our file with another key, and one that is cut", ["age"], async () => {
  using dir = scratch();
  const file = await ours(noise(2 * KIB64), { recipients: [alice.recipient] });
  writeFileSync(dir.join("alice"), alice.identity);
  writeFileSync(dir.join("bob"), bob.identity);
  assert.throws(() => sh("age -d -i bob", { cwd: dir.path, input: file }));
  assert.throws(() => sh("age -d -i alice", { cwd: dir.path, input: file.subarray(0, -16 - KIB64) }));
});
