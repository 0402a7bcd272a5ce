/** A source as large as one likes, without a disk: files of bytes nobody can compress, and many small ones among them. */
import { createCipheriv } from "node:crypto";
import { toBytes, utf8 } from "../../src/bytes.ts";
import type { Entry, FactSheet, Files, Stage, U8 } from "../../mod.ts";

const MIB = 2 ** 20;
const SMALL_PER_LARGE = 500;

/** What the small file of this path holds. */
export function smallText(path: string): string {
  return `I am ${path}\n`.repeat(40);
}

/** Files of at most 256 MiB, together about `bytes` long, each in a folder with 500 small ones. */
export function wide(bytes: number): Stage<void, Files> {
  const size = Math.min(bytes, 256 * MIB);
  async function* entries(): AsyncGenerator<Entry> {
    for (let n = 0; n < Math.ceil(bytes / size); n++) {
      const folder = `data/${`${n}`.padStart(4, "0")}`;
      if (n === 0) yield entry("data", "directory", 0, undefined);
      yield entry(folder, "directory", 0, undefined);
      const cipher = createCipheriv("aes-256-ctr", new Uint8Array(32).fill(n + 1), new Uint8Array(16));
      const zeros = new Uint8Array(MIB);
      yield entry(
        `${folder}/large`,
        "file",
        size,
        () =>
          toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
            for (let at = 0; at < size; at += MIB) yield new Uint8Array(cipher.update(zeros));
            cipher.final();
          }),
      );
      for (let i = 0; i < SMALL_PER_LARGE; i++) {
        const path = `${folder}/small${`${i}`.padStart(3, "0")}`;
        const body = utf8(smallText(path));
        yield entry(path, "file", body.length, body);
      }
    }
  }
  const facts: FactSheet = { sources: [], stages: [] };
  return {
    name: "wide",
    verb: "collect",
    run: () => Promise.resolve({ kind: "files", entries, facts: () => facts, ordered: true }),
    undo: () => Promise.reject(new Error("not here")),
  };
}

function entry(path: string, kind: "file" | "directory", bytes: number, body: Entry["body"]): Entry {
  return {
    path,
    kind,
    bytes,
    body,
    mode: kind === "file" ? 0o644 : 0o755,
    mtimeMs: 0,
    uid: 0,
    gid: 0,
    uname: "",
    gname: "",
  };
}
