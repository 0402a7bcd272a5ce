/**
 * Keeps a lost connection from ending the process: the NATS transport takes every listener off a socket before it destroys it, and a
 * reset that arrives after that would be an error that nobody can catch.
 *
 * @module
 */
import { channel, subscribe, unsubscribe } from "node:diagnostics_channel";
import type { Socket } from "node:net";

const CHANNEL = "net.client.socket";

/** Sockets opened from now on keep one listener for errors. Gives a function that ends this. */
export function shieldSockets(): () => void {
  channel(CHANNEL); // must exist before it is subscribed to
  const onSocket = (message: unknown): void => {
    const { socket } = message as { readonly socket: Socket };
    const remove = socket.removeAllListeners.bind(socket);
    socket.removeAllListeners = (...event) => {
      remove(...event);
      return socket.listenerCount("error") > 0 ? socket : socket.on("error", () => {});
    };
  };
  subscribe(CHANNEL, onSocket);
  return () => void unsubscribe(CHANNEL, onSocket);
}
