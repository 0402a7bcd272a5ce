/** The tree is the architecture: which file may import which, and who may print. */
import { strict as assert } from "node:assert";
import { globSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../", import.meta.url));
const files = globSync("src/**/*.ts", { cwd: root });
const VERBS = ["collect", "archive", "compress", "encrypt", "sign", "store", "upload", "prune"];

/** What a folder may import besides itself and the files right under src/. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = { upload: ["store"], prune: ["store"] };

/** Folders of operations on whole plans: bound like the files right under src/. */
const OPERATIONS = ["health", "notify", "report", "keys", "rotate"];

/** Files under src/ that know verbs; all others there know none. */
const KNOWING: Readonly<Record<string, readonly string[]>> = {
  "plan.ts": VERBS,
  "adhoc.ts": VERBS,
  "cli.ts": VERBS,
  "follow.ts": ["collect"], // asks whether databases have changed
  "verify.ts": ["archive"], // compares entries with the index
  "prove.ts": ["archive"], // the proof is the index's
  "keys/look.ts": ["encrypt"], // reads the start of what is encrypted
  "rotate/forget.ts": ["upload"], // the leases of all targets
  "rotate/reencrypt.ts": ["upload", "store"],
  "rotate/one.ts": ["upload"], // writes as a backup is written
  "rotate/succeed.ts": ["upload", "store"],
  "health/store.ts": ["store"], // who holds a lease
};

Deno.test("imports point one way", () => {
  const wrong: string[] = [];
  for (const file of files) {
    const [, folder = "", rest] = file.split("/");
    const from = rest === undefined ? "" : folder;
    for (const target of importsOf(file)) {
      const to = target.split("/").length > 2 ? target.split("/")[1]! : "";
      if (!VERBS.includes(to) || to === from) continue;
      const allowed = from === "" || OPERATIONS.includes(from)
        ? KNOWING[file.slice("src/".length)] ?? []
        : VERBS.includes(from)
        ? ALLOWED[from] ?? []
        : VERBS;
      if (!allowed.includes(to)) wrong.push(`${file} imports ${target}`);
    }
    if (VERBS.includes(from)) {
      for (const target of importsOf(file)) {
        if (/^src\/(plan|cli|run|restore|verify|drill|list|cat|find|context|config)\.ts$/.test(target)) {
          wrong.push(`${file} imports ${target}`);
        }
      }
    }
  }
  assert.deepEqual(wrong, []);
});

Deno.test("stage.ts and errors.ts import nothing", () => {
  assert.deepEqual(importsOf("src/stage.ts"), []);
  assert.deepEqual(importsOf("src/errors.ts"), []);
});

Deno.test("nothing in src prints but the command line", () => {
  const printing = files.filter((file) => !/^src\/cli[./]/.test(file))
    .filter((file) => /\bconsole\.|Deno\.std(out|err)|process\.std/.test(codeOf(file)));
  assert.deepEqual(printing, []);
});

Deno.test("deno task soak runs every test that has more to do in it", () => {
  const { tasks } = JSON.parse(readFileSync(join(root, "deno.json"), "utf8")) as { tasks: { soak: string } };
  const listed = tasks.soak.split(" ").filter((word) => word.startsWith("test/"));
  const asking = globSync("test/**/*.ts", { cwd: root })
    .filter((file) => readFileSync(join(root, file), "utf8").includes(`env.get("${"HOLDFAST_SOAK"}")`));
  const missing = asking.filter((file) =>
    // A helper asks for all tests of its folder.
    !listed.some((path) =>
      file === path || (file.endsWith(".test.ts") ? file : dirname(file) + "/").startsWith(`${path}/`)
    )
  );
  assert.ok(asking.length > 30);
  assert.deepEqual(missing, []);
});

/** A file without its comments. */
function codeOf(file: string): string {
  return readFileSync(join(root, file), "utf8").replaceAll(/^\s*(?:\/\*\*|\*|\/\/).*$/gm, "");
}

/** The project's own modules that a file imports, types included, as paths from the root. */
function importsOf(file: string): string[] {
  const text = readFileSync(join(root, file), "utf8");
  return [...text.matchAll(/(?:from|import)\s*\(?\s*"(\.[^"]+)"/g)].map((match) =>
    normalize(join(dirname(file), match[1]!))
  );
}
