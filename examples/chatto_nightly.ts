/**
 * A Chatto server every night: encrypted, keys included, 14 days and 8 weeks kept. `chatto restore` takes the archives.
 *
 *     deno run -A examples/chatto_nightly.ts /etc/chatto/chatto.toml /etc/chatto/backup-passphrase /mnt/backups/chatto
 */
import { backup, chatto, store } from "@holdfast/backup";

const [config = "chatto.toml", passphraseFile = "backup-passphrase", folder = "backups"] = Deno.args;

const nightly = chatto.chattoPlan({
  config,
  includeKeys: true,
  passphrase: async () => (await Deno.readTextFile(passphraseFile)).trimEnd(),
  to: store.directory(folder),
  keep: { keepDaily: 14, keepWeekly: 8 },
});

const { id, status } = await backup(nightly);
console.log(id);
Deno.exitCode = status === "complete" ? 0 : 3;
