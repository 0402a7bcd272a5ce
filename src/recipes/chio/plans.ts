/**
 * Chio's surfaces from the words of a configuration.
 *
 * @module
 */
import type { ChioConfig } from "../../config/chio.ts";
import { authority } from "./authority.ts";
import { receipts } from "./receipts.ts";
import { revocations } from "./revocations.ts";
import { chio, type ChioStage } from "./surface.ts";
import { federation, policies, state } from "./trust.ts";

/** The source that a configuration names. Throws TypeError or RangeError for wrong options. */
export function chioCollector(config: ChioConfig): ChioStage {
  const { accept, ...options } = config.options;
  const stage = bare({ ...config, options } as ChioConfig);
  return accept === undefined ? stage : stage[chio].again({ accept });
}

function bare({ surface, value, options }: ChioConfig): ChioStage {
  switch (surface) {
    case "receipts":
      return receipts(value, options);
    case "revocations":
      return revocations(value, options);
    case "policies":
      return policies(value, options);
    case "federation":
      return federation(value);
    case "state":
      return state(value, options);
    case "authority":
      return authority({ ...value, ...options });
  }
}
