/** Reaching the C library: only with the permission, and never by asking. */
import { strict as assert } from "node:assert";
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { ERRNO, libraries, openLibrary, pathBuffer, reach } from "../../src/libc/open.ts";

const module = new URL("../../src/libc/open.ts", import.meta.url).href;
const known = libraries().length > 0;
const GETPID = `const { openLibrary, reach } = await import(${JSON.stringify(module)});
const opened = openLibrary({ getpid: { parameters: [], result: "i32" } });
console.log(opened ? opened.call.getpid() === Deno.pid : reach().why);
opened?.close();`;

function run(...flags: string[]): string {
  const config = fileURLToPath(new URL("../../deno.json", import.meta.url));
  const args = ["run", "--no-prompt", "--quiet", "--config", config, ...flags, "-"];
  return execFileSync(Deno.execPath(), args, { encoding: "utf8", input: GETPID }).trim();
}

Deno.test(
  { name: "the library opens with the permission, whole or for its path alone", ignore: !known },
  () => {
    const path = libraries().slice(1).find((path) => existsSync(path));
    assert.ok(path, `none of ${libraries().join(", ")} is there`);
    assert.equal(run("--allow-read", "--allow-ffi"), "true");
    assert.equal(run("--allow-read", `--allow-ffi=${path}`), "true");
  },
);

Deno.test({ name: "without the permission it says so", ignore: !known }, () => {
  assert.equal(run("--allow-read"), "the permission --allow-ffi is not granted");
  assert.equal(run("-A", "--deny-ffi"), "the permission --allow-ffi is not granted");
});

Deno.test("other systems have no library", () => {
  for (const target of ["x86_64-apple-darwin", "x86_64-pc-windows-msvc", "riscv64-unknown-linux-gnu"]) {
    assert.deepEqual(libraries(target), []);
  }
  assert.equal(libraries("aarch64-unknown-linux-gnu")[1], "/lib/aarch64-linux-gnu/libc.so.6");
  assert.ok(!libraries("x86_64-unknown-linux-musl").some((path) => path.includes("libc.so.6")));
});

Deno.test({ name: "a failed call says what and why", ignore: !known }, () => {
  assert.ok("library" in reach());
  const opened = openLibrary({ rmdir: { parameters: ["buffer"], result: "i32" } })!;
  try {
    const path = pathBuffer();
    assert.equal(opened.call.rmdir(path("/nonexistent/\u{10ffff}")), -1);
    assert.equal(opened.errno(), ERRNO.ENOENT);
    assert.equal(opened.call.rmdir(path("/etc/passwd")), -1);
    assert.deepEqual({ ...opened.fault("rmdir /etc/passwd") }, { code: "ENOTDIR", errno: ERRNO.ENOTDIR });
    assert.throws(() => path("a".repeat(4096)), { code: "ENAMETOOLONG" });
    assert.throws(() => path("\u{10ffff}".repeat(4096)), { code: "ENAMETOOLONG" });
    assert.throws(() => path("a\0b"), { code: "EINVAL" });
  } finally {
    opened.close();
  }
});

Deno.test({ name: "a function that is not there is no library", ignore: !known }, () => {
  assert.equal(openLibrary({ no_such_function: { parameters: [], result: "i32" } }), undefined);
});
