/** One GiB of random bytes through `encrypt.openpgp` and through gpg, there and back, file to file. */
import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { warm } from "./folder.ts";
import type { Measured } from "./measure.ts";

const GIB = 2 ** 30;
const DENO = "DENO_NO_UPDATE_CHECK=1 deno run -A --no-prompt --v8-flags=--max-semi-space-size=1";

/** Measures `runs` rounds in `work`, each tool reading what the other wrote; gives the table. */
export async function openpgp(
  work: string,
  run: (line: string) => Promise<Measured>,
  divisor: number,
  runs: number,
): Promise<string> {
  const folder = join(work, "openpgp");
  mkdirSync(join(folder, "home"), { recursive: true, mode: 0o700 });
  const gpg = `gpg --homedir ${folder}/home --batch --yes --quiet --trust-model always`;
  const stage = `${DENO} ${import.meta.dirname}/openpgp_run.ts`;
  const sh = (line: string): void => void execFileSync("bash", ["-c", line], { cwd: folder, stdio: "pipe" });
  try {
    sh(`head -c ${Math.ceil(GIB / divisor)} /dev/urandom > clear`);
    sh(`${gpg} --passphrase '' --quick-gen-key bench@example.org future-default default never`);
    sh(`${gpg} --export > cert; ${gpg} --export-secret-keys > secret`);
    const lines: Readonly<Record<string, string>> = {
      "Holdfast, encrypt": `${stage} encrypt cert clear ours`,
      "gpg, encrypt": `${gpg} --compress-algo none -r bench@example.org -o theirs -e clear`,
      "Holdfast, decrypt": `${stage} decrypt secret theirs back && cmp -n 1000000 back clear`,
      "gpg, decrypt": `${gpg} -o back -d ours && cmp -n 1000000 back clear`,
    };
    const all: Record<string, Measured[]> = {};
    for (let round = 0; round < runs; round++) {
      for (const [name, line] of Object.entries(lines)) {
        warm(folder);
        const measured = await run(`cd ${folder} && ${line}`);
        (all[name] ??= []).push(measured);
        console.error(`openpgp ${round + 1}: ${name} ${(measured.wallMs / 1000).toFixed(2)} s`);
      }
    }
    return table(Math.ceil(GIB / divisor), all);
  } finally {
    sh(`gpgconf --homedir ${folder}/home --kill all || true`);
    rmSync(folder, { recursive: true, force: true });
  }
}

function table(bytes: number, all: Readonly<Record<string, readonly Measured[]>>): string {
  const rows = Object.entries(all).map(([name, measured]) => {
    const sorted = (of: (one: Measured) => number): number[] => measured.map(of).sort((a, b) => a - b);
    const wall = sorted(({ wallMs }) => wallMs / 1000);
    const cpu = sorted(({ cpuMs }) => cpuMs / 1000);
    const peak = sorted(({ peakBytes }) => peakBytes / 2 ** 20);
    const middle = (values: readonly number[], digits: number): string =>
      values[values.length >> 1]!.toFixed(digits);
    const spread = `${wall[0]!.toFixed(2)} to ${wall.at(-1)!.toFixed(2)}`;
    return `| ${[name, middle(wall, 2), spread, middle(cpu, 2), middle(peak, 0)].join(" | ")} |`;
  });
  return [
    `### OpenPGP, ${(bytes / GIB).toFixed(1)} GiB of random bytes, file to file\n`,
    "| OpenPGP | seconds | spread | CPU seconds | MiB |",
    "| --- | ---: | ---: | ---: | ---: |",
    ...rows,
    "",
  ].join("\n");
}
