/** Bytes that a shell line reads from files below a folder, as strace counts them: pipes and programs themselves do not count. */
import { execFileSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { has } from "./contenders.ts";

const CALLS = "read,pread64,readv,preadv,preadv2,copy_file_range,mmap";

/**
 * Adds up what calls give whose first argument is a file below `dir`. A call during which another thread's was seen is split over two lines, the
 * first with the file, the second with the result. What is mapped cannot be counted, and makes the answer a question mark.
 */
const SUM = String.raw`
{ mine = 0 }
/ mmap\(/ { if (index($0, "<" dir "/")) mapped = 1; next }
/ resumed>/ { mine = $1 in open; delete open[$1] }
! / resumed>/ { at = index($0, "("); mine = match(substr($0, at), /^\([0-9]+</) && index(substr($0, at + RLENGTH - 1), "<" dir "/") == 1 }
/<unfinished \.\.\.>$/ { if (mine) open[$1]; next }
mine && match($0, / = [0-9]+$/) { sum += substr($0, RSTART + 3) }
END { printf "%s", mapped ? "?" : sprintf("%.0f", sum) }
`;

/** Runs `line` in bash; undefined without strace, or where a file is mapped. Throws, with what it said, when it fails. */
export function countReads(
  line: string,
  { below, work, cwd, env }: {
    readonly below: string;
    /** Scratch folder. */
    readonly work: string;
    readonly cwd: string;
    readonly env: Readonly<Record<string, string>>;
  },
): number | undefined {
  if (!has("strace") || !has("awk")) return undefined;
  const [script, sum] = [join(work, "sum.awk"), join(work, "sum")];
  Deno.writeTextFileSync(script, SUM);
  const trace = [
    "-f",
    "-y",
    "-q",
    "-q",
    "-s",
    "0",
    "--seccomp-bpf",
    "-e",
    `trace=${CALLS}`,
    "-e",
    "signal=none",
  ];
  try {
    execFileSync("strace", [
      ...trace,
      "-o",
      `|awk -v dir="${below}" -f "${script}" > "${sum}.part" && mv "${sum}.part" "${sum}"`,
      "bash",
      "-o",
      "pipefail",
      "-c",
      line,
    ], {
      cwd,
      env: { ...Deno.env.toObject(), ...env },
      stdio: ["ignore", "ignore", "pipe"],
      maxBuffer: 2 ** 26,
    });
    const read = Number(readFileSync(sum, "utf8"));
    return Number.isNaN(read) ? undefined : read;
  } finally {
    for (const path of [script, sum]) rmSync(path, { force: true });
  }
}
