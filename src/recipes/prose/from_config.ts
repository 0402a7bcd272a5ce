/**
 * The plan that `collect = { prose = ... }` makes.
 *
 * @module
 */
import type { Service } from "../../collect/stopped/service.ts";
import type { PlanConfig } from "../../config.ts";
import type { ProseConfig } from "../../config/prose.ts";
import { openpgpStage, signStage } from "../../config/seal.ts";
import type { Plan } from "../../find.ts";
import type { Keys } from "../../job.ts";
import type { Policy } from "../../prune/mod.ts";
import type { Store } from "../../stage.ts";
import { directory } from "../../store/mod.ts";
import { SHELF } from "./names.ts";
import { prosePlan } from "./plan.ts";

/** Makes the plan. Throws TypeError for what Prose's names and layout have no room for. */
export function proseFromConfig(
  plan: PlanConfig,
  { options }: ProseConfig,
  to: readonly Store[],
  folder: string,
  keys: Keys,
): Plan {
  const { name, encrypt, compress } = plan;
  const only = (key: string, is: string): TypeError =>
    new TypeError(
      `A backup of Prose is ${is}: leave "${key}" out, or use collect = { files = ... } for another form`,
    );
  if (name !== undefined && name !== SHELF) throw only("name", `called "${SHELF}"`);
  if (compress.tool !== "zstd") throw only("compress", "compressed with zstd");
  if (encrypt.tool === "age") throw only("encrypt", "encrypted with OpenPGP, or not");
  const signs = plan.sign.filter(({ tool }) => tool !== "sha256");
  if (signs.length > 1 || (signs[0] && signs[0].tool !== "openpgp")) {
    throw only("sign", "signed once, with OpenPGP, or not");
  }
  const { unit, user, stop, start, running, service, oldChecks, ...rest } = options;
  return prosePlan({
    ...rest,
    service: serviceOf({ unit, user, stop, start, running, service }, folder),
    to,
    oldChecks: oldChecks === undefined ? undefined : directory(oldChecks),
    encrypt: encrypt.tool === "openpgp" ? openpgpStage(encrypt, folder) : undefined,
    sign: signs[0] && signStage(signs[0], folder, keys),
    require: plan.require,
    level: compress.options["level"] as number | undefined,
    keep: plan.prune as Policy | undefined,
  });
}

type Words = Pick<ProseConfig["options"], "unit" | "user" | "stop" | "start" | "running" | "service">;

function serviceOf({ unit, user, stop, start, running, service }: Words, cwd: string): Service | "none" {
  const given = [unit, stop ?? start, service].filter((word) => word !== undefined);
  if (given.length !== 1) {
    throw new TypeError(
      'Say how Prosody is stopped, in one way: unit = "prosody.service", or stop = [...] and start = [...], or service = "none"',
    );
  }
  if (service === "none") return service;
  if (unit !== undefined) return { unit, user };
  if (!stop || !start) {
    throw new TypeError('Both "stop" and "start" are needed: each is a program and its arguments');
  }
  return { name: "prosody", stop, start, running, cwd };
}
