/**
 * Ways to log in: a key, an agent, a password.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { homedir, userInfo } from "node:os";
import { join } from "node:path";
import { KeyError, messageOf } from "../../errors.ts";
import { codeOf } from "../folder.ts";
import { type Place, RefusedError } from "./explain.ts";
import { fingerprintOf } from "./known_hosts.ts";
import type { Library, Login, ParsedKey } from "./library.ts";
import type { Settings } from "./options.ts";

/** Keys of `~/.ssh` that are tried when a plan names no way to log in. */
const DEFAULT_KEYS = ["id_ed25519", "id_ecdsa", "id_rsa"];

/** Ways to log in, and their names for a sentence. */
export interface Ways {
  /** In the order they are tried. */
  readonly logins: readonly Login[];
  /** "the key SHA256:...". */
  readonly names: readonly string[];
}

/** Who logs in where the options do not say. */
export function defaultUser(): string | undefined {
  try {
    return Deno.env.get("USER") ?? Deno.env.get("LOGNAME") ?? userInfo().username;
  } catch {
    return undefined; // not permitted
  }
}

/** Asks for the secrets. Throws KeyError for a key that cannot be used, RefusedError when there is no way at all. */
export async function waysToLogIn(library: Library, settings: Settings, place: Place): Promise<Ways> {
  const { privateKey, passphrase, password } = settings;
  const logins: Login[] = [];
  const names: string[] = [];
  const add = (name: string, ...ways: Login[]): void => {
    logins.push(...ways);
    names.push(name);
  };
  const username = place.user;
  const alone = !privateKey && !password;
  if (privateKey) {
    const key = parse(library, await privateKey(), await passphrase?.(), "the private key", place);
    add(`the key ${fingerprintOf(key.getPublicSSH())}`, { type: "publickey", username, key });
  }
  const agent = settings.agent ?? (alone ? variable("SSH_AUTH_SOCK") : undefined);
  if (typeof agent === "string" && agent !== "") {
    add(`the agent at "${agent}"`, { type: "agent", username, agent });
  }
  if (alone && settings.agent === undefined) {
    for (const { file, key } of defaultKeys(library)) {
      add(`the key "${file}"`, { type: "publickey", username, key });
    }
  }
  if (password) {
    const secret = await password();
    add("a password", { type: "password", username, password: secret }, {
      type: "keyboard-interactive",
      username,
      prompt: (_name, _instructions, _language, prompts, finish) => finish(prompts.map(() => secret)),
    });
  }
  if (logins.length === 0) {
    throw new RefusedError(
      'there is no way to log in. Give a key ("key=/path" in the URL), an agent (SSH_AUTH_SOCK) or a password file',
    );
  }
  return { logins, names };
}

function parse(
  library: Library,
  text: string | Uint8Array,
  passphrase: string | undefined,
  what: string,
  place: Place,
): ParsedKey {
  const cannot = `Cannot log in to ${place.url}: ${what}`;
  const data = typeof text === "string" ? Buffer.from(text) : Buffer.from(text);
  const parsed = library.utils.parseKey(data, passphrase);
  if (parsed instanceof Error) {
    const said = parsed.message;
    if (/no passphrase given|Encrypted/i.test(said)) {
      throw new KeyError(`${cannot} is encrypted. Give its passphrase, or use an agent`, { cause: parsed });
    }
    if (passphrase !== undefined) {
      throw new KeyError(`${cannot} does not open with this passphrase. Give the right one`, {
        cause: parsed,
      });
    }
    throw new KeyError(`${cannot} cannot be read (${said}). Give an OpenSSH or PEM private key`, {
      cause: parsed,
    });
  }
  const key = Array.isArray(parsed) ? parsed[0] as ParsedKey : parsed as ParsedKey;
  if (key.isPrivateKey()) return key;
  throw new KeyError(`${cannot} is a public key. Give the file without ".pub"`);
}

/** Those that are there and not encrypted, as ssh would find them. */
function defaultKeys(library: Library): { readonly file: string; readonly key: ParsedKey }[] {
  const found: { file: string; key: ParsedKey }[] = [];
  for (const name of DEFAULT_KEYS) {
    const file = join(homedir(), ".ssh", name);
    try {
      const parsed = library.utils.parseKey(Buffer.from(Deno.readFileSync(file)));
      if (!(parsed instanceof Error) && !Array.isArray(parsed)) {
        found.push({ file, key: parsed as ParsedKey });
      }
    } catch {
      continue; // not there, or not permitted
    }
  }
  return found;
}

function variable(name: string): string | undefined {
  try {
    return Deno.env.get(name);
  } catch {
    return undefined; // not permitted
  }
}

/** A secret from a file, without the line's end. Throws KeyError. */
export async function readSecretFile(file: string): Promise<string> {
  try {
    return (await Deno.readTextFile(file)).replace(/\r?\n$/, "");
  } catch (cause) {
    const why = codeOf(cause) === "ENOENT" ? "it is not there" : messageOf(cause);
    throw new KeyError(`Cannot read the secret in "${file}": ${why}`, { cause });
  }
}
