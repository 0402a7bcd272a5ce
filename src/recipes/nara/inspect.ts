/**
 * Looks at events as they are stored: is each one's id what its content makes?
 *
 * @module
 */
import type { Context } from "../../stage.ts";
import { idFits, readEvent } from "./event.ts";

/** Makes an inspector of blocks of whole lines. An event whose id does not fit is kept, and is a warning of kind "id". */
export function inspector(): (lines: Uint8Array, context: Context) => void {
  return (lines, context) => {
    for (const line of new TextDecoder().decode(lines).split("\n")) {
      if (line === "") continue;
      const problem = check(line);
      if (problem !== undefined) context.log.warn("id", problem);
    }
  };
}

function check(line: string): string | undefined {
  try {
    const event = readEvent(line);
    if (event.id === "") return "An event without an id is kept, and no nara will take it";
    if (idFits(event)) return undefined;
    return `The event "${event.id}" is kept, but its id is not what its content makes: it was made by hand, or changed`;
  } catch (error) {
    return `A line is kept that is no event: ${(error as Error).message}`;
  }
}
