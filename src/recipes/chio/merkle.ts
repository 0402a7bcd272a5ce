/**
 * The Merkle trees of checkpoints (RFC 6962: 0x00 before leaves, 0x01 before nodes; an odd last node is carried up).
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";

/** The hash of a leaf. */
export function leafHash(bytes: Uint8Array | string): Uint8Array {
  return createHash("sha256").update(Uint8Array.of(0)).update(bytes).digest();
}

function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  return createHash("sha256").update(Uint8Array.of(1)).update(left).update(right).digest();
}

/** The root over leaf hashes, lower-case hexadecimal. Throws RangeError for none. */
export function rootOf(leaves: readonly Uint8Array[]): string {
  if (leaves.length === 0) throw new RangeError("A tree without leaves has no root");
  let level = leaves;
  while (level.length > 1) {
    const above: Uint8Array[] = [];
    for (let i = 0; i < level.length; i += 2) {
      const right = level[i + 1];
      above.push(right ? nodeHash(level[i]!, right) : level[i]!);
    }
    level = above;
  }
  return hex(level[0]!);
}

/** A tree that grows leaf by leaf, in memory that grows with the logarithm of their number. */
export function frontier(): { readonly add: (leaf: Uint8Array) => void; readonly root: () => string } {
  const subtrees: { hash: Uint8Array; span: number }[] = [];
  return {
    add: (leaf) => {
      let last = { hash: leaf, span: 1 };
      while (subtrees.at(-1)?.span === last.span) {
        const left = subtrees.pop()!;
        last = { hash: nodeHash(left.hash, last.hash), span: left.span * 2 };
      }
      subtrees.push(last);
    },
    root: () => hex(subtrees.map(({ hash }) => hash).reduceRight((right, left) => nodeHash(left, right))),
  };
}

/** What shows that a leaf is in a tree. */
export interface InclusionProof {
  /** Number of leaves. */
  readonly treeSize: number;
  /** Which leaf, from 0. */
  readonly leafIndex: number;
  /** Siblings from the bottom, lower-case hexadecimal; a level at which the node is carried up has none. */
  readonly auditPath: readonly string[];
}

/** The proof for one leaf. Throws RangeError for a leaf that is not there. */
export function prove(leaves: readonly Uint8Array[], leafIndex: number): InclusionProof {
  if (!(leafIndex >= 0 && leafIndex < leaves.length)) throw new RangeError(`There is no leaf ${leafIndex}`);
  const auditPath: string[] = [];
  let level = leaves;
  for (let index = leafIndex; level.length > 1; index >>= 1) {
    const sibling = level[index ^ 1];
    if (sibling) auditPath.push(hex(sibling));
    const above: Uint8Array[] = [];
    for (let i = 0; i < level.length; i += 2) {
      above.push(level[i + 1] ? nodeHash(level[i]!, level[i + 1]!) : level[i]!);
    }
    level = above;
  }
  return { treeSize: leaves.length, leafIndex, auditPath };
}

/** Whether a proof leads from a leaf's bytes to `root` (lower-case hexadecimal). */
export function proves(proof: InclusionProof, leaf: Uint8Array | string, root: string): boolean {
  const path = [...proof.auditPath];
  let { leafIndex: index, treeSize: size } = proof;
  if (!(index >= 0 && index < size)) return false;
  let hash = leafHash(leaf);
  for (; size > 1; index >>= 1, size = Math.ceil(size / 2)) {
    const carried = index % 2 === 0 && index + 1 >= size;
    if (carried) continue;
    const sibling = path.shift();
    if (sibling === undefined) return false;
    const other = new Uint8Array(Buffer.from(sibling, "hex"));
    hash = index % 2 === 0 ? nodeHash(hash, other) : nodeHash(other, hash);
  }
  return path.length === 0 && hex(hash) === root;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
