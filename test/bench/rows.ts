/** The benchmark's rows: what there is, how often each is gone round, and how long that takes. */
import { parseArgs } from "node:util";

/** One row of the benchmark. */
export interface Row {
  /** What it is called on the command line. */
  readonly name: string;
  /** What it is, in a line. */
  readonly title: string;
  /** Rounds, unless `--runs` says. */
  readonly runs: number;
  /** Seconds on two quiet cores with all contenders: what is done once, with corpora to be made, and a round. */
  readonly seconds: { readonly once: number; readonly round: number };
}

/** All of them, in the order they are run. */
export const ROWS: readonly Row[] = [
  { name: "json", title: "700 MB of JSON lines", runs: 5, seconds: { once: 60, round: 50 } },
  { name: "random", title: "1 GiB of random bytes", runs: 5, seconds: { once: 90, round: 75 } },
  { name: "tree", title: "6,400 small files, 66 MB", runs: 5, seconds: { once: 30, round: 20 } },
  { name: "many", title: "200,000 small files, 400 MB", runs: 3, seconds: { once: 500, round: 350 } },
  { name: "million", title: "1,000,000 empty files", runs: 1, seconds: { once: 1300, round: 950 } },
  { name: "one", title: "one small file out of 10 GiB", runs: 3, seconds: { once: 400, round: 60 } },
  { name: "shelf", title: "100,000 backups in a store", runs: 5, seconds: { once: 60, round: 10 } },
  {
    name: "openpgp",
    title: "1 GiB of random bytes, the stage alone",
    runs: 5,
    seconds: { once: 10, round: 25 },
  },
];

/** What was asked for. */
export interface Choice {
  readonly rows: readonly Row[];
  /** Rounds of a row. */
  readonly runsOf: (row: Row) => number;
  /** What sizes are divided by. */
  readonly divisor: number;
}

/** Reads the command line. Throws RangeError for what there is not. */
export function choose(args: readonly string[]): Choice {
  const { values } = parseArgs({
    args: args.filter((arg, i) => i > 0 || arg !== "--"),
    options: {
      runs: { type: "string" },
      quick: { type: "boolean", default: false },
      row: { type: "string", multiple: true, default: ROWS.map(({ name }) => name) },
    },
  });
  const runs = values.runs === undefined ? undefined : Number(values.runs);
  if (runs !== undefined && !(Number.isInteger(runs) && runs > 0)) {
    throw new RangeError("Cannot use --runs: give a whole number from 1");
  }
  const rows = values.row.map((name) => {
    const row = ROWS.find((row) => row.name === name);
    if (row) return row;
    throw new RangeError(`Cannot use --row ${name}: there are ${ROWS.map(({ name }) => name).join(", ")}`);
  });
  return { rows, runsOf: (row) => runs ?? row.runs, divisor: values.quick ? 10 : 1 };
}

/** What is about to be run, and how long it takes. */
export function announce({ rows, runsOf, divisor }: Choice): string {
  const minutes = (row: Row): number => (row.seconds.once + row.seconds.round * runsOf(row)) / divisor / 60;
  const lines = rows.map((row) =>
    `  ${row.name.padEnd(8)} ${row.title.padEnd(40)} ${runsOf(row)} round${runsOf(row) === 1 ? "" : "s"}, ${
      Math.ceil(minutes(row))
    } min`
  );
  const all = Math.ceil(rows.reduce((sum, row) => sum + minutes(row), 0));
  return [
    "Rows, with about the time they take on two quiet cores (--row NAME chooses, --runs N goes round as often):",
    ...lines,
    `  all: ${all} min`,
  ]
    .join("\n");
}
