/** The Pod API's data in a file: on the disk, with its name, before what it stands for may go. */
import { strict as assert } from "node:assert";
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { ROOT } from "../cli/support.ts";
import { judged, scratch } from "../support.ts";

judged("podApiFile() waits until the disk has the file, then its name", ["strace"], () => {
  using dir = scratch();
  writeFileSync(
    dir.join("run.ts"),
    `import { podApiFile } from "${ROOT}/src/recipes/prose/pod_api.ts";
await podApiFile("${dir.join("api.tar")}")(new Blob(["a tar"]).stream(), new AbortController().signal);
`,
  );
  const calls = "trace=write,pwrite64,fsync,link,linkat";
  const traced = ["-ff", "-ttt", "-qq", "-y", "-o", dir.join("trace"), "-e", calls];
  const deno = ["run", "-A", "--no-check", "--config", `${ROOT}/deno.json`, dir.join("run.ts")];
  execFileSync("strace", [...traced, Deno.execPath(), ...deno], { cwd: ROOT, stdio: "pipe" });
  assert.equal(readFileSync(dir.join("api.tar"), "utf8"), "a tar");
  // One file a thread, because lines of one file would be torn; the time orders them.
  const lines = readdirSync(dir.path).filter((name) => name.startsWith("trace."))
    .flatMap((name) => readFileSync(dir.join(name), "utf8").split("\n")).sort();
  const seen = lines.flatMap((line) => {
    const [, call] = /^\S+ (\w+)\(.*= /.exec(line) ?? [];
    if (call?.startsWith("link")) return line.includes("/api.tar") ? ["link"] : [];
    if (line.includes(`<${dir.path}>`)) return [`${call} folder`];
    return line.includes(`<${dir.path}/.api.tar.`) ? [`${call} file`] : [];
  });
  assert.deepEqual(seen, ["write file", "fsync file", "link", "fsync folder"]);
});
