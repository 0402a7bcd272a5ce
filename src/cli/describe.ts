/**
 * What a plan comes to, for people.
 *
 * @module
 */
import type { CollectConfig, PlanConfig, SourceConfig } from "../config.ts";
import type { ProseConfig } from "../config/prose.ts";
import { chioPaths } from "../config/chio.ts";
import type { Job } from "../job.ts";
import { whereOf } from "./choose.ts";
import { safe } from "./terminal.ts";

/** A plan line by line. */
export function describeJob(job: Job): string[] {
  const lines = [`[plan.${job.name}]  ${job.file ?? ""}`.trimEnd()];
  const line = (key: string, ...words: readonly string[]): void => {
    lines.push(`  ${key.padEnd(9)} ${words.filter((word) => word !== "").join("  ")}`);
  };
  line("name", job.plan.shelf?.name ?? "");
  const config = publicConfig(job);
  if (config) describeConfig(config, line);
  else line("stages", job.plan.stages.map(({ name }) => name).join(" | "));
  line("upload", whereOf(job));
  for (
    const [key, value] of [["prune", config?.prune], ["hooks", config?.hooks], ["drill", config?.drill], [
      "health",
      config?.health,
    ], ["targets", config?.targets]] as const
  ) {
    if (value) line(key, words(value));
  }
  return lines.map(safe);
}

/** The configuration without what may be a secret: the values of a program's environment. */
export function publicConfig(job: Job): PlanConfig | undefined {
  return job.config && { ...job.config, collect: publicCollect(job.config.collect) };
}

function publicCollect(config: CollectConfig): CollectConfig {
  if (config.tool === "prose") return config;
  if (config.tool !== "group") return publicSource(config);
  const members = Object.entries(config.members).map(([name, member]) =>
    [name, publicSource(member)] as const
  );
  return { tool: "group", members: Object.fromEntries(members) };
}

function publicSource(config: SourceConfig): SourceConfig {
  const env = config.tool === "command" ? config.options.env : undefined;
  if (config.tool !== "command" || env === undefined) return config;
  const masked = Object.fromEntries(Object.keys(env).map((key) => [key, "..."]));
  return { ...config, options: { ...config.options, env: masked } };
}

function describeConfig(config: PlanConfig, line: (key: string, ...words: readonly string[]) => void): void {
  if (config.collect.tool === "group") {
    for (const [name, member] of Object.entries(config.collect.members)) {
      line("collect", `${name}:`, source(member));
    }
  } else line("collect", source(config.collect));
  if (config.stopped) line("stopped", words(config.stopped));
  line("archive", config.archive.tool, words(config.archive.options));
  line("compress", config.compress.tool, words(config.compress.options));
  line("encrypt", config.encrypt.tool, words(config.encrypt.options));
  line("sign", config.sign.map(({ tool }) => tool).join(" "));
}

function source(config: SourceConfig | ProseConfig): string {
  return [config.tool, subject(config), words(config.options)].filter((part) => part !== "").join("  ");
}

function subject(config: SourceConfig | ProseConfig): string {
  switch (config.tool) {
    case "command":
      return config.argv.join(" ");
    case "jetstream":
      return config.servers.join(" ");
    case "chatto":
      return config.options.config;
    case "chio":
      return `${config.surface} ${chioPaths(config).filter((path) => !/-(?:wal|shm)$/.test(path)).join(" ")}`;
    case "postgres":
    case "postgresCluster":
    case "redis":
    case "mariadb":
    case "etcd":
    case "prose":
      return "";
    default:
      return Object.values(config.tool === "files" ? config.roots : config.databases).join(" ");
  }
}

function words(options: object): string {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  return given.map(([key, value]) => `${key}=${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join("  ");
}
