/** Our archives read by GNU tar, bsdtar and Python, and theirs by us. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { join } from "node:path";
import { readAll, sha256, utf8 } from "../../src/bytes.ts";
import { comparePaths, tar } from "../../src/archive/mod.ts";
import { readTar } from "../../src/archive/read.ts";
import { writeTar } from "../../src/archive/write.ts";
import type { Bytes, Entry, EntryKind, U8 } from "../../src/stage.ts";
import { inChunks, judged, noise, scratch, sh } from "../support.ts";
import { entry, filesOf, pack, streamed, unpack } from "../archive/help.ts";

const uid = Deno.uid() ?? 0;
const gid = Deno.gid() ?? 0;
const owner = { uid, gid, uname: "", gname: "" };
const GIB = 2 ** 30;

/** What a tree looks like on disk, for comparison: everything that an archive keeps and the disk can tell. */
interface Facts {
  readonly path: string;
  readonly kind: EntryKind;
  readonly mode: number;
  readonly mtimeMs: number;
  readonly sha256?: string | undefined;
  readonly target?: string | undefined;
}

function onDisk(root: string): Facts[] {
  const seen = new Map<string, string>();
  return (fs.readdirSync(root, { recursive: true }) as string[]).sort(comparePaths).map((path) => {
    const full = join(root, path);
    const stat = fs.lstatSync(full, { bigint: true });
    const mtimeMs = Number(stat.mtimeMs);
    const facts = { path, mode: Number(stat.mode) & 0o7777, mtimeMs };
    const first = seen.get(String(stat.ino));
    seen.set(String(stat.ino), first ?? path);
    if (stat.isSymbolicLink()) return { ...facts, mode: 0, kind: "symlink", target: fs.readlinkSync(full) };
    if (stat.isDirectory()) return { ...facts, kind: "directory" };
    return first === undefined
      ? { ...facts, kind: "file", sha256: sha256(fs.readFileSync(full)) }
      : { ...facts, kind: "hardlink", target: first };
  });
}

/** The same of entries; the mode of a symlink means nothing. */
async function inArchive(entries: readonly Entry[]): Promise<Facts[]> {
  const facts = await Promise.all(
    entries.map(async ({ path, kind, mode, mtimeMs, target, body }): Promise<Facts> => ({
      path,
      kind,
      mode: kind === "symlink" ? 0 : mode,
      mtimeMs,
      ...(kind === "file"
        ? {
          sha256: sha256(typeof body === "function" ? await readAll(body(), GIB) : body ?? new Uint8Array(0)),
        }
        : {}),
      ...(target === undefined ? {} : { target }),
    })),
  );
  return facts.sort((a, b) => comparePaths(a.path, b.path));
}

/** A tree with what is hard to store; folders come with their content's times settled. */
function tree(): Entry[] {
  // Eighths of a second: Python's times go through a float, and are cut there.
  const at = 1_700_000_000_125;
  const folder = (path: string, mode = 0o755): Entry =>
    entry(path, { kind: "directory", mode, mtimeMs: at, ...owner });
  const file = (path: string, rest: Partial<Entry> = {}): Entry =>
    entry(path, { mtimeMs: at, ...owner, ...rest });
  return [
    folder("plain"),
    file("plain/a.txt", { mode: 0o600 }),
    file("plain/empty", { body: new Uint8Array(0), bytes: 0 }),
    file("plain/hard", { kind: "hardlink", target: "plain/a.txt", mode: 0o600 }),
    { ...streamed("plain/large", noise(2_500_000)), mtimeMs: 1_700_000_000_000, ...owner },
    file("plain/link", { kind: "symlink", target: "a.txt" }),
    file("plain/dangling", { kind: "symlink", target: "/nowhere/at/all" }),
    file("plain/link-to-long", { kind: "symlink", target: "x".repeat(150) }),
    folder("modes", 0o1777),
    file("modes/setuid", { mode: 0o4755 }),
    file("modes/none", { mode: 0o000 }),
    folder("modes/setgid", 0o2750),
    folder("names"),
    file("names/new\nline"),
    file("names/tab\tand space "),
    file("names/back\\slash"),
    file("names/-dash"),
    file("names/quote\"'$(x)"),
    file("names/grüße-日本語-😀"),
    file("names/" + "n".repeat(99)),
    file("names/" + "n".repeat(100)),
    file("names/" + "n".repeat(250)),
    file("names/" + "ü".repeat(120)),
    file("names/link-ü", { kind: "symlink", target: "grüße-日本語-😀" }),
    ...deep(folder, file),
    folder("times"),
    file("times/epoch", { mtimeMs: 0 }),
    file("times/half", { mtimeMs: 500 }),
    file("times/odd", { mtimeMs: 1_600_000_000_123 }),
  ].sort((a, b) => comparePaths(a.path, b.path));
}

function deep(folder: (path: string) => Entry, file: (path: string) => Entry): Entry[] {
  const out: Entry[] = [];
  let path = "deep";
  for (let i = 0; i < 30; i++) out.push(folder(path)), path += `/level-${i}`;
  return [...out, file(path)];
}

const readers: readonly [string, readonly string[], string][] = [
  ["GNU tar", ["tar"], "tar -xpf -"],
  ["bsdtar", ["bsdtar"], "LC_ALL=C.UTF-8 bsdtar -xpf -"],
  [
    "Python",
    ["python3"],
    'python3 -c \'import sys,tarfile; tarfile.open(fileobj=sys.stdin.buffer,mode="r|").extractall(filter="fully_trusted")\'',
  ],
];

for (const [name, tools, command] of readers) {
  judged(`tar() archives are restored whole by ${name}, without a word`, tools, async () => {
    using dir = scratch();
    // Python leaves the times of symlinks alone, and cuts what a float does not hold.
    const loose = ({ kind, path }: Facts): boolean => kind === "symlink" || path === "times/odd";
    const timed = (facts: Facts[]): Facts[] =>
      name === "Python" ? facts.map((fact) => loose(fact) ? { ...fact, mtimeMs: 0 } : fact) : facts;
    const { bytes } = await pack(tree());
    const said = sh(`umask 0; ${command} 2>&1`, { cwd: dir.path, input: bytes });
    assert.equal(new TextDecoder().decode(said), "");
    assert.deepEqual(timed(onDisk(dir.path)), timed(await inArchive(tree())));
  });
}

judged(
  "tar() keeps times before 1970 for GNU tar, bsdtar and Python",
  ["tar", "bsdtar", "python3"],
  async () => {
    const times = [-1, -1000, -1500, -86_400_000 * 365];
    const { bytes } = await pack(times.map((mtimeMs, i) => entry(`t${i}`, { mtimeMs, ...owner })));
    for (const [name, , command] of readers) {
      using dir = scratch();
      // GNU tar calls them "implausibly old" on standard error.
      sh(command, { cwd: dir.path, input: bytes });
      // bsdtar (libarchive 3.6) adds the fraction of a negative time instead of taking it away: "-1.5" becomes -0.5.
      const expected = name === "bsdtar" ? [1, -1000, -500, times[3]] : times;
      assert.deepEqual(onDisk(dir.path).map(({ mtimeMs }) => mtimeMs), expected, command);
    }
  },
);

judged("tar() writes big numbers as Python reads them", ["python3"], async () => {
  const big = entry("big", {
    uid: 2 ** 31,
    gid: 2_097_152,
    mtimeMs: 0o77777777777 * 1000 + 1_500,
    uname: "ü",
    gname: "g".repeat(33),
  });
  const { bytes } = await pack([big]);
  const script =
    'import sys,tarfile; t=tarfile.open(fileobj=sys.stdin.buffer,mode="r|").next(); print(t.uid,t.gid,t.mtime,t.uname,t.gname)';
  const out = new TextDecoder().decode(sh(`PYTHONIOENCODING=utf-8 python3 -c '${script}'`, { input: bytes }));
  assert.equal(out, `${2 ** 31} 2097152 8589934592.5 ü ${"g".repeat(33)}\n`);
});

judged("tar() heads a file of 9 GiB so that GNU tar, bsdtar and Python see its length", [
  "tar",
  "bsdtar",
  "python3",
], async () => {
  // Only the first block is made: the header is what matters, and 9 GiB take a while.
  const body = (): Bytes =>
    new ReadableStream<U8>({ pull: (controller) => controller.enqueue(new Uint8Array(1 << 20)) }, {
      highWaterMark: 0,
    });
  const files = filesOf([entry("huge", { bytes: 9 * GIB, body, ...owner })]);
  const blocks = writeTar(files.entries(), { entry: () => {}, progress: () => {}, end: () => {} });
  const { value } = await blocks.next();
  await blocks.return();
  const input = value as U8;
  const list = (command: string): string =>
    new TextDecoder().decode(sh(`(${command}; cat >/dev/null) 2>/dev/null`, { input }));
  assert.match(list("tar -tvf -"), / 9663676416 .* huge\n/);
  assert.match(list("bsdtar -tvf -"), / 9663676416 .* huge\n/);
  const script = 'import sys,tarfile; print(tarfile.open(fileobj=sys.stdin.buffer,mode="r|").next().size)';
  assert.equal(list(`python3 -c '${script}'`), "9663676416\n");
  for await (const { path, bytes } of readTar(inChunks(input, 1 << 20), { entries: 9, pathBytes: 99 })) {
    assert.deepEqual([path, bytes], ["huge", 9 * GIB]);
    break;
  }
});

/** Lays the tree out on disk by our own archive and GNU tar. */
async function laidOut(dir: string, keep: (entry: Entry) => boolean = () => true): Promise<void> {
  const { bytes } = await pack(tree().filter(keep));
  sh("umask 0; tar -xpf -", { cwd: dir, input: bytes });
}

const wholeSeconds = (facts: readonly Facts[]): Facts[] =>
  facts.map((fact) => ({ ...fact, mtimeMs: Math.floor(fact.mtimeMs / 1000) * 1000 }));
const short = ({ path, target = "" }: Entry): boolean => utf8(path).length <= 90 && utf8(target).length <= 90;
const ascii = (one: Entry): boolean => short(one) && !/[\u0080-\uffff]/.test(one.path + (one.target ?? ""));

/** Who writes, with which tools, how, what the format can hold, and whether it keeps milliseconds. */
const writers: readonly [
  string,
  readonly string[],
  string,
  ((entry: Entry) => boolean) | undefined,
  boolean,
][] = [
  ["GNU tar, format gnu", ["tar"], "tar --format=gnu -c *", undefined, false],
  ["GNU tar, format oldgnu", ["tar"], "tar --format=oldgnu -c *", undefined, false],
  ["GNU tar, format posix", ["tar"], "tar --format=posix -c *", undefined, true],
  [
    "GNU tar, format posix with a global header",
    ["tar"],
    "tar --format=posix --pax-option=comment=hello -c *",
    undefined,
    true,
  ],
  ["GNU tar, format ustar", ["tar"], "tar --format=ustar -c *", short, false],
  ["GNU tar, format v7", ["tar"], "tar --format=v7 -c *", short, false],
  ["GNU tar of the folder itself", ["tar"], "tar -c .", undefined, false],
  ["GNU tar with a label", ["tar"], "tar --format=gnu -V label -c *", undefined, false],
  ["GNU tar in big records", ["tar"], "tar -b 512 -c *", undefined, false],
  ["bsdtar, format pax", ["bsdtar"], "LC_ALL=C.UTF-8 bsdtar --format=pax -c *", undefined, true],
  ["bsdtar, format pax, in the C locale", ["bsdtar"], "LC_ALL=C bsdtar --format=pax -c *", undefined, true],
  ["bsdtar, format ustar", ["bsdtar"], "bsdtar --format=ustar -c *", ascii, false],
  ["bsdtar, format gnutar", ["bsdtar"], "LC_ALL=C.UTF-8 bsdtar --format=gnutar -c *", undefined, false],
  ["Python, format pax", ["python3"], python("PAX_FORMAT"), undefined, true],
  ["Python, format gnu", ["python3"], python("GNU_FORMAT"), undefined, false],
  ["Python, format ustar", ["python3"], python("USTAR_FORMAT"), short, false],
];

function python(format: string): string {
  return `python3 -c 'import os,sys,tarfile
t=tarfile.open(fileobj=sys.stdout.buffer,mode="w|",format=tarfile.${format})
for n in sorted(os.listdir(".")): t.add(n)
t.close()'`;
}

for (const [name, tools, command, keep, milliseconds] of writers) {
  judged(`tar() undo reads what ${name} writes`, ["tar", ...tools], async () => {
    using dir = scratch();
    await laidOut(dir.path, keep);
    const bytes = sh(command, { cwd: dir.path });
    const found = await inArchive(await unpack(bytes));
    const expected = onDisk(dir.path);
    assert.deepEqual(
      relinked(milliseconds ? found : wholeSeconds(found)),
      relinked(milliseconds ? expected : wholeSeconds(expected)),
    );
  });
}

/** Programs differ in which name of a hard link they store first. */
function relinked(facts: readonly Facts[]): Facts[] {
  const linked = new Set(["plain/a.txt", "plain/hard"]);
  return facts.map((fact) =>
    linked.has(fact.path) ? { ...fact, kind: "file", sha256: undefined, target: undefined } : fact
  );
}

judged("tar() undo reads GNU base-256 numbers: big ids and times before 1970", ["tar"], async () => {
  using dir = scratch();
  fs.writeFileSync(dir.join("x"), "content");
  const create = (options: string): Promise<Entry[]> =>
    unpack(sh(`tar --format=gnu ${options} -c x`, { cwd: dir.path }));
  const [big] = await create("--owner=bob:4294967294 --group=staff:3000000");
  assert.deepEqual([big?.uid, big?.gid, big?.uname, big?.gname], [4294967294, 3000000, "bob", "staff"]);
  const [old] = await create("--mtime=@-1000000");
  assert.equal(old?.mtimeMs, -1_000_000_000);
  const [far] = await create("--mtime=@100000000000");
  assert.equal(far?.mtimeMs, 100_000_000_000_000);
});

judged("tar() undo reads nanoseconds, rounded down, before 1970 too", ["tar"], async () => {
  using dir = scratch();
  fs.writeFileSync(dir.join("x"), "content");
  for (
    const [time, ms] of [["1.9999999", 1999], ["-1.0005", -1001], ["-0.000000001", -1], [
      "0.000999",
      0,
    ]] as const
  ) {
    const [read] = await unpack(sh(`tar --format=posix --mtime=@${time} -c x`, { cwd: dir.path }));
    assert.equal(read?.mtimeMs, ms, time);
  }
});

judged("tar() undo refuses devices, pipes, incremental folders and volumes by name", ["tar"], async () => {
  using dir = scratch();
  sh("mkdir d; echo hello > d/f; mkfifo pipe; head -c 40000 /dev/urandom > long", { cwd: dir.path });
  const refused: [string, RegExp][] = [
    ["tar -c pipe", /"pipe"\): it is a named pipe/],
    ["tar -c /dev/null 2>/dev/null", /"dev\/null"\): it is a character device/],
    ["tar -c --listed-incremental=snar d", /"d\/"\): it is a folder of a GNU incremental archive/],
    [
      "printf 'n v2\\nn v3\\nn v4\\n' | tar -c -M -L 20 -f v1 long >/dev/null; cat v2",
      /the continuation of a file from another volume/,
    ],
  ];
  for (const [command, why] of refused) {
    await assert.rejects(unpack(sh(command, { cwd: dir.path })), why, command);
  }
  assert.equal((await unpack(sh("tar -c d", { cwd: dir.path }))).length, 2);
});

judged("tar() undo passes over extended attributes and foreign PAX keys", ["bsdtar"], async () => {
  using dir = scratch();
  fs.writeFileSync(dir.join("x"), "content");
  const [read] = await unpack(
    sh("bsdtar --format=pax --options pax:xattrheader=ALL -c x", { cwd: dir.path }),
  );
  assert.equal(read?.path, "x");
});

judged("tar() deterministic archives list without owner and with one time", ["tar"], async () => {
  const { bytes } = await pack(tree(), { deterministic: true });
  const out = new TextDecoder().decode(sh("TZ=UTC tar --numeric-owner -tvf -", { input: bytes }));
  assert.ok(out.trimEnd().split("\n").every((line) => / 0\/0 .* 1970-01-01 00:00 /.test(line)));
});

if (Deno.env.get("HOLDFAST_SOAK") === "1") {
  judged("tar() writes and reads a file of 9 GiB in flat memory", ["tar"], async () => {
    const block = noise(1 << 20);
    const before = Deno.memoryUsage().rss;
    const body = (): Bytes => {
      let left = 9 * 1024;
      return new ReadableStream<U8>({
        pull: (controller) => left-- > 0 ? controller.enqueue(block) : controller.close(),
      }, { highWaterMark: 0 });
    };
    const archive = await tar().run(
      filesOf([entry("huge", { bytes: 9 * GIB, body }), entry("z")]),
      (await import("../support.ts")).testContext(),
    );
    const paths: string[] = [];
    for await (const one of readTar(archive.body.read(), { entries: 9, pathBytes: 99 })) {
      paths.push(one.path);
      if (typeof one.body === "function") { for await (const _ of one.body()); }
    }
    assert.deepEqual(paths, ["huge", "z"]);
    // What the suites before it in this process have left behind is not its doing.
    const grown = Deno.memoryUsage().rss - before;
    assert.ok(grown < 250 * 2 ** 20, `${grown} bytes more`);
  });
}
