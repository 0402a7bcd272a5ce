/**
 * What decides what a kernel believes, and what it remembers besides: policies, the federation's files, further databases.
 *
 * @module
 */
import { resolve } from "node:path";
import { text } from "../../bytes.ts";
import { files as collectFiles, type FilesOptions } from "../../collect/files.ts";
import { type SqliteOptions, sqliteWith } from "../../collect/sqlite.ts";
import type { Files, Stage } from "../../stage.ts";
import { type Peer, peersIn } from "./peers.ts";
import { chio, chioFact, type ChioStage, type Extra, factsOf, type Surface } from "./surface.ts";
import { tapped } from "./tap.ts";

type Roots = string | readonly string[] | Readonly<Record<string, string>>;

/** How policies are stored. */
export interface ChioPoliciesOptions extends FilesOptions {
  /** Public keys of CHIO_TRUSTED_ISSUER_KEYS, which stand in no file: recorded. */
  readonly trustedIssuers?: readonly string[] | undefined;
}

/**
 * Stores policy files with what they extend, byte for byte: a policy's hash cannot be had from anything less. The trusted issuers come
 * back in the list of what to do after a restore.
 */
export function policies(roots: Roots, options: ChioPoliciesOptions = {}): ChioStage {
  const { trustedIssuers = [], ...rest } = options;
  for (const key of trustedIssuers) {
    if (!/^(?:p(?:256|384):)?(?:0x)?[0-9a-fA-F]{64,}$/.test(key)) {
      throw new TypeError(
        `Cannot record ${JSON.stringify(key)} as a trusted issuer: give a public key in hexadecimal`,
      );
    }
  }
  const source = collectFiles(roots, rest);
  const tell = (stored: Files, extra: Extra): void => {
    const said = factsOf(stored.facts().sources, "policies");
    extra.tell?.({
      surface: "policies",
      cutAt: said?.cutAt,
      trustedIssuers: said?.facts.trustedIssuers ?? [],
    });
  };
  return surfaceStage("policies", source, { trustedIssuers }, [], async (stored, context, extra) => {
    await source.undo(stored, context);
    tell(stored, extra);
  });
}

/**
 * Stores a federation's files: policies, providers, and the peers' keys as you keep them, for Chio itself holds pins in memory only.
 * A restore lists every peer that needs a new handshake, and those whose key is not the one of today.
 */
export function federation(roots: Roots, options: FilesOptions = {}): ChioStage {
  const source = collectFiles(roots, options);
  return surfaceStage("federation", source, {}, [], async (stored, context, extra) => {
    const peers: Peer[] = [];
    await source.undo(tapped(stored, (_path, content) => void peers.push(...peersOf(content))), context);
    const said = factsOf(stored.facts().sources, "federation");
    extra.tell?.({ surface: "federation", cutAt: said?.cutAt, peers });
  });
}

/**
 * Stores further databases (budgets, sessions, approvals, nonces), cut at one moment. An old copy of these gives spent budgets and used
 * nonces back: the list after a restore says so.
 */
export function state(databases: Roots, options: SqliteOptions = {}): ChioStage {
  const source = sqliteWith(databases, options, {});
  const paths = typeof databases === "string" ? [databases] : Object.values(databases);
  return surfaceStage(
    "state",
    source,
    {},
    paths.map((path) => resolve(path)),
    async (stored, context, extra) => {
      await source.undo(stored, context);
      const cutAt = factsOf(stored.facts().sources, "state")?.cutAt;
      extra.tell?.({ surface: "state", cutAt });
    },
  );
}

type Undo = (stored: Files, context: Parameters<ChioStage["undo"]>[1], extra: Extra) => Promise<void>;

function surfaceStage(
  surface: Surface,
  source: Stage<void, Files>,
  facts: Readonly<Record<string, unknown>>,
  databases: readonly string[],
  undo: Undo,
  extra: Extra = {},
): ChioStage {
  return {
    name: "chio",
    verb: "collect",
    run: async (_input, context) => {
      const files = await source.run(undefined, context);
      const said = (): ReturnType<Files["facts"]> => {
        const sheet = files.facts();
        const cutAt = sheet.sources[0]?.cutAt ?? context.now.toISOString();
        return { ...sheet, sources: [...sheet.sources, chioFact(surface, Date.parse(cutAt), facts)] };
      };
      return { ...files, facts: said };
    },
    undo: (stored, context) => undo(stored, context, extra),
    [chio]: {
      surface,
      databases,
      again: (more) => surfaceStage(surface, source, facts, databases, undo, { ...extra, ...more }),
    },
  };
}

function peersOf(content: Uint8Array): readonly Peer[] {
  try {
    return peersIn(text(content));
  } catch {
    return []; // not text
  }
}
