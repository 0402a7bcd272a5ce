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

/** How the lines below name an archive. */
interface Opening {
  /** Opens `$BACKUP`, or `$ID` of a chain, into `$TARGET`. */
  readonly pipe: (variable: string) => string;
  /** Whether `.sha256` files lie beside the archives. */
  readonly summed: boolean;
}

/** The text for backups called `name` whose archives end in `suffix`. Every line that is not a comment is a command. */
export function restoreText(name: string, suffix: string, facts: FactSheet): string {
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
    ...(isChain(facts) ? chainLines(opening, facts) : singleLines(opening)),
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

/** Whether backups of this plan may build on others; the full ones among them say so as well, that the text stays the same. */
function isChain({ base, sources }: FactSheet): boolean {
  return base !== undefined || sources.some(({ facts }) => "increment" in facts);
}

function chainLines({ pipe, summed }: Opening, { sources }: FactSheet): readonly string[] {
  const pages = sources.some(({ tool, facts }) => tool === "sqlite" && "increment" in facts);
  return [
    "# A backup may hold only what has changed since another one: all that it builds on is needed as well. These are the archives",
    "# from the full one on; the receipt of each names the one below it by the digest of its receipt.",
    "CHAIN=$BACKUP ID=$BACKUP",
    `while BASE=$(sed -n 's/.*"contents":{"base":"\\([0-9a-f]*\\)".*/\\1/p' "$ID.receipt.json") && [ -n "$BASE" ]; do`,
    `  ID=$(sha256sum *.receipt.json | sed -n "s/^$BASE  \\(.*\\)\\.receipt\\.json\\$/\\1/p")`,
    '  [ -n "$ID" ] || { echo "Missing: the backup whose receipt has the digest $BASE" >&2; CHAIN=; break; }',
    '  CHAIN="$ID $CHAIN"',
    "done",
    'mkdir -p "$TARGET" &&',
    "for ID in $CHAIN; do",
    ...(summed ? ["  # Only if the archive is what was stored:", '  sha256sum -c "$ID.sha256" &&'] : []),
    `  ${pipe("ID")} &&`,
    ...(pages ? APPLY_PAGES : []),
    "  continue || break",
    "done",
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
