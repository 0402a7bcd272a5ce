/**
 * One stream's snapshot, handed on while it still comes.
 *
 * @module
 */
import type { Link } from "../../nats/link.ts";
import type { U8 } from "../../stage.ts";
import { type FrameCheck, frameCheck, type SnapshotShape } from "./frames.ts";
import { receive } from "./receive.ts";
import { type Cut, hasLeader, request, type SnapshotOptions, whole } from "./snapshot.ts";
import { openWindow, type Window } from "./window.ts";

/** A snapshot that may still be coming. */
export interface Flow extends Cut {
  /** The bytes, to be read once. */
  readonly window: Window;
  /** What they have shown so far. */
  readonly frames: FrameCheck;
  /** Bytes that have come. */
  readonly received: () => number;
  /** Whether they are all, and the snapshot is whole. */
  readonly over: () => boolean;
  /** Why it will not be whole, once that is known. */
  readonly failure: () => { readonly error: Error } | undefined;
  /** Resolves when it is whole; rejects when it will not be. */
  readonly ended: Promise<SnapshotShape>;
  /** Stops what is under way and frees memory, disk and key. May be called twice. */
  readonly close: () => void;
}

/** So much of a snapshot is waited for, so that its length is known where it is shorter: 8 MiB. */
const FLOW_FROM: number = 8 * 1024 * 1024;
/**
 * Begins a snapshot, and resolves when it is whole or when {@linkcode FLOW_FROM} bytes of it have come: the rest is then read while it
 * comes. Throws as {@linkcode takeSnapshot} does, and so does `ended`.
 */
export async function beginSnapshot(link: Link, name: string, options: SnapshotOptions): Promise<Flow> {
  await hasLeader(link, name, options.signal);
  const window = openWindow(`the snapshot of "${name}"`, options.spoolDir);
  const inbox = `_INBOX.${crypto.randomUUID()}`;
  const frames = frameCheck();
  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, stop.signal]);
  const enough = Promise.withResolvers<void>();
  let received = 0;
  let over = false;
  let failure: { readonly error: Error } | undefined;
  const transfer = receive(link, inbox, { ...options, signal }, (piece, acknowledge) => {
    frames.add(piece);
    received += piece.length;
    window.write(piece as U8, acknowledge);
    options.progress?.(received);
    if (received >= FLOW_FROM) enough.resolve();
  });
  const close = (): void => {
    stop.abort(new DOMException("Stopped", "AbortError"));
    window.close();
  };
  try {
    const cut = await request(link, name, inbox, options, transfer);
    const ended = whole(link, cut, transfer, frames).finally(transfer.stop);
    ended.then(() => {
      over = true;
      window.end();
    }, (cause) => {
      failure = { error: cause };
      window.end({ cause });
    });
    await Promise.race([enough.promise, ended]);
    return {
      ...cut,
      window,
      frames,
      received: () => received,
      over: () => over,
      failure: () => failure,
      ended,
      close,
    };
  } catch (error) {
    transfer.stop();
    close();
    throw error;
  }
}
