/**
 * Who runs: shell lines over SRC (the corpus), OUT (an empty folder for the backup) and INTO (an empty folder for the restore); FILE is
 * a path below SRC.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { TIME } from "./measure.ts";

/** One way to back up and restore. */
export interface Contender {
  /** As in the table. */
  readonly name: string;
  /** Programs it needs. */
  readonly tools: readonly string[];
  /** Before the clock starts: an empty repository. */
  readonly prepare?: string | undefined;
  /** From SRC to OUT. */
  readonly backup: string;
  /** From OUT to INTO; absent where another contender's is the same. */
  readonly restore?: string | undefined;
  /** FILE out of OUT, to standard output; absent with `restore`. */
  readonly one?: string | undefined;
  /** Asks for the version. */
  readonly version?: string | undefined;
  /** What the reader should know. */
  readonly note: string;
}

/** The one all ratios refer to. */
export const REFERENCE = "pipe";

const TAR = 'tar -C "$SRC/.." -cf - "$(basename "$SRC")" | zstd -q -3 -T0 | age -r "$RECIPIENT"';

const STOCK: readonly Contender[] = [
  {
    name: REFERENCE,
    tools: ["tar", "zstd", "age", "sha256sum"],
    backup: `${TAR} | tee "$OUT/b.tar.zst.age" | sha256sum > "$OUT/b.tar.zst.age.sha256"`,
    restore: 'age -d -i "$IDENTITY" "$OUT/b.tar.zst.age" | zstd -q -d | tar -xf - -C "$INTO"',
    one: 'age -d -i "$IDENTITY" "$OUT/b.tar.zst.age" | zstd -q -d | tar -xOf - "$(basename "$SRC")/$FILE"',
    note: "`tar | zstd -3 -T0 | age -r R | tee FILE | sha256sum`; back with `age -d | zstd -d | tar -x`",
  },
  {
    name: "pipe, no digest",
    tools: ["tar", "zstd", "age"],
    backup: `${TAR} > "$OUT/b.tar.zst.age"`,
    note: "`tar | zstd -3 -T0 | age -r R > FILE`; no digest",
  },
  {
    name: "restic",
    tools: ["restic"],
    prepare: "restic init -q",
    backup: 'restic backup -q "$SRC"',
    restore: 'restic restore -q latest --target "$INTO"',
    one: 'restic dump -q latest "$SRC/$FILE"',
    version: "restic version",
    note: "first backup into an empty repository, `init` not counted; its default compression; deduplicates",
  },
  {
    name: "borg",
    tools: ["borg"],
    prepare: 'borg init -e repokey-blake2 "$OUT/repo"',
    backup: 'borg create "$OUT/repo::b" "$SRC"',
    restore: 'cd "$INTO" && borg extract "$OUT/repo::b"',
    one: 'borg extract --stdout "$OUT/repo::b" "${SRC#/}/$FILE"',
    version: "borg --version",
    note:
      "first backup into an empty repository, `init` not counted; its default compression (lz4); deduplicates",
  },
  {
    name: "rustic",
    tools: ["rustic"],
    prepare: "rustic init",
    backup: 'rustic backup "$SRC"',
    restore: 'rustic restore latest "$INTO"',
    one: 'rustic dump "latest:$SRC/$FILE"',
    version: "rustic --version",
    note:
      "first backup into an empty repository, `init` not counted; its default compression; deduplicates (`deno task tools --bench` builds it)",
  },
];

/** Where `deno task tools` puts what no package brings. */
const BUILT = join(Deno.env.get("XDG_CACHE_HOME") ?? join(homedir(), ".cache"), "holdfast-tools", "bin");
/** Where programs are looked for, also what was built. */
export const PATH = `${dirname(Deno.execPath())}:${Deno.env.get("PATH")}:${BUILT}`;

/** Everyone whose programs are here, Holdfast first; `left` names the others. */
export function contenders(
  checkout: string,
): { readonly here: readonly Contender[]; readonly left: readonly string[] } {
  const holdfast = holdfastOf(checkout);
  const stock = STOCK.filter(({ tools }) => tools.every(has));
  if (!has(TIME)) throw new Error("Cannot measure: GNU time is not here. Run deno task tools");
  if (!stock.some(({ name }) => name === REFERENCE)) {
    throw new Error(
      "Cannot compare with the native pipe: tar, zstd, age and sha256sum are needed. Run deno task tools",
    );
  }
  const left = STOCK.filter((one) => !stock.includes(one)).map(({ name }) => name);
  return holdfast
    ? { here: [holdfast, ...stock], left }
    : { here: stock, left: ["Holdfast (no tasks yet)", ...left] };
}

/** The line of a task of deno.json. */
export function taskLine(checkout: string, name: string): string | undefined {
  const { tasks = {} } = JSON.parse(readFileSync(join(checkout, "deno.json"), "utf8")) as {
    readonly tasks?: Readonly<Record<string, string | { readonly command: string }>>;
  };
  const task = tasks[name];
  return typeof task === "string" ? task : task?.command;
}

/** Holdfast by the lines of deno.json, as `deno task backup` and `deno task restore` run them. */
function holdfastOf(checkout: string): Contender | undefined {
  const backup = taskLine(checkout, "backup");
  const restore = taskLine(checkout, "restore");
  if (backup === undefined || restore === undefined) return undefined;
  return {
    name: "Holdfast",
    tools: ["deno"],
    backup: `${backup} "$SRC" --name b --to "$OUT" --quiet`,
    restore: `${restore} latest --name b --from "$OUT" --into "$INTO/all" --quiet`,
    one: `${taskLine(checkout, "cat")} latest "$(basename "$SRC")/$FILE" --name b --from "$OUT"`,
    note:
      "the command of `deno task backup` without a configuration: zstd 3, age, SHA-256 of every entry and of the whole, " +
      "index, receipt, fsync; `deno task restore` verifies while it reads",
  };
}

/** Variables the lines use: keys of their own, nothing of the user's. `deno` is the one that runs this. */
export function surroundings(work: string, checkout: string): Record<string, string> {
  const keys = readFileSync(join(work, "identity.txt"), "utf8");
  return {
    PATH,
    INIT_CWD: checkout,
    NO_COLOR: "1",
    XDG_CONFIG_HOME: join(work, "config"),
    XDG_STATE_HOME: join(work, "state"),
    IDENTITY: join(work, "identity.txt"),
    RECIPIENT: /# public key: (age1\w+)/.exec(keys)![1]!,
    RESTIC_PASSWORD: "bench",
    RESTIC_REPOSITORY: join(work, "out", "repo"),
    RESTIC_CACHE_DIR: join(work, "cache"),
    BORG_PASSPHRASE: "bench",
    BORG_BASE_DIR: join(work, "cache"),
    RUSTIC_PASSWORD: "bench",
    RUSTIC_REPOSITORY: join(work, "out", "repo"),
    RUSTIC_CACHE_DIR: join(work, "cache"),
    RUSTIC_NO_PROGRESS: "true",
    RUSTIC_LOG_LEVEL: "warn",
    SRC: "",
    FILE: "",
    OUT: join(work, "out"),
    INTO: join(work, "into"),
  };
}

/** Whether a program is on the PATH. */
export function has(tool: string): boolean {
  try {
    execFileSync("/bin/sh", ["-c", `command -v "${tool}"`], { stdio: "ignore", env: { PATH } });
    return true;
  } catch {
    return false;
  }
}
