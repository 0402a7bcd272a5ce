/**
 * `<name>.RESTORE.txt`: how to open a plan's backups without Holdfast. Runs as it stands in a POSIX shell.
 *
 * @module
 */
import type { FactSheet } from "../stage.ts";

const OPENERS: Readonly<Record<string, string>> = {
  "compress/zstd": "zstd -d -c",
  "compress/gzip": "gzip -d -c",
  "encrypt/age": 'age -d -i "$KEY"',
  "encrypt/openpgp": "gpg --decrypt",
};

/** The text for backups called `name` whose archives end in `suffix`. Every line that is not a comment is a command. */
export function restoreText(name: string, suffix: string, facts: FactSheet): string {
  const tools = facts.stages.map(({ verb, tool }) => `${verb}/${tool}`);
  const passphrase = facts.recipients?.includes("passphrase") ?? false;
  const openers = tools.toReversed().flatMap((tool) => OPENERS[tool] ?? [])
    .map((opener) => passphrase && opener.startsWith("age") ? "age -d" : opener);
  const [first, ...rest] = openers.length > 0 ? openers : ["cat"];
  const pipe = [`${first} "$BACKUP"`, ...rest, 'tar -x -p -f - -C "$TARGET"'].join(" | ");
  const keyed = openers.some((opener) => opener.includes("$KEY"));
  return [
    `# How to restore the backups of "${name}" with stock tools, without Holdfast.`,
    "# Copy the archive and the files beside it into one folder, go there, and run the lines below in a shell.",
    "",
    "# The newest archive here; or name another one.",
    `BACKUP=\${BACKUP:-$(ls ${name}_[0-9][0-9][0-9][0-9]-*T*Z${suffix} | tail -n 1)}`,
    ...(keyed
      ? [
        "# The file that holds the private key (age identity).",
        "KEY=${KEY:-identity.txt}",
      ]
      : []),
    ...(passphrase ? ["# age asks for the passphrase."] : []),
    "# Where the files go: a new folder.",
    "TARGET=${TARGET:-restored}",
    "",
    ...(tools.includes("sign/sha256")
      ? ["# Only if the archive is what was stored:", 'sha256sum -c "$BACKUP.sha256" &&']
      : []),
    'mkdir -p "$TARGET" &&',
    pipe,
    "",
  ].join("\n");
}
