/**
 * `deno task tools`: installs the stock tools that the tests judge with, from the system's packages (Debian and its kin; as root).
 * Programs that no package brings are built with Go into a cache of their own, once; with `--bench` also rustic, with Cargo, for the
 * benchmark.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";

/** Where what is built lies; the tests look there. */
const CACHE = join(Deno.env.get("XDG_CACHE_HOME") ?? join(homedir(), ".cache"), "holdfast-tools", "bin");

buildNats();
buildNatsCli();
buildS3();
if (Deno.args.includes("--bench")) buildRustic();
unpack("prometheus-pushgateway", "usr/bin/prometheus-pushgateway", "prometheus-pushgateway");

/** Command, and the package that brings it. */
const TOOLS: Readonly<Record<string, string>> = {
  "age": "age",
  "aiosmtpd": "python3-aiosmtpd",
  "age-keygen": "age",
  "bash": "bash",
  "borg": "borgbackup",
  "pg_createcluster": "postgresql",
  "bsdtar": "libarchive-tools",
  "getfacl": "acl",
  "getfattr": "attr",
  "setcap": "libcap2-bin",
  "etcd": "etcd-server",
  "etcdctl": "etcd-client",
  "gpg": "gnupg",
  "gzip": "gzip",
  "jq": "jq",
  "mariadb-dump": "mariadb-client",
  "/usr/sbin/mariadbd": "mariadb-server",
  "minisign": "minisign",
  "npx": "npm",
  "openssl": "openssl",
  "pigz": "pigz",
  "prosody": "prosody",
  "python3": "python3",
  "rclone": "rclone",
  "redis-check-rdb": "redis-tools",
  "redis-server": "redis-server",
  "restic": "restic",
  "setpriv": "util-linux",
  "sha256sum": "coreutils",
  "xargs": "findutils",
  "ssh-agent": "openssh-client",
  "ssh-keygen": "openssh-client",
  "/usr/sbin/sshd": "openssh-server",
  "sq": "sq",
  "sqlite3": "sqlite3",
  "strace": "strace",
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

/** nats-server: the newest, and the one of the system's package as an old one, which is unpacked and not installed. */
function buildNats(): void {
  mkdirSync(CACHE, { recursive: true });
  if (!existsSync(join(CACHE, "nats-server"))) {
    console.error("Building nats-server");
    execFileSync("go", ["install", "github.com/nats-io/nats-server/v2@v2.14.5"], {
      stdio: ["ignore", 2, 2],
      env: { ...Deno.env.toObject(), GOBIN: CACHE },
    });
  }
  if (!existsSync(join(CACHE, "nats-server-2.15"))) {
    console.error("Building nats-server 2.15");
    const dir = mkdtempSync(join(CACHE, "part-"));
    execFileSync("go", ["install", "github.com/nats-io/nats-server/v2@v2.15.2"], {
      stdio: ["ignore", 2, 2],
      env: { ...Deno.env.toObject(), GOBIN: dir },
    });
    renameSync(join(dir, "nats-server"), join(CACHE, "nats-server-2.15"));
    rmSync(dir, { recursive: true });
  }
  unpack("nats-server", "usr/sbin/nats-server", "nats-server-2.9");
}

/** A program of a system's package, without installing it: no daemon is started. */
function unpack(name: string, path: string, to: string): void {
  if (existsSync(join(CACHE, to))) return;
  console.error(`Unpacking the system's ${name}`);
  const dir = mkdtempSync(join(tmpdir(), "holdfast-tools-"));
  try {
    execFileSync("/bin/sh", ["-c", `apt-get download -q ${name} && dpkg -x ${name}_*.deb .`], {
      cwd: dir,
      stdio: ["ignore", 2, 2],
    });
    execFileSync("cp", [join(dir, path), join(CACHE, `${to}.part`)]);
    renameSync(join(CACHE, `${to}.part`), join(CACHE, to));
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** The `nats` command. Of its releases only the source can be had by its version, so it is built where it lies. */
function buildNatsCli(): void {
  if (existsSync(join(CACHE, "nats"))) return;
  if (!has("go")) return console.error("Cannot build nats: install Go, and run this again");
  console.error("Building nats");
  const module = "github.com/nats-io/natscli@v0.4.0";
  const found = execFileSync("go", ["mod", "download", "-json", module], { encoding: "utf8" });
  execFileSync("go", ["build", "-o", join(CACHE, "nats"), "./nats"], {
    cwd: JSON.parse(found).Dir,
    stdio: ["ignore", 2, 2],
    env: { ...Deno.env.toObject(), CGO_ENABLED: "0" },
  });
}

/** Two S3 servers that have nothing in common. Without Go the tests that need them are reported as ignored. */
function buildS3(): void {
  const modules = {
    minio: "github.com/minio/minio@latest",
    versitygw: "github.com/versity/versitygw/cmd/versitygw@latest",
  };
  for (const [name, module] of Object.entries(modules)) {
    if (existsSync(join(CACHE, name))) continue;
    if (!has("go")) {
      console.error(`Cannot build ${name}: install Go, and run this again`);
      continue;
    }
    console.error(`Building ${name}: this takes some minutes`);
    execFileSync("go", ["install", module], {
      stdio: ["ignore", 2, 2],
      env: { ...Deno.env.toObject(), GOBIN: CACHE, CGO_ENABLED: "0" },
    });
  }
}

/** Ten minutes on two cores, which no test is worth: only the benchmark has it built. */
function buildRustic(): void {
  if (existsSync(join(CACHE, "rustic"))) return;
  if (!has("cargo")) return console.error("Cannot build rustic: install Cargo, and run this again");
  console.error("Building rustic: this takes ten minutes");
  const root = mkdtempSync(join(CACHE, "part-"));
  try {
    run("cargo", ["install", "rustic-rs@0.11.4", "--locked", "--no-default-features", "--root", root]);
    renameSync(join(root, "bin", "rustic"), join(CACHE, "rustic"));
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}
