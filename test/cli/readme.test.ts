/** The README's first command, as printed, in a fresh copy of the project with a home of its own. */
import { strict as assert } from "node:assert";
import { judged, scratch, sh } from "../support.ts";
import { bareEnv, makeTree, ROOT } from "./support.ts";

judged("the README's first command makes and lists a backup, as printed", ["npx", "cp"], () => {
  using dir = scratch();
  const printed = /^npx -y deno@\S+ task backup PATH$/m.exec(Deno.readTextFileSync(`${ROOT}/README.md`))?.[0];
  assert.ok(printed, "the README prints it");
  for (const name of ["home", "clone"]) Deno.mkdirSync(dir.join(name));
  makeTree(dir.join("docs"));
  sh(`cp -r deno.json deno.lock mod.ts src tasks '${dir.join("clone")}'`, { cwd: ROOT });
  // What npx has fetched before is not fetched again for the other home.
  const cache = new TextDecoder().decode(sh("npm config get cache")).trim();
  const user = {
    home: dir.join("home"),
    cwd: dir.join("clone"),
    env: {
      PATH: Deno.env.get("PATH") ?? "",
      npm_config_cache: cache,
      XDG_CONFIG_HOME: dir.join("home", "config"),
      XDG_STATE_HOME: dir.join("home", "state"),
    },
  };
  const [program, ...args] = printed.replace("PATH", "../docs").split(" ");
  const { code, stdout, stderr } = new Deno.Command(program!, {
    args,
    cwd: user.cwd,
    clearEnv: true,
    env: bareEnv(user),
    stdin: "null",
  }).outputSync();
  const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  assert.equal(code, 0, err);
  const id = out!.trim();
  assert.match(id, /^docs_\S+\.tar\.zst\.age$/);
  assert.ok(Deno.statSync(dir.join("clone", "backups", id)).size > 0);
  assert.match(err!, new RegExp(`^${id} +complete `, "m"));
  const key = dir.join("home", "config", "holdfast", "identity.txt");
  assert.ok(err!.includes(key) && Deno.statSync(key).isFile, err);
});
