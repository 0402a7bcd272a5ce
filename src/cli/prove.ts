/**
 * `deno task prove`
 *
 * @module
 */
import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { optional } from "@optique/core/modifiers";
import { argument } from "@optique/core/primitives";
import { string } from "@optique/core/valueparser";
import { type Cli, type Command, command } from "../cli.ts";
import { ConfigError, IntegrityError, messageOf } from "../errors.ts";
import { checkProven, type EntryProof, prove } from "../prove.ts";
import { minisign, openpgp } from "../sign/mod.ts";
import type { Seal } from "../stage.ts";
import { keyArgs, planArgs, shelfArgs, textOption } from "./args.ts";
import { eachPlan } from "./choose.ts";
import { EXIT } from "./exit.ts";
import { fromCaller } from "./folders.ts";
import { chooseShelves } from "./shelves.ts";

interface CheckArgs {
  readonly check?: string | undefined;
  readonly receipt?: string | undefined;
  readonly publicKey?: string | undefined;
  readonly certificate?: string | undefined;
}

/** The command. */
export const proveCommand: Command = command({
  name: "prove",
  usage: "ID|latest PATH | --check FILE --receipt FILE (--public-key FILE | --certificate FILE)",
  brief: "Shows that a file is in a backup, to someone who has its receipt and the signer's public key.",
  about: [
    "Standard output: the proof, one JSON object (an RFC 6962 inclusion proof; it discloses this file's name, metadata and digest, and " +
    "nothing of the others). Making it needs the identity; checking it needs neither the archive nor a secret.",
    "--check reads a proof, the .receipt.json of the backup and the signature beside it (.minisig with --public-key, .sig or .asc with " +
    "--certificate), and prints the file's metadata and who signed.",
  ],
  examples: [
    "deno task --quiet prove latest documents/letter.txt > proof.json",
    "deno task prove --check proof.json --receipt app_2026-11-20T03-00-00Z.tar.zst.age.receipt.json --public-key holdfast.pub",
  ],
  parser: object({
    id: optional(argument(string({ metavar: "ID|latest" }), {
      description: message`The backup's file name, or the newest`,
    })),
    path: optional(argument(string({ metavar: "PATH" }), {
      description: message`The file's path in the backup`,
    })),
    check: textOption("--check", "FILE", "A proof to check"),
    receipt: textOption("--receipt", "FILE", "With --check: the backup's .receipt.json"),
    publicKey: textOption("--public-key", "FILE", "With --check: the signer's minisign public key"),
    certificate: textOption("--certificate", "FILE", "With --check: the signer's OpenPGP certificate"),
    ...planArgs,
    ...shelfArgs,
    ...keyArgs,
  }),
  run: async (args, cli) => {
    if (args.check !== undefined) return await check(args, cli);
    const { id, path } = args;
    if (id === undefined || path === undefined) {
      throw new ConfigError(
        "Cannot prove: pass the backup's file name (or latest) and a path, or --check FILE",
      );
    }
    const choices = await chooseShelves(args, cli, { id: id === "latest" ? undefined : id });
    return await eachPlan(choices, cli, async (job) => {
      const options = cli.runOptions(true);
      const { proof } = await prove(job.plan, { ...options, id, path });
      cli.terminal.out(JSON.stringify(proof));
      return options.warned() > 0 ? EXIT.warnings : EXIT.complete;
    });
  },
});

async function check(args: CheckArgs, cli: Cli): Promise<number> {
  const { receipt, publicKey, certificate } = args;
  if (receipt === undefined || (publicKey === undefined) === (certificate === undefined)) {
    throw new ConfigError(
      "Cannot check a proof: pass --receipt FILE, and either --public-key FILE or --certificate FILE",
    );
  }
  const file = fromCaller(receipt, cli.folder);
  const { id, signer, entry } = await checkProven({
    proof: parsed(await read(args.check!, cli)),
    receipt: await read(receipt, cli),
    ...await signed(file, publicKey, certificate, cli),
  });
  cli.terminal.out(JSON.stringify({ id, signer, entry }));
  return EXIT.complete;
}

async function signed(
  receipt: string,
  publicKey: string | undefined,
  certificate: string | undefined,
  cli: Cli,
): Promise<{ readonly signature: Uint8Array<ArrayBuffer>; readonly seal: Seal }> {
  const stage = publicKey !== undefined
    ? minisign({ publicKey: new TextDecoder().decode(await read(publicKey, cli)) })
    : openpgp({ certificate: await read(certificate!, cli) });
  const [seal] = stage.seals!;
  const suffixes = publicKey !== undefined ? [".minisig"] : [".sig", ".asc"];
  for (const suffix of suffixes) {
    const signature = await Deno.readFile(receipt + suffix).catch(() => undefined);
    if (signature) return { signature, seal: seal! };
  }
  throw new IntegrityError(
    `Cannot check the proof: the receipt's signature (${
      suffixes.join(" or ")
    }) is not beside "${receipt}". Copy it from the store`,
  );
}

async function read(path: string, cli: Cli): Promise<Uint8Array<ArrayBuffer>> {
  const file = fromCaller(path, cli.folder);
  try {
    return await Deno.readFile(file);
  } catch (cause) {
    throw new ConfigError(`Cannot read "${file}": ${messageOf(cause)}`, { cause });
  }
}

function parsed(bytes: Uint8Array): EntryProof {
  try {
    return JSON.parse(new TextDecoder().decode(bytes)) as EntryProof;
  } catch (cause) {
    throw new IntegrityError("Cannot check the proof: it is not JSON", { cause });
  }
}
