/**
 * `deno task backup --dry-run`: looks at the source, and says what would happen.
 *
 * @module
 */
import { formatBytes } from "../bytes.ts";
import type { Cli } from "../cli.ts";
import { makeContext } from "../context.ts";
import type { Job } from "../job.ts";
import { retain } from "../run.ts";
import type { Files, Stage } from "../stage.ts";
import { whereOf } from "./choose.ts";
import { EXIT } from "./exit.ts";
import { formatEntries } from "./progress.ts";

/**
 * Walks the source and counts, names the stages, the store, and what retention would remove by what lies there now. Writes
 * nothing and runs no program: a source that is a program's output is named only.
 */
export async function dryRun(
  job: Job,
  args: { readonly json?: boolean | undefined; readonly quiet?: boolean | undefined },
  cli: Cli,
): Promise<number> {
  const options = cli.runOptions(args.quiet);
  const stages = job.plan.stages.map(({ name }) => name);
  const counted = await count(job, makeContext(options));
  const removed = job.plan.retain ? await wouldRemove(job, options) : [];
  if (args.json) {
    cli.terminal.out(
      JSON.stringify({
        plan: job.name,
        status: "dry run",
        stages,
        stores: whereOf(job),
        ...counted,
        removed,
      }),
    );
  } else {
    const what = counted === undefined
      ? `the output of ${stages[0]}`
      : `${formatEntries(counted.entries)}, ${formatBytes(counted.contentBytes)}`;
    cli.terminal.out(`${job.name}: ${what} -> ${stages.slice(1).join(" | ")} -> ${whereOf(job)}`);
    for (const id of removed) cli.terminal.out(`retention would remove ${id}`);
  }
  options.note("Dry run: nothing was written");
  return options.warned() > 0 ? EXIT.warnings : EXIT.complete;
}

async function count(
  job: Job,
  context: ReturnType<typeof makeContext>,
): Promise<{ entries: number; contentBytes: number } | undefined> {
  const first = job.plan.stages[0] as Stage<void, Files>;
  if (first.name !== "files") return undefined;
  let entries = 0;
  let contentBytes = 0;
  const files = await first.run(undefined, context);
  for await (const entry of files.entries()) {
    context.signal.throwIfAborted();
    entries++;
    contentBytes += entry.bytes;
  }
  return { entries, contentBytes };
}

/** A store that is not there yet holds nothing to remove. */
async function wouldRemove(job: Job, options: Parameters<typeof retain>[1]): Promise<string[]> {
  try {
    const verdicts = await retain(job.plan, { ...options, confirm: false });
    return verdicts.filter(({ keep }) => !keep).map(({ id }) => id);
  } catch {
    return [];
  }
}
