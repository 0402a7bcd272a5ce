/**
 * Which collectors can be one group.
 *
 * @module
 */
import { GONE } from "../layers.ts";
import type { Files, Stage } from "../stage.ts";
import { compareNames } from "./folder.ts";
import type { Member } from "./lanes.ts";
import { aloneOf, chainedOf } from "./plain.ts";
import type { FullRules } from "./since/choose.ts";

/** The members in the order of their names. Throws TypeError for none, for names that are not plain, and for what must be alone. */
export function checkMembers(members: Readonly<Record<string, Stage<void, Files>>>): readonly Member[] {
  const list = Object.entries(members).map(([name, stage]) => ({ name, stage }));
  if (list.length === 0) throw new TypeError("Cannot make a group: it has no members");
  for (const { name } of list) {
    if (name === "" || name === "." || name === ".." || /[/\0]/.test(name) || !name.isWellFormed()) {
      throw new TypeError(
        `Cannot make a group: ${JSON.stringify(name)} is not a folder name. Use one name without slashes`,
      );
    }
  }
  for (const { name, stage } of list) {
    const why = aloneOf(stage);
    if (why !== undefined) throw new TypeError(`Cannot make "${name}" part of a group: ${why}`);
  }
  return list.sort((a, b) => compareNames(a.name, b.name));
}

/** When the chain of the whole group ends: it is one, so all members that have one must agree. */
export function rulesOf(list: readonly Member[]): FullRules | undefined {
  const [first, ...others] = list.filter(({ stage }) => chainedOf(stage) !== undefined);
  if (!first) return undefined;
  const { fullEvery, fullShare } = chainedOf(first.stage)!;
  const other = others.find(({ stage }) => {
    const rules = chainedOf(stage)!;
    return rules.fullEvery !== fullEvery || rules.fullShare !== fullShare;
  });
  if (other) {
    throw new TypeError(
      `Cannot make a group: "${first.name}" and "${other.name}" have another "fullEvery" or "fullShare". The group's backups are one chain: ` +
        "give both the same",
    );
  }
  if (list.some(({ name }) => name === GONE)) {
    throw new TypeError(
      `Cannot make a group: the list of what is gone has the name "${GONE}". Use another one`,
    );
  }
  return { fullEvery, fullShare };
}
