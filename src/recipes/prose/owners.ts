/**
 * Who owns what. A deterministic archive names no owner, as Prose's design wants it, and a Prosody that cannot read its own files does
 * not start: so the sealed index remembers owners, of each thing that has another one than the folder above it.
 *
 * @module
 */
import * as v from "valibot";
import type { Entry } from "../../stage.ts";

const ownerSchema = v.tuple([v.string(), v.string(), v.number(), v.number()]);
const ownersSchema = v.record(v.string(), ownerSchema);

/** User name, group name, and their numbers. */
type Owner = v.InferOutput<typeof ownerSchema>;

/** What is recorded: owners by path. */
export type Owners = Readonly<Record<string, Owner>>;

/** Notes owners as entries go by, folders before what is in them. */
export function ownersNoted(): { readonly see: (entry: Entry) => void; readonly owners: () => Owners } {
  const folders = new Map<string, Owner>();
  const owners: [string, Owner][] = [];
  return {
    see: ({ path, kind, uname, gname, uid, gid }) => {
      const above = folders.get(parentOf(path));
      const owner: Owner = [uname, gname, uid, gid];
      if (kind === "directory") folders.set(path, above && same(above, owner) ? above : owner);
      if (kind !== "hardlink" && !(above && same(above, owner))) owners.push([path, owner]);
    },
    owners: () => Object.fromEntries(owners),
  };
}

/** Gives entries their owners back, folders before what is in them. Whatever was recorded in another form is as if it were not. */
export function ownersBack(recorded: unknown): (entry: Entry) => Entry {
  const parsed = v.safeParse(ownersSchema, recorded);
  if (!parsed.success) return (entry) => entry;
  const owners = new Map(Object.entries(parsed.output));
  const folders = new Map<string, Owner>();
  return (entry) => {
    const owner = owners.get(entry.path) ?? folders.get(parentOf(entry.path));
    if (!owner) return entry;
    if (entry.kind === "directory") folders.set(entry.path, owner);
    const [uname, gname, uid, gid] = owner;
    return { ...entry, uname, gname, uid, gid };
  };
}

function same(a: Owner, b: Owner): boolean {
  return a.every((value, i) => value === b[i]);
}

function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf("/")));
}
