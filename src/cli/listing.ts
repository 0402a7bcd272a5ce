/**
 * Backups as a table for people.
 *
 * @module
 */
import { formatBytes } from "../bytes.ts";
import type { ListItem } from "../list.ts";
import { table } from "./terminal.ts";

/** A table of backups, as lines. */
export function listing(items: readonly ListItem[]): string[] {
  const head = ["ID", "STATE", "ENTRIES", "CONTENT", "STORED", "VERIFIED", "WARNINGS", "STORE"];
  return table([head, ...items.map(row)]);
}

function row(item: ListItem): string[] {
  const warnings = Object.entries(item.warnings ?? {}).map(([kind, count]) => `${kind} ${count}`).join(" ");
  return [
    item.id,
    item.state,
    item.entries?.toString() ?? "-",
    item.contentBytes === undefined ? "-" : `${item.increment ? "+" : ""}${formatBytes(item.contentBytes)}`,
    formatBytes(item.bytes),
    item.verified ? `${item.verified.event} ${item.verified.at.slice(0, 10)}` : "-",
    warnings || "-",
    item.store,
  ];
}
