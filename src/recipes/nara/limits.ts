/**
 * What a nara would keep: its caps for pings and observations, and the room in its ledger, which it tells where it serves pages.
 *
 * @module
 */
import { PeerError } from "../../collect/events/ask.ts";
import { text } from "../../bytes.ts";
import { room } from "./capacity.ts";
import { type Caps, caps } from "./caps.ts";
import { type NaraEvent, signatureFits, word } from "./event.ts";
import type { Session } from "./restore.ts";

/** {@linkcode Caps} of all kinds. */
export type Limits = Caps;

/** Asks the nara for its limits. One that does not tell how many events it keeps is taken to keep all. */
export async function limitsOf(session: Session): Promise<Limits> {
  const { most, named } = await told(session);
  const groups = caps();
  const ledger = room(most);
  return {
    note: (event, number) => {
      groups.note(event, number);
      ledger.note(event, number);
      if (most > 0 && introduces(event)) named.add(word(event, "From"));
    },
    judge: () => {
      const dropped = groups.judge();
      for (const number of ledger.judge(dropped, (name) => named.has(name))) dropped.add(number);
      return dropped;
    },
  };
}

/** Whether a nara learns a key from an event. */
function introduces(event: NaraEvent): boolean {
  const key = word(event, "PublicKey");
  if (event.svc !== "hey-there" || key === "") return false;
  return event.emitter === "" || event.sig === "" || signatureFits(event, key);
}

interface Told {
  /** Events that it keeps; 0: all. */
  readonly most: number;
  /** Naras whose key it has. */
  readonly named: Set<string>;
}

async function told({ ask, target, caller, context }: Session): Promise<Told> {
  const named = new Set([caller.name]);
  try {
    const most = await ask({ url: `${target}/narae.json` }, ({ body }) => {
      const own = narasIn(text(body)).find(({ Name }) => Name === caller.name);
      return Number(own?.MemoryMaxEvents ?? 0);
    });
    if (!(Number.isSafeInteger(most) && most > 0)) return { most: 0, named };
    await ask({ url: `${target}/api.json` }, ({ body }) => {
      for (const { Name, PublicKey } of narasIn(text(body))) if (Name && PublicKey) named.add(Name);
    });
    return { most, named };
  } catch (error) {
    if (!(error instanceof PeerError)) throw error;
    context.log.info("The nara does not say how many events it keeps: what does not fit is not predicted");
    return { most: 0, named };
  }
}

function narasIn(json: string): { Name?: string; PublicKey?: string; MemoryMaxEvents?: number }[] {
  return (JSON.parse(json) as { naras?: [] | null }).naras ?? [];
}
