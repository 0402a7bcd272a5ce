/**
 * Which backup a restore asks for.
 *
 * @module
 */
import { readAll, text } from "../../../bytes.ts";
import { checkId } from "../restore.ts";
import { type BodyLimits, limited } from "./body.ts";
import { Trouble } from "./trouble.ts";

/** The whole file name in a body `{"id": "..."}`. Throws status 400 for any other body, 404 for what cannot be a name. */
export async function restoreWanted(
  request: Request,
  limits: BodyLimits,
  ending?: AbortSignal,
): Promise<string> {
  const bytes = await readAll(limited(request, limits, ending), limits.maxBytes, "the body");
  let id: unknown;
  try {
    id = (JSON.parse(text(bytes)) as { id?: unknown } | null)?.id;
  } catch {
    throw new Trouble(400, "BAD_REQUEST", 'Send JSON: {"id": "the whole file name of the backup"}');
  }
  if (typeof id !== "string" || id === "latest") {
    throw new Trouble(
      400,
      "BAD_REQUEST",
      'Name the backup by its whole file name: {"id": "prose_2025-12-02T10:46:50Z.tar.zst.gpg"}',
    );
  }
  checkId(id);
  return id;
}
