/**
 * E-mail over SMTP.
 *
 * @module
 */
import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { type Notifier, notifier, type NotifierOptions, type RunEvent, type Secret } from "./event.ts";

/** Options of {@linkcode email}. */
export interface EmailOptions extends NotifierOptions {
  /**
   * The server: "smtps://mail.example.com" (TLS from the first byte, port 465) or "smtp://mail.example.com" (port 587, STARTTLS). No
   * user or password in it.
   */
  readonly server: string;
  /** The sender's address. */
  readonly from: string;
  /** The recipients' addresses, at least one. */
  readonly to: readonly string[];
  /** The user, where the server asks for one. */
  readonly user?: string | undefined;
  /** The user's password. */
  readonly password?: Secret | undefined;
  /** A PEM file with the authority that signed the server's certificate. Default: the system's authorities. */
  readonly ca?: string | undefined;
  /** Speak without TLS, for a server on this machine. Never with a password. Default: false. */
  readonly plain?: boolean | undefined;
}

/** The part of nodemailer that is used here. */
interface Mailer {
  readonly createTransport: (options: Readonly<Record<string, unknown>>) => {
    readonly sendMail: (mail: Readonly<Record<string, unknown>>) => Promise<unknown>;
    readonly close: () => void;
  };
}

/**
 * Sends a mail for what needs someone: by default warnings and failures. TLS is required unless `plain`, certificates are checked.
 * Throws TypeError for options that cannot work.
 */
export function email(options: EmailOptions): Notifier {
  const { from, to, user, password, ca, plain = false } = options;
  const server = checkServer(options.server);
  for (const address of [from, ...to]) {
    if (!/^[^\s@<>,;:"]+@[^\s@<>,;:"]+$/.test(address)) {
      throw new TypeError(`Cannot notify by email: "${address}" is no address such as "ops@example.com"`);
    }
  }
  if (to.length === 0) throw new TypeError('Cannot notify by email: "to" names nobody');
  if ((user === undefined) !== (password === undefined)) {
    throw new TypeError("Cannot notify by email: user and password go together");
  }
  if (plain && password) {
    throw new TypeError(
      "Cannot notify by email: a password does not go over a line without TLS. Leave out plain",
    );
  }
  const name = `email (${server.protocol}//${server.host})`;
  return notifier(name, options, { on: ["warning", "failure"] }, async (event, signal) => {
    const { createTransport } = await import("nodemailer") as unknown as Mailer;
    const secure = server.protocol === "smtps:";
    const wait = options.timeoutMs ?? 10_000;
    const transport = createTransport({
      host: server.hostname.replace(/^\[(.*)\]$/, "$1"),
      port: Number(server.port) || (secure ? 465 : 587),
      name: helloName(),
      secure,
      ...(plain ? { ignoreTLS: true } : { requireTLS: true }),
      ...(ca !== undefined && { tls: { ca: await readFile(ca, "utf8") } }),
      ...(user !== undefined && { auth: { user, pass: (await password!()).trim() } }),
      connectionTimeout: wait,
      greetingTimeout: wait,
      socketTimeout: wait,
      disableFileAccess: true,
      disableUrlAccess: true,
    });
    const stop = (): void => transport.close();
    signal.addEventListener("abort", stop, { once: true });
    try {
      signal.throwIfAborted();
      await transport.sendMail({
        from,
        to: [...to],
        subject: `[Holdfast] ${event.title}`,
        text: bodyOf(event),
      });
    } finally {
      signal.removeEventListener("abort", stop);
      transport.close();
    }
  });
}

function checkServer(text: string): URL {
  const url = URL.parse(text);
  if (!url || !/^smtps?:$/.test(url.protocol) || url.hostname === "" || !/^\/?$/.test(url.pathname)) {
    throw new TypeError(
      'Cannot notify by email: write its server as "smtps://mail.example.com" or "smtp://mail.example.com:587"',
    );
  }
  if (url.username !== "" || url.password !== "") {
    throw new TypeError(
      "Cannot notify by email: user and password must not stand in its server. Give them on their own",
    );
  }
  return url;
}

function bodyOf({ text, plan, host, run, at, durationMs }: RunEvent): string {
  const took = durationMs === undefined ? "" : `\nTook:  ${(durationMs / 1000).toFixed(1)} s`;
  return `${text}\n\nPlan:  ${plan}\nHost:  ${host}\nRun:   ${run}\nAt:    ${at}${took}\n`;
}

function helloName(): string {
  try {
    return hostname();
  } catch {
    return "localhost"; // without --allow-sys=hostname
  }
}
