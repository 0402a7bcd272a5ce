/** What holds for any backups, any policy, any clock. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { type Candidate, keep, type Policy } from "../../src/prune/keep.ts";

const SOAK = Deno.env.get("HOLDFAST_SOAK") === "1";
const RUNS = { seed: 20_261_120, numRuns: SOAK ? 20_000 : 400 };
const HOUR = 3_600_000;

/** Where clocks change by an hour, by half an hour, by a day, over midnight, and never. */
const ZONES = [
  "UTC",
  "Europe/Berlin",
  "America/New_York",
  "Australia/Lord_Howe",
  "Pacific/Apia",
  "America/St_Johns",
  "Asia/Kathmandu",
];

/** Moments around which all of these zones change their clocks, and a quiet one. */
const AROUND = [
  "2010-11-07T02",
  "2011-12-30T10",
  "2026-03-29T01",
  "2026-10-25T01",
  "2026-11-01T06",
  "2026-04-04T15",
]
  .map((hour) => Date.parse(`${hour}:00:00Z`));

const time = fc.oneof(
  fc.tuple(fc.constantFrom(...AROUND), fc.integer({ min: -40, max: 40 })).map(([ms, steps]) =>
    ms + steps * HOUR / 2
  ),
  fc.integer({ min: AROUND[0]!, max: AROUND[4]! + 400 * 24 * HOUR }),
).map((ms) => new Date(Math.floor(ms / 1000) * 1000));

/** What the clock says: mostly later than all of them. */
const clock = fc.oneof(
  { weight: 3, arbitrary: fc.constant(new Date("2100-01-01T00:00:00Z")) },
  { weight: 1, arbitrary: time },
);

const backups: fc.Arbitrary<readonly Candidate[]> = fc.array(
  fc.record({
    name: fc.constantFrom("app", "db"),
    time,
    verified: fc.boolean(),
    bases: fc.array(fc.nat({ max: 200 }).map((n) => `b${n}`), { maxLength: 2 }),
  }),
  { maxLength: 50, size: "max" },
).map((list) => list.map((backup, i) => ({ ...backup, id: `b${i}` })));

const withoutBases = backups.map((list) => list.map((backup) => ({ ...backup, bases: [] })));

/** Mostly off and mostly small, so that most policies remove something. */
const count = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(undefined, 0) },
  { weight: 3, arbitrary: fc.integer({ min: 1, max: 4 }) },
  { weight: 1, arbitrary: fc.constantFrom(9, -1, Infinity) },
);
const COUNTS = ["keepLast", "keepHourly", "keepDaily", "keepWeekly", "keepMonthly", "keepYearly"] as const;
const WITHINS = [
  "keepWithin",
  "keepWithinHourly",
  "keepWithinDaily",
  "keepWithinWeekly",
  "keepWithinMonthly",
  "keepWithinYearly",
] as const;

/** Shortest to longest, whatever the month. */
const LENGTHS = [undefined, "1h", "36h", "2d", "P2W", "1m", "2m", "P1Y", "1y1m", "2y", "20y"] as const;
const length = fc.oneof(
  { weight: 6, arbitrary: fc.constant(0) },
  { weight: 1, arbitrary: fc.nat({ max: LENGTHS.length - 1 }) },
);

/** A policy as numbers, so that a wider one can be made from it. */
interface Plan {
  readonly counts: readonly (number | undefined)[];
  readonly lengths: readonly number[];
  readonly pins: readonly string[];
  readonly timezone: string;
}

const plan: fc.Arbitrary<Plan> = fc.record({
  counts: fc.tuple(...COUNTS.map(() => count)),
  lengths: fc.tuple(...WITHINS.map(() => length)),
  pins: fc.array(fc.nat({ max: 60 }).map((n) => `b${n}`), { maxLength: 2 }),
  timezone: fc.constantFrom(...ZONES),
}).filter(({ counts, lengths }) =>
  counts.some((n) => n !== undefined && n !== 0) || lengths.some((n) => n > 0)
);

function policyOf({ counts, lengths, pins, timezone }: Plan): Policy {
  const rules = COUNTS.map((key, i) => [key, counts[i]]);
  const withins = WITHINS.map((key, i) => [key, LENGTHS[lengths[i]!]]);
  return { ...Object.fromEntries([...rules, ...withins]), pins, timezone };
}

const policy = plan.map(policyOf);

/** Each count, length and list of pins the same or greater. */
const wider: fc.Arbitrary<readonly [Policy, Policy]> = fc.record({
  plan,
  more: fc.tuple(...COUNTS.map(() => fc.constantFrom(0, 0, 1, 5, Infinity))),
  longer: fc.tuple(...WITHINS.map(() => fc.constantFrom(0, 0, 1, 3))),
  pins: fc.array(fc.nat({ max: 60 }).map((n) => `b${n}`), { maxLength: 2 }),
}).map(({ plan, more, longer, pins }) => [
  policyOf(plan),
  policyOf({
    counts: plan.counts.map((n, i) => n === -1 ? -1 : (n ?? 0) + more[i]!),
    lengths: plan.lengths.map((n, i) => Math.min(n + longer[i]!, LENGTHS.length - 1)),
    pins: [...plan.pins, ...pins],
    timezone: plan.timezone,
  }),
]);

function keptOf(policy: Policy, list: readonly Candidate[], now: Date): Set<string> {
  return new Set(keep(policy, list, now).filter((decision) => decision.keep).map(({ id }) => id));
}

function newest(list: readonly Candidate[]): Candidate | undefined {
  return list.toSorted((a, b) => b.time.getTime() - a.time.getTime() || (a.id < b.id ? 1 : -1))[0];
}

function byName(list: readonly Candidate[]): (readonly Candidate[])[] {
  return ["app", "db"].map((name) => list.filter((backup) => backup.name === name));
}

Deno.test("keep() removes something in at least 150 of 400 cases below, so that they are a test", () => {
  const all = fc.sample(fc.tuple(policy, backups, clock), { seed: RUNS.seed, numRuns: 400 });
  const removing = all.filter(([policy, list, now]) => keptOf(policy, list, now).size < list.length);
  assert.ok(removing.length > 150, `${removing.length} of 400`);
});

Deno.test("keep() decides once about each backup, with reasons, whatever their order", () => {
  fc.assert(
    fc.property(policy, backups, clock, fc.infiniteStream(fc.nat()), (policy, list, now, numbers) => {
      const shuffled = list.map((backup) => ({ backup, at: numbers.next().value! }))
        .sort((a, b) => a.at - b.at).map(({ backup }) => backup);
      const decisions = keep(policy, list, now);
      assert.deepEqual(keep(policy, shuffled, now), decisions);
      assert.deepEqual(decisions.map(({ id }) => id).sort(), list.map(({ id }) => id).sort());
      for (const { keep, reasons } of decisions) {
        assert.ok(reasons.length > 0);
        assert.equal(keep, !reasons.includes("no rule keeps it"));
      }
    }),
    RUNS,
  );
});

Deno.test("keep() changes nothing it is given", () => {
  fc.assert(
    fc.property(policy, backups, clock, (policy, list, now) => {
      const before = structuredClone({ policy, list, now });
      keep(policy, list, now);
      assert.deepEqual({ policy, list, now }, before);
    }),
    { ...RUNS, numRuns: 50 },
  );
});

Deno.test("keep() keeps the newest and the newest verified of each name, before and after now, and every pin", () => {
  fc.assert(
    fc.property(policy, backups, clock, (policy, list, now) => {
      const kept = keptOf(policy, list, now);
      for (const group of byName(list)) {
        const present = group.filter(({ time }) => time <= now);
        const wanted = [group, present, group.filter((b) => b.verified), present.filter((b) => b.verified)]
          .map(newest);
        for (const backup of wanted) assert.ok(!backup || kept.has(backup.id), backup?.id);
      }
      for (const { id, time } of list) {
        assert.ok(time <= now || kept.has(id), `${id} is in the future`);
        assert.ok(!policy.pins?.includes(id) || kept.has(id), `${id} is pinned`);
      }
    }),
    RUNS,
  );
});

Deno.test("keep() decides about each name as if the others were not there", () => {
  fc.assert(
    fc.property(policy, backups, clock, (policy, list, now) => {
      assert.deepEqual(keep(policy, list, now), byName(list).flatMap((group) => keep(policy, group, now)));
    }),
    RUNS,
  );
});

Deno.test("keep() never removes more when a count is raised, a rule or a pin added, a length grown", () => {
  fc.assert(
    fc.property(wider, backups, clock, ([policy, wider], list, now) => {
      const more = keptOf(wider, list, now);
      for (const id of keptOf(policy, list, now)) assert.ok(more.has(id), id);
    }),
    RUNS,
  );
});

Deno.test("keep() keeps every base, of this name, of what it keeps, and no backup only as base of one that goes", () => {
  fc.assert(
    fc.property(policy, backups, clock, (policy, list, now) => {
      const kept = keptOf(policy, list, now);
      const names = new Map(list.map(({ id, name }) => [id, name]));
      for (const { id, name, bases } of list) {
        for (const base of bases ?? []) {
          if (kept.has(id) && names.get(base) === name) assert.ok(kept.has(base), `${base}, base of ${id}`);
        }
      }
      for (const { reasons } of keep(policy, list, now)) {
        for (const reason of reasons) if (reason.startsWith("base of ")) assert.ok(kept.has(reason.slice(8)));
      }
    }),
    RUNS,
  );
});

Deno.test("keep() keeps all of what it kept when it decides again", () => {
  fc.assert(
    fc.property(policy, backups, clock, (policy, list, now) => {
      const kept = keptOf(policy, list, now);
      assert.deepEqual(keptOf(policy, list.filter(({ id }) => kept.has(id)), now), kept);
    }),
    RUNS,
  );
});

Deno.test("keep() removes nothing more when the clock is set back, and nothing else when it runs ahead", () => {
  fc.assert(
    fc.property(policy, backups, clock, clock, (policy, list, a, b) => {
      const [earlier, later] = a <= b ? [a, b] : [b, a];
      const before = keptOf(policy, list, earlier);
      for (const id of keptOf(policy, list, later)) assert.ok(before.has(id), id);
      const end = new Date(Math.max(0, ...list.map(({ time }) => time.getTime())));
      assert.deepEqual(keep(policy, list, new Date(end.getTime() + 1e12)), keep(policy, list, end));
    }),
    RUNS,
  );
});

Deno.test("keep() keeps one backup of each local day and hour there is, as Intl counts them", () => {
  fc.assert(
    fc.property(withoutBases, fc.constantFrom(...ZONES), (list, timezone) => {
      const group = list.map((backup) => ({ ...backup, name: "app", verified: false }));
      const days = new Intl.DateTimeFormat("en", { timeZone: timezone, dateStyle: "short" });
      const hours = new Intl.DateTimeFormat("en", {
        timeZone: timezone,
        dateStyle: "short",
        timeStyle: "full",
        hourCycle: "h23",
      });
      const end = new Date(8.64e15);
      const hour = (date: Date): string => hours.format(date).replace(/(\d+):\d\d:\d\d/, "$1");
      assert.equal(
        keptOf({ keepDaily: -1, timezone }, group, end).size,
        new Set(group.map((b) => days.format(b.time))).size,
      );
      assert.equal(
        keptOf({ keepHourly: -1, timezone }, group, end).size,
        new Set(group.map((b) => hour(b.time))).size,
      );
    }),
    { ...RUNS, numRuns: SOAK ? 2_000 : 150 },
  );
});
