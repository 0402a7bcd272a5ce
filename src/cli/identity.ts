/**
 * The user's own identity: made at the first backup without a configuration, found again by everything that reads.
 *
 * @module
 */
import { dirname, join } from "node:path";
import { readIdentities } from "../config/keys.ts";
import { generateIdentity, recipientOf } from "../encrypt/mod.ts";
import { syncFolder } from "../collect/staging.ts";
import { ConfigError, ExistsError, KeyError, messageOf } from "../errors.ts";
import { configFolder } from "./folders.ts";

/** Where the identity lies. */
export function identityFile(): string {
  return join(configFolder(), "identity.txt");
}

/** The identity's text. Throws {@linkcode KeyError} when there is none, or no home to look in. */
export async function ownIdentities(): Promise<readonly string[]> {
  let file: string;
  try {
    file = identityFile();
  } catch (cause) {
    if (!(cause instanceof ConfigError)) throw cause;
    throw new KeyError("There is no key, and no folder to look for one: HOME is not set", { cause });
  }
  if (await exists(file)) return await readIdentities([file]);
  throw new KeyError(`There is no key at ${file}`);
}

/**
 * The recipient of the user's own identity. The first time both are made. The recipient lies in a file of its own beside the
 * identity, so that the identity can be taken off a host that only backs up.
 */
export async function ownRecipient(say: (text: string) => void): Promise<string> {
  const file = identityFile();
  const publicFile = join(dirname(file), "recipient.txt");
  if (await exists(file)) {
    const text = (await readIdentities([file]))[0]!;
    return await recipientOf(text);
  }
  if (await exists(publicFile)) return (await Deno.readTextFile(publicFile)).trim();
  const recipient = await writeIdentity(file, "x25519");
  say(
    `Made the key of your backups: ${file}\n` +
      "Copy this file to another place NOW: a password manager, another machine, paper. Without it nobody can read " +
      "these backups, and if this machine is lost, so is the key.",
  );
  await writeNew(publicFile, recipient + "\n", 0o644);
  return recipient;
}

/**
 * Writes a new identity (mode 0600) in the form of age-keygen, and gives its recipient. Throws {@linkcode ExistsError}, and
 * leaves it alone, when the file exists.
 */
export async function writeIdentity(file: string, kind: "x25519" | "hybrid"): Promise<string> {
  const { identity, recipient } = await generateIdentity(kind);
  const text = `# created: ${
    new Date().toISOString().slice(0, 19)
  }Z\n# public key: ${recipient}\n${identity}\n`;
  try {
    await writeNew(file, text, 0o600);
  } catch (cause) {
    if (cause instanceof Deno.errors.AlreadyExists) {
      throw new ExistsError(
        `Cannot write a new identity to "${file}": it exists, and whatever it opens would be lost. Pass another --out`,
        { cause },
      );
    }
    const why = messageOf(cause);
    throw new Error(
      `Cannot write the identity "${file}": ${why}. Nothing was left there; see to its folder, or make one elsewhere with "keygen --out FILE"`,
      { cause },
    );
  }
  return recipient;
}

/** Writes a new file and makes it durable, or leaves nothing: half a key would stand in the way of a whole one. */
async function writeNew(file: string, text: string, mode: number): Promise<void> {
  await Deno.mkdir(dirname(file), { recursive: true, mode: 0o700 });
  using target = await Deno.open(file, { write: true, createNew: true, mode });
  try {
    const bytes = new TextEncoder().encode(text);
    for (let at = 0; at < bytes.length;) at += await target.write(bytes.subarray(at));
    await target.sync();
    syncFolder(dirname(file));
  } catch (error) {
    await Deno.remove(file);
    throw error;
  }
}

async function exists(file: string): Promise<boolean> {
  try {
    await Deno.lstat(file);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw new KeyError(`Cannot look for the identity "${file}": ${messageOf(error)}`, { cause: error });
  }
}
