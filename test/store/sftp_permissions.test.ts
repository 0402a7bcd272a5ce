/** The line that `config --permissions` prints for a plan on an SFTP server, or behind rclone, is enough, run as it stands. */
import { strict as assert } from "node:assert";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { ROOT } from "../cli/support.ts";
import { treeScratch } from "../engine/support.ts";
import { judged, sh } from "../support.ts";
import { folderOn, SSHD, startSshd } from "./sftp_server.ts";

/** Prints the line for a plan that stores there, runs it, and gives the line. */
async function runLine(url: string, dir: { readonly join: (...parts: string[]) => string }): Promise<string> {
  writeFileSync(
    dir.join("backup.toml"),
    `[plan.app]\ncollect = { files = ["src"] }\nencrypt = "plaintext"\nupload = { to = "${url}" }\n`,
  );
  const env = {
    HOME: dir.join("."),
    XDG_STATE_HOME: dir.join("state"),
    NO_COLOR: "1",
    USER: "nobody",
    SSH_AUTH_SOCK: "",
  };
  const config = ["run", "-A", "--no-prompt", `${ROOT}/tasks/config.ts`, "--config", dir.join("backup.toml")];
  const printed = await new Deno.Command(Deno.execPath(), { args: [...config, "--permissions"], env })
    .output();
  const line = new TextDecoder().decode(printed.stdout).trim().replace(/^deno /, `'${Deno.execPath()}' `);
  const { code, stdout, stderr } = await new Deno.Command("/bin/sh", { args: ["-c", line], env }).output();
  assert.equal(code, 0, `${line}\n${new TextDecoder().decode(stderr)}`);
  assert.match(new TextDecoder().decode(stdout), /^app_.*\.tar\.zst$/m);
  return line;
}

judged("config --permissions of a plan on an SFTP server prints a line that runs", [SSHD], async () => {
  using dir = treeScratch();
  const server = await startSshd();
  try {
    const at = `sftp://${server.user}@127.0.0.1:${server.port}`;
    const [one, two] = [folderOn(server), folderOn(server)];
    const explicit = `${at}${one}?key=${server.keyFile}&knownHosts=${server.knownHosts}`;
    const line = await runLine(explicit, dir);
    assert.match(line, /--allow-net=127\.0\.0\.1:\d+ /);
    assert.doesNotMatch(line, /--allow-run|\.ssh|homedir/);
    assert.doesNotMatch(line.replaceAll(server.keyFile, ""), new RegExp(server.data)); // nothing of the server's disk
    sh(`cd '${one}' && sha256sum -c *.sha256 && tar -tf *.tar.zst`);
    // Everything where ssh has it.
    mkdirSync(dir.join(".ssh"));
    Deno.copyFileSync(server.keyFile, dir.join(".ssh", "id_ed25519"));
    Deno.copyFileSync(server.knownHosts, dir.join(".ssh", "known_hosts"));
    await runLine(`${at}${two}`, dir);
    sh(`cd '${two}' && sha256sum -c *.sha256`);
  } finally {
    await server.close();
  }
});

judged("config --permissions of a plan behind rclone prints a line that runs", ["rclone"], async () => {
  using dir = treeScratch();
  mkdirSync(dir.join("remote"));
  const line = await runLine(`rclone::local:${dir.join("remote")}`, dir);
  assert.match(line, /--allow-run=rclone /);
  assert.ok(existsSync(dir.join("remote")));
  sh(`cd '${dir.join("remote")}' && sha256sum -c *.sha256`);
});
