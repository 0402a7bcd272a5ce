/**
 * Who may ask: one bearer token, compared in constant time.
 *
 * @module
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { Trouble } from "./trouble.ts";

/** A check of `Authorization: Bearer ...`. Throws status 401 for anything but the token; how long that takes says nothing of it. */
export function bearer(token: string): (header: string | undefined) => void {
  const expected = digest(token);
  return (header) => {
    const [, given] = /^Bearer ([\x21-\x7e]+)$/i.exec(header ?? "") ?? [];
    // Digests are of equal length whatever was given.
    if (timingSafeEqual(digest(given ?? ""), expected) && given !== undefined) return;
    throw new Trouble(401, "UNAUTHORIZED", "Send the service's token: Authorization: Bearer TOKEN", {
      "www-authenticate": 'Bearer realm="holdfast"',
    });
  };
}

function digest(text: string): Uint8Array {
  return createHash("sha256").update(text).digest();
}
