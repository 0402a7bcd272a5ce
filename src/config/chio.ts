/**
 * The shape of `collect = { chio = ... }`.
 *
 * @module
 */
import * as v from "valibot";
import { isTable, mustBe, number, oneOrMore, refuse, table, text, texts } from "./shape.ts";
import { kindOf, suggest } from "./words.ts";

/** Options that every surface of Chio's takes. */
interface ChioCommon {
  readonly accept?: readonly ("rollback" | "identity" | "fork")[] | undefined;
  readonly check?: "full" | "quick" | "off" | undefined;
  readonly timeoutMs?: number | undefined;
  readonly spoolDir?: string | undefined;
}

/** A key that is recorded. */
interface Key {
  readonly id: string;
  readonly publicKey: string;
}

type Paths = readonly string[] | Readonly<Record<string, string>>;

/** `collect = { chio = { SURFACE = VALUE, ... } }` */
export type ChioConfig =
  & { readonly tool: "chio" }
  & (
    | {
      readonly surface: "receipts";
      readonly value: string;
      readonly options: ChioCommon & {
        readonly archives?: readonly string[] | undefined;
        readonly trustedKeys?: readonly string[] | undefined;
        readonly keys?: readonly Key[] | undefined;
      };
    }
    | { readonly surface: "revocations"; readonly value: string; readonly options: ChioCommon }
    | {
      readonly surface: "policies";
      readonly value: Paths;
      readonly options: ChioCommon & { readonly trustedIssuers?: readonly string[] | undefined };
    }
    | { readonly surface: "federation" | "state"; readonly value: Paths; readonly options: ChioCommon }
    | {
      readonly surface: "authority";
      readonly value: {
        readonly database?: string | undefined;
        readonly seeds?: readonly string[] | undefined;
      };
      readonly options: ChioCommon & {
        readonly identity?: readonly string[] | undefined;
        readonly keys?: readonly Key[] | undefined;
      };
    }
  );

type Surface = ChioConfig["surface"];

/** The schema of `{ chio = ... }`. */
export function chioSchema(path: v.GenericSchema<string, string>): v.GenericSchema<unknown, ChioConfig> {
  const surfaces = surfacesOf(path);
  const names = Object.keys(surfaces) as Surface[];
  const inner = v.lazy((input): v.GenericSchema<unknown, ChioConfig> => {
    const example = '{ receipts = "/var/lib/chio/receipts.sqlite3" }';
    if (!isTable(input)) return refuse(`must be a table such as ${example}, not ${kindOf(input)}`);
    const given = names.filter((name) => Object.hasOwn(input, name));
    if (given.length > 1) {
      return refuse(
        `holds ${given.join(" and ")}: each surface is a plan of its own, with its own key and retention`,
      );
    }
    const [surface] = given;
    if (surface === undefined) {
      return refuse(`names no surface. ${suggest(Object.keys(input)[0] ?? "", names)}`);
    }
    return v.pipe(
      table({ [surface]: surfaces[surface].value, ...surfaces[surface].options }),
      v.transform(({ [surface]: value, ...options }) =>
        ({ tool: "chio", surface, value, options }) as unknown as ChioConfig
      ),
    );
  });
  return v.pipe(table({ chio: inner }), v.transform(({ chio }) => chio));
}

type Entries = Readonly<Record<string, v.GenericSchema<unknown, unknown>>>;

function surfacesOf(
  path: v.GenericSchema<string, string>,
): Readonly<
  Record<Surface, { readonly value: v.GenericSchema<unknown, unknown>; readonly options: Entries }>
> {
  const list = oneOrMore(path);
  const named = v.record(v.string(), path);
  const paths = v.lazy((input): v.GenericSchema<unknown, Paths> => isTable(input) ? named : list);
  const keys = v.optional(
    v.array(table({ id: text, publicKey: text }), mustBe("a list of { id, publicKey }")),
  );
  const accept = v.optional(
    v.array(v.picklist(["rollback", "identity", "fork"], mustBe('"rollback", "identity" or "fork"'))),
  );
  const database = {
    accept,
    check: v.optional(v.picklist(["full", "quick", "off"], mustBe('"full", "quick" or "off"'))),
    timeoutMs: v.optional(number),
    spoolDir: v.optional(path),
  };
  return {
    receipts: {
      value: path,
      options: {
        ...database,
        archives: v.optional(v.array(path, mustBe("a list of files"))),
        trustedKeys: v.optional(texts),
        keys,
      },
    },
    policies: { value: paths, options: { trustedIssuers: v.optional(texts) } },
    federation: { value: paths, options: {} },
    authority: {
      value: table({
        database: v.optional(path),
        seeds: v.optional(v.array(path, mustBe("a list of files"))),
      }),
      options: { ...database, identity: v.optional(texts), keys },
    },
    state: { value: paths, options: database },
    revocations: { value: path, options: database },
  };
}

/** Everything a surface reads: files, and databases with their logs. */
export function chioPaths({ surface, value }: ChioConfig): readonly string[] {
  if (surface === "policies" || surface === "federation") return Object.values(value);
  const files = surface === "authority" ? value.seeds ?? [] : [];
  const databases = surface === "authority"
    ? value.database === undefined ? [] : [value.database]
    : typeof value === "string"
    ? [value]
    : Object.values(value);
  return [...files, ...databases.flatMap((one) => [one, `${one}-wal`, `${one}-shm`])];
}
