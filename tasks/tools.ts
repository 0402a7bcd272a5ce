/**
 * `deno task tools`: installs the stock tools that the tests judge with, from the system's packages (Debian and its kin; as root).
 */
import { execFileSync } from "node:child_process";

/** Command, and the package that brings it. */
const TOOLS: Readonly<Record<string, string>> = {
  "age": "age",
  "age-keygen": "age",
  "bash": "bash",
  "borg": "borgbackup",
  "bsdtar": "libarchive-tools",
  "gzip": "gzip",
  "jq": "jq",
  "pigz": "pigz",
  "python3": "python3",
  "restic": "restic",
  "setpriv": "util-linux",
  "sha256sum": "coreutils",
  "sqlite3": "sqlite3",
  "systemd-analyze": "systemd",
  "tar": "tar",
  "tmux": "tmux",
  "/usr/bin/time": "time",
  "zstd": "zstd",
};

const missing = Object.keys(TOOLS).filter((tool) => !has(tool));
if (missing.length === 0) {
  console.error("All tools are here.");
  Deno.exit(0);
}
console.error(`Installing what brings ${missing.join(", ")}`);
const packages = [...new Set(missing.map((tool) => TOOLS[tool]!))];
run("apt-get", ["update", "-q"]);
run("apt-get", ["install", "-q", "-y", "--no-install-recommends", ...packages]);
const still = missing.filter((tool) => !has(tool));
if (still.length > 0) {
  console.error(`Cannot find ${still.join(", ")} even now: install them by hand`);
  Deno.exit(1);
}

function has(tool: string): boolean {
  try {
    execFileSync("/bin/sh", ["-c", `command -v "${tool}"`], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

function run(program: string, args: readonly string[]): void {
  execFileSync(program, args, {
    stdio: ["ignore", 2, 2],
    env: { ...Deno.env.toObject(), DEBIAN_FRONTEND: "noninteractive" },
  });
}
