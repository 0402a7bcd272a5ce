/** Random edits over many generations: every backup of every chain comes back as the tree was. */
import { strict as assert } from "node:assert";
import * as fs from "node:fs";
import fc from "fast-check";
import { restore } from "../../src/restore.ts";
import { verify } from "../../src/verify.ts";
import { type Scene, scene, shape } from "./support.ts";

const SOAK = Deno.env.get("HOLDFAST_SOAK") === "1";
/** Names that sort, quote and pass through a shell in unusual ways. */
const NAMES = ["a", "b", "c", "-rf", "new\nline", "sp ace", "ä", "\u{1f600}", "a.b", "a-b", "~z", "tab\tx"];

const name = fc.constantFrom(...NAMES);
const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((parts) => parts.join("/"));
const edit = fc.oneof(
  fc.record({ do: fc.constant("write" as const), path, text: fc.string({ maxLength: 6 }) }),
  fc.record({ do: fc.constant("folder" as const), path }),
  fc.record({ do: fc.constant("remove" as const), path }),
  fc.record({ do: fc.constant("link" as const), path, to: path }),
  fc.record({ do: fc.constant("symlink" as const), path, to: path }),
  fc.record({ do: fc.constant("rename" as const), path, to: path }),
  fc.record({ do: fc.constant("mode" as const), path, mode: fc.constantFrom(0o644, 0o600, 0o755, 0o700) }),
  fc.record({ do: fc.constant("time" as const), path, ms: fc.integer({ min: -1000, max: 2 ** 40 }) }),
  // The same length at the same time: only the inode's own time tells.
  fc.record({ do: fc.constant("forge" as const), path }),
);

Deno.test("random edits over many generations come back as the tree was, from every backup", async () => {
  const generations = fc.array(fc.array(edit, { maxLength: 8 }), { minLength: 2, maxLength: SOAK ? 9 : 5 });
  await fc.assert(
    fc.asyncProperty(generations, fc.integer({ min: 1, max: 6 }), async (edits, fullEvery) => {
      using at = scene();
      const shapes = new Map<string, string[]>();
      let fulls = 0;
      for (const batch of edits) {
        for (const one of batch) apply(at, one);
        const { id, receipt, status } = await at.run({ fullEvery, fullShare: 1000 });
        assert.equal(status, "complete", at.said.join("\n"));
        if (receipt.contents.base === null) fulls++;
        shapes.set(id, shape(at.src));
      }
      assert.equal(fulls, Math.ceil(edits.length / fullEvery));
      let i = 0;
      for (const [id, wanted] of shapes) {
        const into = at.join(`out${i++}`);
        await restore(at.plan(), { id, into });
        assert.deepEqual(shape(`${into}/app`), wanted);
      }
      await verify(at.plan(), { level: "full" });
    }),
    { ...(SOAK ? {} : { seed: 20261121 }), numRuns: SOAK ? 300 : 8 },
  );
});

type Edit = typeof edit extends fc.Arbitrary<infer T> ? T : never;

/** Does one edit where it is possible. */
function apply({ src }: Scene, one: Edit): void {
  const at = `${src}/${one.path}`;
  try {
    if (one.do === "write") {
      fs.mkdirSync(at.slice(0, at.lastIndexOf("/")), { recursive: true });
      fs.writeFileSync(at, one.text);
    } else if (one.do === "folder") fs.mkdirSync(at, { recursive: true });
    else if (one.do === "remove") fs.rmSync(at, { recursive: true });
    else if (one.do === "link") fs.linkSync(`${src}/${one.to}`, at);
    else if (one.do === "symlink") fs.symlinkSync(one.to, at);
    else if (one.do === "rename") fs.renameSync(at, `${src}/${one.to}`);
    else if (one.do === "mode") fs.chmodSync(at, one.mode);
    else if (one.do === "time") fs.utimesSync(at, new Date(one.ms), new Date(one.ms));
    else forge(at);
  } catch (error) {
    if (typeof (error as { code?: unknown }).code !== "string") throw error;
  }
}

function forge(path: string): void {
  const { mtime, size } = fs.statSync(path);
  if (!fs.lstatSync(path).isFile()) return;
  fs.writeFileSync(path, "x".repeat(size));
  fs.utimesSync(path, mtime, mtime);
}
