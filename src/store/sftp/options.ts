/**
 * What an SFTP store is told, and what of that is wrong at once.
 *
 * @module
 */

/** A secret: asked for when a connection is made, and kept nowhere. */
type Secret<T> = () => T | Promise<T>;

/** Options of `store.sftp`. */
export interface SftpOptions {
  /** The server's name or address, as its key is known by in known_hosts. */
  readonly host: string;
  /** Default: 22. */
  readonly port?: number | undefined;
  /** Who logs in. Default: the user of this process. */
  readonly user?: string | undefined;
  /**
   * The folder on the server: absolute as the server shows it (in a chroot "/" is the chroot), or relative to the folder the
   * login starts in. Default: that folder.
   */
  readonly path?: string | undefined;
  /** A private key's text (OpenSSH or PEM). */
  readonly privateKey?: Secret<string | Uint8Array> | undefined;
  /** What the private key is encrypted with. */
  readonly passphrase?: Secret<string> | undefined;
  /** A password; also the answer where the server asks for it interactively. */
  readonly password?: Secret<string> | undefined;
  /**
   * The socket of an ssh-agent, or false for none. Default: `SSH_AUTH_SOCK` and the unencrypted keys of `~/.ssh` where neither
   * a key nor a password is given, else none.
   */
  readonly agent?: string | false | undefined;
  /** Absolute paths of known_hosts files (sshd(8)). Default: `~/.ssh/known_hosts` and `/etc/ssh/ssh_known_hosts`. */
  readonly knownHosts?: string | readonly string[] | undefined;
  /**
   * The server's keys, as "ssh-ed25519 AAAA..." or as fingerprints "SHA256:...". With them no known_hosts file is read.
   * Default: none.
   */
  readonly hostKeys?: readonly string[] | undefined;
  /** Whether a write makes the folder (mode 0700) when only it is missing. Default: true. */
  readonly create?: boolean | undefined;
  /** How often a request whose connection broke is tried again on a new one. Default: 6, about half a minute. */
  readonly retries?: number | undefined;
  /** Milliseconds to connect and log in. Default: 20,000. */
  readonly connectMs?: number | undefined;
  /** Milliseconds without any answer to open requests after which the connection counts as broken. Default: 60,000. */
  readonly stallMs?: number | undefined;
  /** Milliseconds without a request after which the connection is closed; the next request makes a new one. Default: 10,000. */
  readonly idleMs?: number | undefined;
}

/** Options with their defaults. */
export interface Settings extends Omit<SftpOptions, "knownHosts"> {
  readonly port: number;
  readonly path: string;
  readonly knownHosts: readonly string[] | undefined;
  readonly create: boolean;
  readonly retries: number;
  readonly connectMs: number;
  readonly stallMs: number;
  readonly idleMs: number;
}

// deno-lint-ignore no-control-regex -- control characters are what it looks for
const UNSAFE = /[\u0000-\u001f\u007f]/;
const LONGEST = 2 ** 31 - 1;

/** Checks options and fills in defaults. Throws TypeError or RangeError. */
export function settingsOf(options: SftpOptions): Settings {
  const { host, user, path = ".", knownHosts, hostKeys } = options;
  if (!/^[A-Za-z0-9._:%-]+$/.test(host) || host.startsWith("-")) {
    throw new TypeError(`Cannot use ${JSON.stringify(host)} as a host: give a name or an address`);
  }
  if (user !== undefined && (user === "" || /[\s:@/]/.test(user) || UNSAFE.test(user))) {
    throw new TypeError(`Cannot use ${JSON.stringify(user)} as a user: give a name`);
  }
  if (path === "" || UNSAFE.test(path) || path.split("/").includes("..")) {
    throw new TypeError(
      `Cannot use ${JSON.stringify(path)} as a folder on the server: give a path without ".."`,
    );
  }
  for (const key of hostKeys ?? []) checkHostKey(key);
  if (hostKeys?.length === 0) throw new TypeError("Cannot use an empty list of host keys: give one or none");
  const files = typeof knownHosts === "string" ? [knownHosts] : knownHosts;
  for (const file of files ?? []) {
    if (!file.startsWith("/") && !/^[A-Za-z]:[\\/]/.test(file)) {
      throw new TypeError(`Cannot use "${file}" as a known_hosts file: give an absolute path`);
    }
  }
  if (options.passphrase && !options.privateKey) {
    throw new TypeError("Cannot use a passphrase without the private key it belongs to: give both");
  }
  const settings: Settings = {
    ...options,
    port: options.port ?? 22,
    path: path === "/" ? path : path.replace(/\/+$/, ""),
    knownHosts: files,
    create: options.create ?? true,
    retries: options.retries ?? 6,
    connectMs: options.connectMs ?? 20_000,
    stallMs: options.stallMs ?? 60_000,
    idleMs: options.idleMs ?? 10_000,
  };
  checkNumber("port", settings.port, 1, 65_535);
  checkNumber("retries", settings.retries, 0, 100);
  checkNumber("connectMs", settings.connectMs, 1, LONGEST);
  checkNumber("stallMs", settings.stallMs, 1, LONGEST);
  checkNumber("idleMs", settings.idleMs, 1, LONGEST);
  return settings;
}

function checkHostKey(key: string): void {
  if (/^SHA256:[A-Za-z0-9+/]{43}$/.test(key) || /^[a-z0-9@.-]+ AAAA[A-Za-z0-9+/]+={0,2}( .*)?$/.test(key)) {
    return;
  }
  throw new TypeError(
    `Cannot use ${
      JSON.stringify(key)
    } as a host key: give "ssh-ed25519 AAAA..." or "SHA256:" and 43 characters`,
  );
}

function checkNumber(name: string, value: number, least: number, most: number): void {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return;
  throw new RangeError(`Cannot use ${value} for \`${name}\`: give a whole number from ${least} to ${most}`);
}
