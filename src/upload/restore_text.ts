/**
 * `<name>.RESTORE.txt`: how to open a plan's backups without Holdfast. Runs as it stands in a POSIX shell.
 *
 * @module
 */
import { GONE } from "../layers.ts";
import type { FactSheet } from "../stage.ts";

const OPENERS: Readonly<Record<string, string>> = {
  "compress/zstd": "zstd -d -c",
  "compress/gzip": "gzip -d -c",
  "encrypt/age": 'age -d -i "$KEY"',
  "encrypt/openpgp": "gpg --decrypt",
};

/** How the lines below name an archive. */
interface Opening {
  /** Opens `$BACKUP`, or `$ID` of a chain, into `$TARGET`. */
  readonly pipe: (variable: string) => string;
  /** Whether `.sha256` files lie beside the archives. */
  readonly summed: boolean;
}

/**
 * The text for backups called `name` whose archives end in `suffix`. Every line that is not a comment is a command. `before` is the text that
 * lies there: backups that build on others may still be about when the plan does not make them any more.
 */
export function restoreText(name: string, suffix: string, facts: FactSheet, before = ""): string {
  const tools = facts.stages.map(({ verb, tool }) => `${verb}/${tool}`);
  const passphrase = facts.recipients?.includes("passphrase") ?? false;
  const openers = tools.toReversed().flatMap((tool) => OPENERS[tool] ?? [])
    .map((opener) => passphrase && opener.startsWith("age") ? "age -d" : opener);
  const [first, ...rest] = openers.length > 0 ? openers : ["cat"];
  const keyed = openers.some((opener) => opener.includes("$KEY"));
  const opening: Opening = {
    pipe: (variable) => [`${first} "$${variable}"`, ...rest, 'tar -x -p -f - -C "$TARGET"'].join(" | "),
    summed: tools.includes("sign/sha256"),
  };
  const made = incrementsOf(facts.sources);
  // What the text said before holds for what still lies there.
  const increments = {
    files: made.files || before.includes(GONE),
    pages: made.pages || before.includes(".delta/map"),
  };
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
    ...(increments.files || increments.pages ? chainLines(opening, increments) : singleLines(opening)),
    "",
  ].join("\n");
}

function singleLines({ pipe, summed }: Opening): readonly string[] {
  return [
    ...(summed ? ["# Only if the archive is what was stored:", 'sha256sum -c "$BACKUP.sha256" &&'] : []),
    'mkdir -p "$TARGET" &&',
    pipe("BACKUP"),
  ];
}

/** What backups on the shelf may hold only the changes of. */
export interface Increments {
  /** Trees of files. */
  readonly files: boolean;
  /** Pages of SQLite databases. */
  readonly pages: boolean;
}

/** What the plan that made a backup of these sources makes: its full ones say so as well. */
export function incrementsOf(sources: FactSheet["sources"]): Increments {
  return {
    files: sources.some(({ tool, facts }) => tool === "files" && "incremental" in facts),
    pages: sources.some(({ tool, facts }) => tool === "sqlite" && "increment" in facts),
  };
}

function chainLines({ pipe, summed }: Opening, { files, pages }: Increments): readonly string[] {
  return [
    "# A backup may hold only what has changed since another one: all that it builds on is needed as well. These are the archives",
    "# from the full one on; the receipt of each names the one below it by the digest of its receipt.",
    "CHAIN=$BACKUP ID=$BACKUP DONE=",
    `while BASE=$(sed -n 's/.*"contents":{"base":"*\\([0-9a-z]*\\).*/\\1/p' "$ID.receipt.json"); [ "$BASE" != null ]; do`,
    '  [ -n "$BASE" ] || { echo "Missing or damaged: $ID.receipt.json, which says what $ID builds on" >&2; CHAIN=; break; }',
    `  ID=$(sha256sum *.receipt.json | sed -n "s/^$BASE  \\(.*\\)\\.receipt\\.json\\$/\\1/p")`,
    '  [ -n "$ID" ] || { echo "Missing: the backup whose receipt has the digest $BASE" >&2; CHAIN=; break; }',
    '  CHAIN="$ID $CHAIN"',
    "done",
    'mkdir -p "$TARGET" &&',
    "for ID in $CHAIN; do",
    ...(summed ? ["  # Only if the archive is what was stored:", '  sha256sum -c "$ID.sha256" &&'] : []),
    ...(files ? removeGone(pipe("ID")) : []),
    `  ${pipe("ID")} &&`,
    ...(files ? [`  rm -f "$TARGET/${GONE}" &&`] : []),
    ...(pages ? APPLY_PAGES : []),
    "  DONE=$ID && continue || break",
    "done",
    "# Only if the last one is in its place as well is this the tree of that backup:",
    '[ "${DONE:-none}" = "$BACKUP" ] || { echo "Not restored: what is in $TARGET is not ${BACKUP:-a backup}" >&2; false; }',
  ];
}

/** All but the full backup begin with removing what is gone, where the list stays within the target. */
function removeGone(pipe: string): readonly string[] {
  const list = `${pipe.replace('-p -f - -C "$TARGET"', "-O -f -")} '${GONE}' >"$TARGET/${GONE}"`;
  return [
    "  # What is gone since the backup before goes first: a list in the archive says what, each name ended by a NUL.",
    '  if [ "$ID" != "${CHAIN%% *}" ]; then',
    `    ${list} &&`,
    `    if tr '\\n\\000' '\\001\\n' <"$TARGET/${GONE}" | LC_ALL=C grep -q -E '^/|(^|/)[.][.](/|$)'; then`,
    '      echo "Hostile: $ID lists names outside the target" >&2; false',
    `    else (cd "$TARGET" && xargs -0 rm -rf -- <'${GONE}'); fi`,
    "  fi &&",
  ];
}

/** What has changed in SQLite databases goes to where its map says: first line page size and length, then place, pages, where they begin. */
const APPLY_PAGES: readonly string[] = [
  "  # What has changed in a database: pages go to where the map beside them says, and the digest is that of the whole.",
  `  find "$TARGET" -path '*.delta/map' -exec sh -c 'for MAP; do`,
  "    DELTA=${MAP%/map} FILE=${MAP%.delta/map}",
  "    {",
  "      read -r PAGE SIZE",
  "      while read -r PLACE COUNT FROM; do",
  '        dd if="$DELTA/pages" of="$FILE" bs="$PAGE" seek="$PLACE" count="$COUNT" skip="$FROM" conv=notrunc status=none </dev/null || exit 1',
  "      done",
  '      truncate -s "$SIZE" "$FILE"',
  '    } <"$MAP" && (cd "${FILE%/*}" && sha256sum -c -) <"$DELTA/sha256" && rm -r "$DELTA" || exit 1',
  `  done' sh {} + &&`,
];
