/** Golden tables: each expectation below was worked out by hand from a calendar. */
import assert from "node:assert/strict";
import { type Candidate, type Decision, keep, type Policy } from "../../src/prune/keep.ts";

const LATER = new Date("2100-01-01T00:00:00Z");

/** Backups called "app" at these UTC times; the id is the time as written. "*" in front: verified. */
function at(...times: string[]): Candidate[] {
  return times.map((text) => {
    const id = text.replace("*", "");
    const time = new Date(id.length === 10 ? `${id}T03:00:00Z` : `${id}Z`);
    return { id, name: "app", time, verified: text.startsWith("*") };
  });
}

/** One backup every `hours`, `count` of them, from a UTC time on. */
function every(hours: number, count: number, from: string): Candidate[] {
  return Array.from({ length: count }, (_, i) => {
    const time = new Date(Date.parse(from) + i * hours * 3_600_000);
    return { id: time.toISOString().slice(0, 16), name: "app", time, verified: false };
  });
}

function kept(policy: Policy, backups: readonly Candidate[], now = LATER): string[] {
  return keep(policy, backups, now).filter((decision) => decision.keep).map(({ id }) => id);
}

function reasons(decisions: readonly Decision[], id: string): readonly string[] {
  return decisions.find((decision) => decision.id === id)?.reasons ?? [];
}

const NOVEMBER = at(
  "2026-11-20", // Friday of 2026-W47
  "2026-11-19T23:59:59",
  "2026-11-19T00:00:00",
  "2026-11-17",
  "2026-11-15", // Sunday of 2026-W46
  "2026-11-09", // Monday of 2026-W46
  "2026-11-08", // Sunday of 2026-W45
  "2026-10-31",
  "2026-10-01",
  "2025-12-31", // Wednesday of 2026-W01
  "2025-12-28", // Sunday of 2025-W52
  "2024-12-30", // Monday of 2025-W01
);

const GOLDEN: readonly (readonly [string, Policy, readonly string[]])[] = [
  ["the last three", { keepLast: 3 }, ["2026-11-20", "2026-11-19T23:59:59", "2026-11-19T00:00:00"]],
  ["two hours", { keepHourly: 2 }, ["2026-11-20", "2026-11-19T23:59:59"]],
  ["three days, gaps use nothing up", { keepDaily: 3 }, ["2026-11-20", "2026-11-19T23:59:59", "2026-11-17"]],
  ["three weeks, Monday to Sunday", { keepWeekly: 3 }, ["2026-11-20", "2026-11-15", "2026-11-08"]],
  ["all weeks, by the ISO year", { keepWeekly: -1 }, [
    "2026-11-20",
    "2026-11-15",
    "2026-11-08",
    "2026-10-31",
    "2026-10-01",
    "2025-12-31",
    "2025-12-28",
    "2024-12-30",
  ]],
  ["three months", { keepMonthly: 3 }, ["2026-11-20", "2026-10-31", "2025-12-31"]],
  ["all years", { keepYearly: Infinity }, ["2026-11-20", "2025-12-31", "2024-12-30"]],
  ["more years than there are", { keepYearly: 10 }, ["2026-11-20", "2025-12-31", "2024-12-30"]],
  ["a rule of 0 is off", { keepLast: 1, keepYearly: 0 }, ["2026-11-20"]],
  ["rules add up", { keepLast: 1, keepMonthly: 2, keepYearly: 2 }, [
    "2026-11-20",
    "2026-10-31",
    "2025-12-31",
  ]],
  ["younger than five days, the fifth is too old", { keepWithin: "5d" }, [
    "2026-11-20",
    "2026-11-19T23:59:59",
    "2026-11-19T00:00:00",
    "2026-11-17",
  ]],
  ["younger than five days and an hour", { keepWithin: "5d1h" }, [
    "2026-11-20",
    "2026-11-19T23:59:59",
    "2026-11-19T00:00:00",
    "2026-11-17",
    "2026-11-15",
  ]],
  ["each day of the last two", { keepWithinDaily: "P2D" }, ["2026-11-20", "2026-11-19T23:59:59"]],
  ["each week of the last month", { keepWithinWeekly: "1m" }, [
    "2026-11-20",
    "2026-11-15",
    "2026-11-08",
    "2026-10-31",
  ]],
  ["each month of the last year", { keepWithinMonthly: "1y" }, ["2026-11-20", "2026-10-31", "2025-12-31"]],
  ["each year of the last 1 y 11 m", { keepWithinYearly: "1y11m" }, [
    "2026-11-20",
    "2025-12-31",
    "2024-12-30",
  ]],
  ["each hour of the last 36", { keepWithinHourly: "PT36H" }, [
    "2026-11-20",
    "2026-11-19T23:59:59",
    "2026-11-19T00:00:00",
  ]],
  ["a duration longer than the calendar", { keepWithin: "999999y" }, NOVEMBER.map(({ id }) => id)],
];

for (const [what, policy, ids] of GOLDEN) {
  Deno.test(`keep() by hand: ${what}`, () => {
    assert.deepEqual(kept(policy, NOVEMBER), ids);
  });
}

Deno.test("keep() counts the last days of December to the week, and year of weeks, they belong to", () => {
  // By ISO 8601 the first two are in 2026-W01, the third in 2025-W01.
  const backups = at("2026-01-02", "2025-12-31", "2025-01-02");
  assert.deepEqual(kept({ keepWeekly: -1 }, backups), ["2026-01-02", "2025-01-02"]);
});

Deno.test("keep() says why, and why not", () => {
  const decisions = keep(
    {
      keepLast: 2,
      keepHourly: 1,
      keepDaily: 2,
      keepWeekly: 2,
      keepMonthly: 1,
      keepYearly: 1,
      keepWithin: "1d",
      keepWithinDaily: "2d",
    },
    at("2026-11-20", "*2026-11-19", "2026-11-18", "2026-11-15", "2026-11-14"),
    LATER,
  );
  assert.deepEqual(decisions, [
    {
      id: "2026-11-20",
      keep: true,
      reasons: [
        "last 1 of 2",
        "hourly 2026-11-20T03Z",
        "daily 2026-11-20",
        "weekly 2026-W47",
        "monthly 2026-11",
        "yearly 2026",
        "within 1d",
        "daily 2026-11-20 within 2d",
        "newest",
      ],
    },
    {
      id: "2026-11-19",
      keep: true,
      reasons: ["last 2 of 2", "daily 2026-11-19", "daily 2026-11-19 within 2d", "newest verified"],
    },
    { id: "2026-11-18", keep: false, reasons: ["no rule keeps it"] },
    { id: "2026-11-15", keep: true, reasons: ["weekly 2026-W46"] },
    { id: "2026-11-14", keep: false, reasons: ["no rule keeps it"] },
  ]);
  assert.deepEqual(reasons(keep({ keepLast: -1 }, at("2026-11-20"), LATER), "2026-11-20"), [
    "last 1",
    "newest",
  ]);
});

Deno.test("keep() always keeps the newest verified backup", () => {
  const backups = at("2026-11-20", "2026-11-19", "*2026-03-01", "*2026-02-01");
  const decisions = keep({ keepLast: 1 }, backups, LATER);
  assert.deepEqual(kept({ keepLast: 1 }, backups), ["2026-11-20", "2026-03-01"]);
  assert.deepEqual(reasons(decisions, "2026-03-01"), ["newest verified"]);
});

Deno.test("keep() keeps backups from the future, and they use up no rule's place", () => {
  const backups = at("*2099-01-01", "2026-11-20", "2026-11-19", "*2026-11-18", "2026-11-17");
  const now = new Date("2026-11-20T04:00:00Z");
  const decisions = keep({ keepLast: 1, keepWithin: "1h" }, backups, now);
  assert.deepEqual(reasons(decisions, "2099-01-01"), ["in the future"]);
  assert.deepEqual(reasons(decisions, "2026-11-20"), ["last 1 of 1", "within 1h", "newest"]);
  assert.deepEqual(reasons(decisions, "2026-11-18"), ["newest verified"]);
  assert.deepEqual(kept({ keepLast: 1 }, backups, now), ["2099-01-01", "2026-11-20", "2026-11-18"]);
});

Deno.test("keep() does not take a backup of this very moment for one from the future", () => {
  const decisions = keep({ keepLast: 1 }, at("2026-11-20"), new Date("2026-11-20T03:00:00Z"));
  assert.deepEqual(reasons(decisions, "2026-11-20"), ["last 1 of 1", "newest"]);
});

Deno.test("keep() counts keepWithin from the newest backup, so a host that stopped loses nothing", () => {
  const backups = at("2026-11-20", "2026-11-10", "2026-11-01");
  assert.deepEqual(kept({ keepWithin: "14d" }, backups, LATER), ["2026-11-20", "2026-11-10"]);
});

Deno.test("keep() counts keepWithin by the calendar: a month back from 31 March is the end of February", () => {
  const backups = at("2026-03-31", "2026-03-01", "2026-02-28T03:00:01", "2026-02-28", "2026-02-27");
  assert.deepEqual(kept({ keepWithin: "1m" }, backups), ["2026-03-31", "2026-03-01", "2026-02-28T03:00:01"]);
});

Deno.test("keep() keeps what is pinned, and only there", () => {
  const backups = at("2026-11-20", "2026-11-19", "2026-11-18");
  const decisions = keep({ keepLast: 1, pins: ["2026-11-18", "gone"] }, backups, LATER);
  assert.deepEqual(decisions.map((decision) => decision.keep), [true, false, true]);
  assert.deepEqual(reasons(decisions, "2026-11-18"), ["pinned"]);
});

Deno.test("keep() keeps the bases of what it keeps, over any number of steps and around a circle", () => {
  const bases: Readonly<Record<string, readonly string[]>> = {
    "2026-11-20": ["2026-11-20", "2026-11-18", "absent"],
    "2026-11-18": ["2026-11-17"],
    "2026-11-17": ["2026-11-18"],
  };
  const backups = at("2026-11-20", "2026-11-19", "2026-11-18", "2026-11-17")
    .map((backup) => ({ ...backup, bases: bases[backup.id] }));
  const decisions = keep({ keepLast: 1 }, backups, LATER);
  assert.deepEqual(decisions.map((decision) => decision.keep), [true, false, true, true]);
  assert.deepEqual(reasons(decisions, "2026-11-20"), ["last 1 of 1", "newest"]);
  assert.deepEqual(reasons(decisions, "2026-11-18"), ["base of 2026-11-20"]);
  assert.deepEqual(reasons(decisions, "2026-11-17"), ["base of 2026-11-18"]);
});

Deno.test("keep() lets no base reach into another name's backups", () => {
  const backups = at("2026-11-20", "2026-11-19").map((backup) => ({ ...backup, bases: ["other"] }));
  const other: Candidate[] = at("2026-11-02", "2026-11-01").map((backup, i) => (
    { ...backup, id: i ? "other" : "other-new", name: "other" }
  ));
  const decisions = keep({ keepLast: 1 }, [...backups, ...other], LATER);
  assert.deepEqual(decisions.map(({ id }) => id), ["2026-11-20", "2026-11-19", "other-new", "other"]);
  assert.deepEqual(decisions.map((decision) => decision.keep), [true, false, true, false]);
});

Deno.test("keep() takes the greater id for the newer of two with one time", () => {
  const [a] = at("2026-11-20");
  const twins = ["x.tar.gz", "x.tar.zst"].map((id) => ({ ...a!, id }));
  assert.deepEqual(kept({ keepLast: 1 }, twins), ["x.tar.zst"]);
  assert.deepEqual(kept({ keepLast: 1 }, twins.toReversed()), ["x.tar.zst"]);
});

Deno.test("keep() has nothing to say about nothing", () => {
  assert.deepEqual(keep({ keepLast: 1 }, [], LATER), []);
});

Deno.test("keep() throws, so that nothing is removed, on two backups with one id", () => {
  const [a] = at("2026-11-20");
  assert.throws(() => keep({ keepLast: 1 }, [a!, { ...a!, name: "other" }], LATER), {
    name: "TypeError",
    message: 'Cannot decide what to keep: two backups are called "2026-11-20"',
  });
});

Deno.test("keep() throws on a time that is none", () => {
  const [a] = at("2026-11-20");
  const broken = new Date(Number.NaN);
  assert.throws(
    () => keep({ keepLast: 1 }, [{ ...a!, time: broken }], LATER),
    /the time of "2026-11-20" is not a date/,
  );
  assert.throws(() => keep({ keepLast: 1 }, [a!], broken), /now is not a date/);
});

Deno.test("keep() copes with the first and the last moment there is", () => {
  const backups = [-8.64e15, 8.64e15].map((ms, i) => ({
    id: `${i}`,
    name: "app",
    time: new Date(ms),
    verified: false,
  }));
  const policy = { keepHourly: -1, keepWeekly: -1, keepYearly: -1, keepWithin: "1y" };
  assert.deepEqual(kept({ ...policy, timezone: "Pacific/Apia" }, backups, new Date(8.64e15)), ["1", "0"]);
});

Deno.test("keep() follows the calendar of the policy's zone", () => {
  // 23:30 UTC on the 19th is half past midnight on the 20th in Berlin.
  const backups = at("2026-11-20", "2026-11-19T23:30:00", "2026-11-19T22:30:00", "2026-11-18");
  assert.deepEqual(kept({ keepDaily: 2 }, backups), ["2026-11-20", "2026-11-19T23:30:00"]);
  assert.deepEqual(kept({ keepDaily: 2, timezone: "Europe/Berlin" }, backups), [
    "2026-11-20",
    "2026-11-19T22:30:00",
  ]);
});

Deno.test("keep() takes the hour that comes twice for two hours", () => {
  // Clocks go back at 01:00 UTC, 06:00 UTC, and in Lord Howe by half an hour at 15:00 UTC.
  const days = [
    ["Europe/Berlin", "2026-10-24T22:00Z", 25, "hourly 2026-10-25T02+02:00", "hourly 2026-10-25T02+01:00"],
    ["America/New_York", "2026-11-01T04:00Z", 25, "hourly 2026-11-01T01-04:00", "hourly 2026-11-01T01-05:00"],
    [
      "Australia/Lord_Howe",
      "2026-04-04T13:00Z",
      25,
      "hourly 2026-04-05T01+11:00",
      "hourly 2026-04-05T01+10:30",
    ],
  ] as const;
  for (const [timezone, from, hours, first, second] of days) {
    const backups = every(1, hours, from);
    const decisions = keep({ keepHourly: hours, timezone }, backups, LATER);
    assert.equal(decisions.filter((decision) => decision.keep).length, hours, timezone);
    const all = decisions.flatMap((decision) => decision.reasons);
    assert.ok(all.includes(first) && all.includes(second), `${timezone}: ${all.join(", ")}`);
    const daily = kept({ keepDaily: -1, timezone }, backups);
    assert.deepEqual(daily, [backups.at(-1)!.id], `${timezone} is one day`);
  }
});

Deno.test("keep() loses no hour and no day where clocks go forward", () => {
  const days = [["Europe/Berlin", "2026-03-28T23:00Z"], ["America/New_York", "2026-03-08T05:00Z"]] as const;
  for (const [timezone, from] of days) {
    const backups = every(1, 23 + 24, from);
    assert.equal(kept({ keepHourly: 47, timezone }, backups).length, 47, timezone);
    assert.deepEqual(
      kept({ keepDaily: -1, timezone }, backups),
      [backups[46]!.id, backups[22]!.id],
      timezone,
    );
  }
});

Deno.test("keep() goes on where a day is left out: Samoa had no 30 December 2011", () => {
  const backups = every(24, 5, "2011-12-28T22:00Z"); // noon on the 28th, by day from there
  const decisions = keep({ keepDaily: 3, timezone: "Pacific/Apia" }, backups, LATER);
  assert.deepEqual(decisions.map((decision) => decision.reasons[0]), [
    "daily 2012-01-02",
    "daily 2012-01-01",
    "daily 2011-12-31",
    "no rule keeps it",
    "no rule keeps it",
  ]);
  // Three days back from noon on the 1st is noon on the 29th, and only two nights lie between.
  assert.equal(kept({ keepWithin: "3d", timezone: "Pacific/Apia" }, backups.slice(0, 4)).length, 2);
});

Deno.test("keep() counts a day once where clocks go back over midnight: St John's, 7 November 2010", () => {
  // 00:01 on the 7th (02:31 UTC) became 23:01 on the 6th.
  const backups = at(
    "2010-11-07T04:00:00",
    "2010-11-07T03:00:00",
    "2010-11-07T02:30:30",
    "2010-11-07T02:00:00",
  );
  const decisions = keep({ keepDaily: -1, timezone: "America/St_Johns" }, backups, LATER);
  assert.deepEqual(decisions.map((decision) => decision.reasons[0]), [
    "daily 2010-11-07",
    "daily 2010-11-06",
    "no rule keeps it",
    "no rule keeps it",
  ]);
});

Deno.test("keep() counts calendar days back over a change of clocks", () => {
  // A day before 12:00 CET on 25 October is 12:00 CEST on the 24th: 25 hours.
  const backups = at("2026-10-25T11:00:00", "2026-10-24T10:00:01", "2026-10-24T10:00:00");
  const timezone = "Europe/Berlin";
  assert.equal(kept({ keepWithin: "1d", timezone }, backups).length, 2);
  assert.equal(kept({ keepWithin: "24h", timezone }, backups).length, 1);
});
