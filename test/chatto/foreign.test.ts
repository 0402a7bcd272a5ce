/** Archives as other versions of Chatto write them, and archives that nobody should have written. */
import { strict as assert } from "node:assert";
import { cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { chattoBackup, chattoRestore } from "../../src/recipes/chatto.ts";
import { ask } from "../jetstream/support.ts";
import { judged, sh } from "../support.ts";
import { type Chatto, startChatto } from "./support.ts";

/** An unpacked archive, changed and packed again by tar, restored into an empty server. */
async function restored(
  from: Chatto,
  into: Chatto,
  change: (dir: string) => void | string,
): Promise<readonly string[]> {
  const dir = `${from.dir}/x`;
  rmSync(dir, { recursive: true, force: true });
  mkdirSync(dir);
  sh(`tar -xf '${from.dir}/b.tar.gz' -C '${dir}'`);
  const names = change(dir) ?? "backup";
  sh(`tar -czf '${from.dir}/y.tar.gz' -C '${dir}' ${names}`);
  const acts: string[] = [];
  await chattoRestore(`${from.dir}/y.tar.gz`, {
    config: `${into.dir}/chatto.toml`,
    report: (stream, action) => void acts.push(`${action} ${stream}`),
  });
  return acts;
}

const edit = (dir: string, change: (text: string) => string): void => {
  const file = `${dir}/backup/manifest.json`;
  writeFileSync(file, change(readFileSync(file, "utf8")));
};

judged("chatto:restore takes archives of other versions, and refuses bad ones without a trace", [
  "nats-server",
  "tar",
], async () => {
  await using chatto = await startChatto();
  await using other = await startChatto({ fill: false });
  await chattoBackup({ config: `${chatto.dir}/chatto.toml`, output: `${chatto.dir}/b.tar.gz` });
  const bad: readonly [RegExp, (dir: string) => void | string][] = [
    [/more than one top folder \("backup", "more"\)/, (dir) => {
      mkdirSync(`${dir}/more`);
      return "backup more";
    }],
    [
      /names "EVT", which it does not hold/,
      (dir) => rmSync(`${dir}/backup/streams/EVT`, { recursive: true }),
    ],
    [/it has no manifest\.json/, (dir) => rmSync(`${dir}/backup/manifest.json`)],
    [
      /names a stream "\.\.\/EVT", which is no stream's name/,
      (dir) => edit(dir, (text) => text.replace('"EVT"', '"../EVT"')),
    ],
    [/names the stream "EVT" twice/, (dir) => edit(dir, (text) => text.replace('"NOTIFICATIONS"', '"EVT"'))],
    [
      /has version 2, this program knows version 1/,
      (dir) => edit(dir, (text) => text.replace('"version": 1', '"version": 2')),
    ],
    [/is not what Chatto writes/, (dir) => edit(dir, () => "{")],
    [
      /Cannot restore "backup\/streams\/EVT\/link" \(symlink\)/,
      (dir) => symlinkSync("/etc/passwd", `${dir}/backup/streams/EVT/link`),
    ],
    [/holds this twice/, () => "backup backup/streams/EVT/backup.json"],
    [
      /its backup\.json is that of "NOTIFICATIONS"/,
      (dir) =>
        cpSync(`${dir}/backup/streams/NOTIFICATIONS/backup.json`, `${dir}/backup/streams/EVT/backup.json`),
    ],
    [/stream\.tar\.s2": it is cut/, (dir) => writeFileSync(`${dir}/backup/streams/EVT/stream.tar.s2`, "")],
  ];
  for (const [message, change] of bad) {
    await assert.rejects(restored(chatto, other, change), message);
    assert.equal((await ask(other.server.nc, "INFO")).streams, 0, String(message));
  }
  // A stream that had failed leaves an empty file, an older version another top folder, and what the manifest lacks is left out.
  const acts = await restored(chatto, other, (dir) => {
    edit(dir, (text) => {
      const manifest = JSON.parse(text);
      const [evt, runtime] = manifest.streams;
      return JSON.stringify({ ...manifest, streams: [{ ...evt, error: "snapshot failed" }, runtime] });
    });
    writeFileSync(`${dir}/backup/streams/EVT/stream.tar.s2`, "");
    sh(`mv '${dir}/backup' '${dir}/chatto-daily'`);
    return "chatto-daily/manifest.json chatto-daily/streams";
  });
  assert.deepEqual(acts, ["create KV_RUNTIME_STATE"]);
});
