/**
 * What full metadata adds to a restored thing: nanoseconds, extended attributes, ACLs, file capabilities. What cannot be set is counted,
 * and said once for each reason.
 *
 * @module
 */
import { chmodSync } from "node:fs";
import { ACL_ATTRIBUTES, aclBytes } from "../libc/acl.ts";
import { reach } from "../libc/open.ts";
import type { Writer } from "../libc/write.ts";
import type { Acl, Entry, Log, U8 } from "../stage.ts";
import { accounts, type Owners } from "./owner.ts";
import { codeOf } from "./place.ts";
import { quote } from "./select.ts";

/** What an entry may have on. */
export type Clothes = Pick<Entry, "path" | "xattrs" | "acl">;

/** Dresses the things of one restore. Undefined calls: the C library may not be called. */
export interface Dresser {
  /** Sets access and modification time to the nanosecond; undefined where that cannot be. */
  readonly times: ((path: string, ms: number, ns: number) => void) | undefined;
  /** Dresses a file that is ours, after its owner and mode: changing those drops capabilities and an ACL's mask. */
  readonly file: (path: string, on: Clothes, mode: number) => void;
  /** Dresses a folder that is still empty; gives what has to wait for the end: what is made in it would inherit its ACL. */
  readonly folder: <T extends Clothes>(path: string, on: T) => T;
  /** Sets what had to wait. */
  readonly settle: (path: string, on: Clothes) => void;
  /** What a symbolic link can have on: `trusted.*`, set by {@linkcode Dresser.file} once the link is made. */
  readonly link: <T extends Clothes>(on: T) => T;
  /** Says what was left out. */
  readonly report: () => void;
}

type Reason = "denied" | "namespace" | "root" | "refused" | "account";

/** Why things were left out, and what can be done. `first` is one of them. */
const SENTENCES: Readonly<Record<Reason, (count: number, first: string) => string>> = {
  denied: (count, first) =>
    `Left out the extended attributes and ACLs of ${things(count)}, such as ${first}. ` +
    "Run deno with --allow-ffi, or extract the archive with tar --xattrs --acls",
  namespace: (count, first) =>
    `Left out ${attributes(count)} of the system's own, such as ${first}. ` +
    "tar --xattrs --xattrs-include='*' restores them",
  root: (count, first) => `Left out ${attributes(count)} that only root can set, such as ${first}`,
  refused: (count, first) =>
    `Could not set ${attributes(count)}, such as ${first}. Choose a target on a file system that has them`,
  account: (count, first) => `Could not set the ACLs of ${things(count)}, such as ${first}`,
};

function things(count: number): string {
  return count === 1 ? "1 thing" : `${count} things`;
}

function attributes(count: number): string {
  return count === 1 ? "1 extended attribute" : `${count} extended attributes`;
}

/** A dresser; without `writer` it only counts. `owners` is there for root. */
export function dresser(writer: Writer | undefined, owners: Owners | undefined, log: Log): Dresser {
  const left = new Map<Reason, { count: number; readonly first: string }>();
  const binaries = aclTable();

  function leave(reason: Reason, first: () => string): void {
    const known = left.get(reason);
    if (known) known.count++;
    else left.set(reason, { count: 1, first: first() });
  }

  function denied({ path }: Clothes): void {
    const found = reach();
    leave("denied", () => `${quote(path)} (${"why" in found ? found.why : "the library cannot be opened"})`);
  }

  function set(path: string, shown: string, name: string, value: U8): void {
    try {
      writer!.setAttribute(path, name, value);
    } catch (error) {
      leave("refused", () => `${name} of ${quote(shown)} (${codeOf(error)})`);
    }
  }

  function setUser(path: string, shown: string, name: string, value: U8, mode: number | undefined): void {
    try {
      writer!.setAttribute(path, name, value);
    } catch (error) {
      // An ordinary user may not change what its mode forbids to write; it is opened for the moment.
      if (codeOf(error) !== "EACCES" || mode === undefined) return set(path, shown, name, value);
      chmodSync(path, mode | 0o200);
      set(path, shown, name, value);
      chmodSync(path, mode);
    }
  }

  function setAttributes(path: string, { path: shown, xattrs }: Clothes, mode?: number): void {
    for (const [name, value] of xattrs ?? []) {
      if (name.startsWith("user.")) setUser(path, shown, name, value, mode);
      else if (!ROOTS.test(name)) leave("namespace", () => `${quote(name)} of ${quote(shown)}`);
      else if (owners) set(path, shown, name, value);
      else leave("root", () => `${name} of ${quote(shown)}`);
    }
  }

  function setAcls(path: string, { path: shown, acl }: Clothes, folder: boolean): void {
    for (const which of folder ? BOTH : ACCESS) {
      const bytes = binaries(acl?.[which]);
      if (bytes === undefined) continue;
      if (typeof bytes === "string") leave("account", () => `${quote(shown)}: ${bytes}`);
      else set(path, shown, ACL_ATTRIBUTES[which], bytes);
    }
  }

  return {
    times: writer?.setTimes,
    file: (path, on, mode) => {
      if (!writer) return denied(on);
      setAttributes(path, on, mode);
      setAcls(path, on, false);
    },
    folder: (path, on) => {
      if (writer) setAttributes(path, on);
      else denied(on);
      return { ...on, xattrs: undefined, acl: writer && on.acl };
    },
    settle: (path, on) => setAcls(path, on, true),
    link: (on) => {
      if (!writer) denied(on);
      const kept = new Map<string, U8>();
      for (const [name, value] of writer && on.xattrs || []) {
        if (name.startsWith("trusted.")) kept.set(name, value);
        else leave("namespace", () => `${quote(name)} of ${quote(on.path)}`);
      }
      return { ...on, xattrs: kept.size > 0 ? kept : undefined, acl: undefined };
    },
    report: () => {
      for (const [reason, { count, first }] of left) {
        log.warn(reason === "account" ? "acl" : "xattr", SENTENCES[reason](count, first));
      }
    },
  };
}

/** Like set-uid bits these need root; and like those they come from any archive that root restores. */
const ROOTS = /^(?:security\.capability$|trusted\.)/;
const ACCESS = ["access"] as const;
const BOTH = ["access", "default"] as const;
/** Trees have few different ACLs. An archive that has millions is none that a tree was. */
const MOST_ACLS = 100_000;

/** Reads each text once. A string: why it cannot be read. */
function aclTable(): (text: Acl["access"]) => U8 | string | undefined {
  const known = new Map<string, U8 | string>();
  let host: ReturnType<typeof accounts> | undefined;
  return (text) => {
    if (!text) return undefined;
    const found = known.get(text);
    if (found !== undefined) return found;
    const { users, groups } = host ??= accounts();
    const bytes = aclBytes(text, users, groups);
    if (known.size < MOST_ACLS) known.set(text, bytes);
    return bytes;
  };
}
