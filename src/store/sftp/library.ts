/**
 * As much of the ssh2 library as is used here, with types. It is loaded when a store first connects.
 *
 * @module
 */
import type { Buffer } from "node:buffer";
import type { Socket } from "node:net";

/** An answer: the error has the server's status as its code. */
export type Answer<T> = (error: Error | undefined, value: T) => void;

/** File attributes (draft-ietf-secsh-filexfer-02, section 5); what a server does not tell is undefined. */
export interface Attributes {
  /** Type and permission bits. */
  readonly mode?: number | undefined;
  /** Bytes. */
  readonly size: number;
  /** Seconds since 1970. */
  readonly mtime: number;
}

/** One entry of a folder. */
export interface Named {
  /** Its name. */
  readonly filename: string;
  /** As `ls -l` shows it. */
  readonly longname: string;
  /** Its attributes. */
  readonly attrs: Attributes;
}

/** Space, in blocks of `f_frsize` bytes (statvfs(3)). */
export interface Space {
  /** Bytes of a block. */
  readonly f_frsize: number;
  /** Free blocks for this user. */
  readonly f_bavail: number;
  /** Files there can be; 0 where there is no limit. */
  readonly f_files: number;
  /** Free files for this user. */
  readonly f_favail: number;
}

/** The SFTP channel. */
export interface Channel {
  /** The longest write the server takes (limits@openssh.com), as the library keeps it. */
  readonly _maxWriteLen?: number | undefined;
  readonly open: (
    path: string,
    flags: string,
    attrs: { readonly mode?: number },
    answer: Answer<Buffer>,
  ) => void;
  readonly close: (handle: Buffer, answer: Answer<void>) => void;
  readonly read: (
    handle: Buffer,
    to: Buffer,
    at: number,
    length: number,
    position: number,
    answer: Answer<number>,
  ) => void;
  readonly write: (
    handle: Buffer,
    from: Buffer,
    at: number,
    length: number,
    position: number,
    answer: Answer<void>,
  ) => void;
  readonly fstat: (handle: Buffer, answer: Answer<Attributes>) => void;
  readonly stat: (path: string, answer: Answer<Attributes>) => void;
  readonly lstat: (path: string, answer: Answer<Attributes>) => void;
  readonly opendir: (path: string, answer: Answer<Buffer>) => void;
  readonly readdir: (handle: Buffer, answer: Answer<Named[]>) => void;
  readonly unlink: (path: string, answer: Answer<void>) => void;
  readonly rename: (from: string, to: string, answer: Answer<void>) => void;
  readonly mkdir: (path: string, attrs: { readonly mode: number }, answer: Answer<void>) => void;
  readonly rmdir: (path: string, answer: Answer<void>) => void;
  readonly ext_openssh_rename: (from: string, to: string, answer: Answer<void>) => void;
  readonly ext_openssh_hardlink: (from: string, to: string, answer: Answer<void>) => void;
  readonly ext_openssh_fsync: (handle: Buffer, answer: Answer<void>) => void;
  readonly ext_openssh_statvfs: (path: string, answer: Answer<Space>) => void;
}

/** One way to log in. */
export type Login =
  | { readonly type: "publickey"; readonly username: string; readonly key: ParsedKey }
  | { readonly type: "agent"; readonly username: string; readonly agent: string }
  | { readonly type: "password"; readonly username: string; readonly password: string }
  | {
    readonly type: "keyboard-interactive";
    readonly username: string;
    readonly prompt: (
      name: string,
      instructions: string,
      language: string,
      prompts: readonly unknown[],
      finish: (answers: readonly string[]) => void,
    ) => void;
  };

/** A key that has been read. */
export interface ParsedKey {
  /** The public half. */
  readonly getPublicSSH: () => Uint8Array;
  /** Whether there is a private half. */
  readonly isPrivateKey: () => boolean;
}

/** What seals packets, as the library has it inside. */
export interface Cipher {
  /** OpenSSL's name of it. */
  readonly _encSSLName: string;
  /** Its key. */
  readonly _encKey: Uint8Array;
  /** The nonce of the next packet. */
  readonly _encIV: Uint8Array;
  /** Whether it has been replaced. */
  readonly _dead: boolean;
  /** Packets sealed. */
  outSeqno: number;
  /** Seals a packet, and sends it. */
  encrypt: (packet: Buffer<ArrayBuffer>) => void;
}

/** The transport, as the library has it inside. */
export interface Protocol {
  /** What seals packets now. */
  readonly _cipher?: Partial<Cipher> | undefined;
  /** Sends bytes. Ciphers take it over when they are made. */
  _onWrite?: ((bytes: Uint8Array) => void) | undefined;
}

/** A connection. */
export interface Client {
  /** There once `connect` has been called. */
  readonly _protocol?: Protocol | undefined;
  readonly on: (
    event: "handshake" | "ready" | "error" | "close" | "end",
    listener: (error: Error) => void,
  ) => Client;
  readonly connect: (options: {
    readonly sock: Socket;
    readonly username: string;
    readonly authHandler: readonly Login[];
    readonly hostVerifier: (key: Buffer) => boolean;
    readonly algorithms: {
      readonly serverHostKey: readonly string[];
      readonly cipher: readonly string[];
      readonly compress: readonly string[];
    };
    readonly readyTimeout: number;
  }) => void;
  readonly sftp: (answer: Answer<Channel>) => void;
  readonly end: () => void;
  readonly destroy: () => void;
}

/** The library. */
export interface Library {
  readonly Client: new () => Client;
  readonly utils: {
    readonly parseKey: (data: Buffer, passphrase?: string) => ParsedKey | readonly ParsedKey[] | Error;
  };
}

/** Loads it. */
export async function loadLibrary(): Promise<Library> {
  const { default: library } = await import("ssh2");
  return library as unknown as Library;
}
