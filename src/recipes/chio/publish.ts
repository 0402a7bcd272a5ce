/**
 * Giving a head to a program, such as a client of a transparency log.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ConfigError, messageOf } from "../../errors.ts";
import { anchorText, type ChioAnchor } from "./anchor.ts";
import { publicPem } from "./signature.ts";

/** What arguments may name: the anchor, what was signed, the signature's bytes, the kernel's key as PEM. */
const FILES = ["{anchor}", "{body}", "{signature}", "{key}"] as const;

/**
 * Runs a program with a head: its arguments may hold {anchor}, {body}, {signature} and {key}, which become files (all of it is public);
 * standard input is the anchor. Gives what it prints. Throws when it does not start or its exit code is not 0.
 */
export async function publishHead(
  anchor: ChioAnchor,
  argv: readonly string[],
  options: { readonly cwd?: string | undefined; readonly signal?: AbortSignal | undefined } = {},
): Promise<string> {
  const [program, ...args] = argv;
  if (program === undefined) throw new ConfigError("Cannot publish a head: no program is named");
  const folder = await mkdtemp(join(tmpdir(), "holdfast-anchor-"));
  try {
    const paths = await writeFiles(anchor, folder);
    const filled = args.map((arg) => FILES.reduce((text, name) => text.replaceAll(name, paths[name]), arg));
    const child = new Deno.Command(program, {
      args: filled,
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      ...(options.signal && { signal: options.signal }),
    }).spawn();
    const writer = child.stdin.getWriter();
    // A program that does not read it may end first.
    await writer.write(new TextEncoder().encode(anchorText(anchor))).then(() => writer.close()).catch(
      () => {},
    );
    const { code, stdout } = await child.output();
    if (code !== 0) throw new Error(`it ended with exit code ${code}`);
    return new TextDecoder().decode(stdout).trim();
  } catch (cause) {
    throw new Error(`Cannot publish checkpoint ${anchor.seq} with "${program}": ${messageOf(cause)}`, {
      cause,
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function writeFiles(
  anchor: ChioAnchor,
  folder: string,
): Promise<Readonly<Record<typeof FILES[number], string>>> {
  const put = async (name: string, content: string | Uint8Array): Promise<string> => {
    const path = join(folder, name);
    await writeFile(path, content);
    return path;
  };
  return {
    "{anchor}": await put("anchor.json", anchorText(anchor)),
    "{body}": await put("body.json", anchor.body),
    "{signature}": await put("body.sig", Buffer.from(anchor.signature.replace(/^p\d+:/, ""), "hex")),
    "{key}": await put("kernel.pem", publicPem(anchor.key)),
  };
}
