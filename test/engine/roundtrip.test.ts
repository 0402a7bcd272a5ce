/**
 * Any tree restores equal: by `restore`, and by the stock tools that RESTORE.txt names, to byte-identical trees with equal metadata.
 */
import { strict as assert } from "node:assert";
import * as fs from "node:fs";
import fc from "fast-check";
import {
  archive,
  backup,
  collect,
  compress,
  encrypt,
  pipeline,
  restore,
  sign,
  store,
  upload,
} from "../../mod.ts";
import { noise, scratch, sh } from "../support.ts";
import { identity, recipient } from "./support.ts";

const RUNS = Deno.env.get("HOLDFAST_SOAK") ? 300 : 8;

interface Node {
  readonly name: string;
  readonly kind: "file" | "directory" | "symlink" | "hardlink";
  readonly mode: number;
  readonly mtimeMs: number;
  readonly size: number;
  readonly owner: number;
  readonly children: readonly Node[];
}

const SIZES = [0, 1, 511, 512, 513, 65_535, 65_536, 65_537, (1 << 20) - 1, 1 << 20, (1 << 20) + 1];
const BIG = [2_097_151, 2_097_152, 2_097_153, 4_194_304];

const name = fc.oneof(
  fc.stringMatching(/^[a-z]{1,8}$/),
  fc.string({ minLength: 1, maxLength: 12, unit: "grapheme" }),
  fc.constantFrom(
    "ünïcödé",
    "日本語",
    "a b",
    "-rf",
    "new\nline",
    "tab\t",
    "a".repeat(200),
    "é".repeat(100),
    "*",
    "\\",
    "'",
    "😀",
    "e\u0301",
  ),
).filter((text) =>
  text !== "." && text !== ".." && !/[\0/]/.test(text) && text.isWellFormed() &&
  new TextEncoder().encode(text).length <= 255
);
const leaf = fc.record({
  name,
  kind: fc.constantFrom("file", "file", "file", "symlink", "hardlink"),
  mode: fc.constantFrom(0o644, 0o600, 0o755, 0o444, 0o000, 0o4755, 0o2775, 0o1777),
  mtimeMs: fc.oneof(
    fc.integer({ min: -10_000_000_000, max: 4_000_000_000_000 }),
    fc.constantFrom(0, 1, -1, 1_700_000_000_000),
  ),
  size: fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...SIZES) }, {
    weight: 1,
    arbitrary: fc.constantFrom(...BIG),
  }),
  owner: fc.constantFrom(0, 1, 1234, 65534, 3_000_000),
  children: fc.constant([]),
}) as fc.Arbitrary<Node>;
const { tree } = fc.letrec<{ tree: Node[]; folder: Node }>((tie) => ({
  tree: fc.array(fc.oneof({ maxDepth: 5, depthSize: "small" }, leaf, tie("folder")), {
    maxLength: 7,
  }) as fc.Arbitrary<Node[]>,
  folder: fc.record({
    name,
    kind: fc.constant("directory"),
    mode: fc.constantFrom(0o755, 0o700, 0o2775, 0o1777),
    mtimeMs: fc.integer({ min: -10_000_000_000, max: 4_000_000_000_000 }),
    size: fc.constant(0),
    owner: fc.constantFrom(0, 1234),
    children: tie("tree"),
  }) as fc.Arbitrary<Node>,
}));

/** Writes a tree; names that stand twice in a folder are written once. */
function plant(root: string, nodes: readonly Node[]): void {
  const files: string[] = [];
  function grow(dir: string, nodes: readonly Node[]): void {
    const seen = new Set<string>();
    for (const node of nodes) {
      if (seen.has(node.name)) continue;
      seen.add(node.name);
      const path = `${dir}/${node.name}`;
      if (node.kind === "directory") {
        fs.mkdirSync(path);
        grow(path, node.children);
      } else if (node.kind === "symlink") fs.symlinkSync(`../${node.name}`, path);
      else if (node.kind === "hardlink" && files.length > 0) {
        fs.linkSync(files[node.size % files.length]!, path);
        continue;
      } else {
        fs.writeFileSync(path, noise(node.size, node.size + node.mode));
        files.push(path);
      }
      fs.lchownSync(path, node.owner, node.owner);
      if (node.kind !== "symlink") fs.chmodSync(path, node.mode);
      fs.lutimesSync(path, node.mtimeMs / 1000, node.mtimeMs / 1000);
    }
  }
  fs.mkdirSync(root, { recursive: true });
  grow(root, nodes);
  fs.utimesSync(root, 1_600_000_000.123, 1_600_000_000.123);
}

/** Every path with kind, mode, owner, links, target and time, and the digest of every file. */
function describe(root: string, precise: boolean): string {
  const time = precise ? "%T@" : "%Ts";
  const metadata = sh(
    `cd '${root}' && find . -printf '%P\\0%y %m %U %G %n %l ${time} %s\\0' | sed -z 's/\\(^d.*\\) [0-9]*$/\\1/'`,
  );
  const digests = sh(`cd '${root}' && find . -type f -print0 | sort -z | xargs -0 -r sha256sum -b -z`);
  const lines = new TextDecoder().decode(metadata).split("\0");
  const pairs: string[] = [];
  for (let i = 0; i + 1 < lines.length; i += 2) {
    // Times are promised to the millisecond.
    pairs.push(`${JSON.stringify(lines[i])} ${lines[i + 1]!.replace(/(\.\d{3})\d+/, "$1")}`);
  }
  return pairs.sort().join("\n") + "\n" + new TextDecoder().decode(digests).replaceAll("\0", "\n");
}

Deno.test("any tree restores equal, by restore() and by stock tools", async () => {
  await fc.assert(
    fc.asyncProperty(tree, fc.constantFrom("zstd", "gzip"), async (nodes, pack) => {
      using dir = scratch();
      plant(dir.join("src"), nodes);
      const plan = pipeline(collect.files(dir.join("src")))
        .pipe(archive.tar())
        .pipe(pack === "zstd" ? compress.zstd() : compress.gzip())
        .pipe(encrypt.age({ recipients: [recipient], identities: () => identity }))
        .pipe(sign.sha256())
        .pipe(upload({ name: "tree", to: store.directory(dir.join("store")) }));
      const { status } = await backup(plan);
      assert.equal(status, "complete");
      const wanted = describe(dir.join("src"), true);
      await restore(plan, { into: dir.join("ours") });
      assert.equal(describe(dir.join("ours/src"), true), wanted);
      fs.writeFileSync(dir.join("store/identity.txt"), identity);
      sh(fs.readFileSync(dir.join("store/tree.RESTORE.txt"), "utf8"), { cwd: dir.join("store") });
      assert.equal(describe(dir.join("store/restored/src"), true), wanted);
    }),
    { numRuns: RUNS, seed: 20261120 },
  );
});

Deno.test("thousands of small files, a deep path and a sparse file restore equal", async () => {
  using dir = scratch();
  const root = dir.join("src");
  for (let i = 0; i < 3000; i++) {
    fs.mkdirSync(`${root}/d${i % 50}`, { recursive: true });
    fs.writeFileSync(`${root}/d${i % 50}/f${i}`, noise(i % 700, i));
  }
  fs.mkdirSync(`${root}/${"deep/".repeat(300)}`, { recursive: true });
  fs.writeFileSync(`${root}/${"deep/".repeat(300)}end`, "end");
  sh(
    `truncate -s 64M '${root}/sparse' && printf x | dd of='${root}/sparse' bs=1 seek=40000000 conv=notrunc status=none`,
  );
  const plan = pipeline(collect.files(root)).pipe(archive.tar()).pipe(compress.zstd()).pipe(
    encrypt.plaintext(),
  )
    .pipe(upload({ name: "many", to: store.directory(dir.join("store")) }));
  await backup(plan);
  await restore(plan, { into: dir.join("out") });
  assert.equal(describe(dir.join("out/src"), true), describe(root, true));
  sh(
    `mkdir '${dir.join("tar")}' && zstd -dc '${dir.join("store")}'/*.zst | tar -xpf - -C '${
      dir.join("tar")
    }'`,
  );
  assert.equal(describe(dir.join("tar/src"), true), describe(root, true));
});
