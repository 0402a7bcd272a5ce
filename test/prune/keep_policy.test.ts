/** What a policy may say. */
import assert from "node:assert/strict";
import { checkPolicy, keep, parseDuration, type Policy } from "../../src/prune/keep.ts";

const NOTHING = { years: 0, months: 0, weeks: 0, days: 0, hours: 0, minutes: 0, seconds: 0 };

const WRONG: readonly (readonly [string, unknown, string, RegExp])[] = [
  ["an empty policy", {}, "TypeError", /^An empty policy would keep nothing: set at least one rule/],
  ["a policy of pins only", { pins: ["a"] }, "TypeError", /^An empty policy would keep nothing/],
  ["a policy of a time zone only", { timezone: "UTC" }, "TypeError", /^An empty policy would keep nothing/],
  [
    "a policy of undefined rules",
    { keepDaily: undefined },
    "TypeError",
    /^An empty policy would keep nothing/,
  ],
  ["no policy", null, "TypeError", /^Cannot read the policy/],
  ["rules that are all 0", { keepLast: 0, keepDaily: 0 }, "RangeError", /^A policy whose rules are all 0/],
  ["a fraction", { keepDaily: 1.5 }, "RangeError", /^Cannot use keepDaily 1.5: give a whole number from 0/],
  ["a negative count", { keepDaily: -2 }, "RangeError", /^Cannot use keepDaily -2/],
  ["minus infinity", { keepDaily: -Infinity }, "RangeError", /^Cannot use keepDaily -Infinity/],
  ["not a number", { keepDaily: Number.NaN, keepLast: 1 }, "RangeError", /^Cannot use keepDaily NaN/],
  ["a count as text", { keepDaily: "14" }, "TypeError", /^Cannot use keepDaily "14": give a number/],
  [
    "a misspelt rule",
    { keepLast: 1, keepdaily: 7 },
    "TypeError",
    /^Cannot use "keepdaily" in a policy: the rules are keepLast,/,
  ],
  [
    "a duration in words",
    { keepWithin: "two weeks" },
    "TypeError",
    /^Cannot use keepWithin: Cannot read "two weeks" as a duration/,
  ],
  [
    "a duration as number",
    { keepWithinDaily: 14 },
    "TypeError",
    /^Cannot use keepWithinDaily: Cannot read 14 as a duration/,
  ],
  [
    "a duration of nothing",
    { keepWithin: "0d" },
    "RangeError",
    /^Cannot use keepWithin: Cannot use the duration "0d"/,
  ],
  [
    "an unknown time zone",
    { keepLast: 1, timezone: "Mars/Base" },
    "RangeError",
    /^Cannot use the time zone "Mars\/Base"/,
  ],
  [
    "a date as time zone",
    { keepLast: 1, timezone: "2026-11-20T03:00Z" },
    "RangeError",
    /^Cannot use the time zone/,
  ],
  ["an empty time zone", { keepLast: 1, timezone: "" }, "RangeError", /^Cannot use the time zone ""/],
  ["a time zone that is no text", { keepLast: 1, timezone: 1 }, "TypeError", /^Cannot use timezone/],
  ["pins that are no list", { keepLast: 1, pins: "a" }, "TypeError", /^Cannot use pins: give a list/],
  ["pins that are no ids", { keepLast: 1, pins: [1] }, "TypeError", /^Cannot use pins: give a list/],
];

for (const [what, policy, name, message] of WRONG) {
  Deno.test(`checkPolicy() and keep() throw ${name} on ${what}`, () => {
    assert.throws(() => checkPolicy(policy as Policy), { name, message });
    assert.throws(() => keep(policy as Policy, [], new Date(0)), { name, message });
  });
}

Deno.test("checkPolicy() takes every rule, -1, Infinity, pins and a zone", () => {
  checkPolicy({
    keepLast: 1,
    keepHourly: -1,
    keepDaily: Infinity,
    keepWeekly: 0,
    keepMonthly: 12,
    keepYearly: 3,
    keepWithin: "14d",
    keepWithinHourly: "36h",
    keepWithinDaily: "P14D",
    keepWithinWeekly: "2m",
    keepWithinMonthly: "1y6m",
    keepWithinYearly: "10y",
    pins: ["a"],
    timezone: "Australia/Lord_Howe",
  });
});

Deno.test("parseDuration() reads the short and the ISO form", () => {
  const read: readonly (readonly [string, Partial<typeof NOTHING>])[] = [
    ["14d", { days: 14 }],
    ["36h", { hours: 36 }],
    ["6m", { months: 6 }],
    ["1y", { years: 1 }],
    ["1y6m", { years: 1, months: 6 }],
    ["1y5m2w7d2h", { years: 1, months: 5, weeks: 2, days: 7, hours: 2 }],
    ["P14D", { days: 14 }],
    ["P2W", { weeks: 2 }],
    ["PT36H", { hours: 36 }],
    ["P1Y6M", { years: 1, months: 6 }],
    ["P1Y2M3DT4H5M6S", { years: 1, months: 2, days: 3, hours: 4, minutes: 5, seconds: 6 }],
    ["007d", { days: 7 }],
  ];
  for (const [text, expected] of read) {
    assert.deepEqual(parseDuration(text), { ...NOTHING, ...expected }, text);
  }
});

Deno.test("parseDuration() throws on anything else", () => {
  const wrong = [
    "",
    "d",
    "14",
    "14 d",
    " 14d",
    "14d ",
    "14D",
    "-1d",
    "+1d",
    "1.5d",
    "1d1y",
    "1d1d",
    "14days",
    "P",
    "PT",
    "P1",
    "P1DT",
  ];
  const iso = ["PT1D", "P1H", "p1d", "-P1D", "P1.5D", "P1D\n", "14d\n", "1M", "5s"];
  for (const text of [...wrong, ...iso]) {
    assert.throws(
      () => parseDuration(text),
      { name: "TypeError", message: /as a duration: write "14d"/ },
      text,
    );
  }
});

Deno.test("parseDuration() throws on nothing and on too much", () => {
  for (const text of ["0d", "0y0m", "PT0S", "1000000h", "P99999999999999999999Y"]) {
    assert.throws(() => parseDuration(text), RangeError, text);
  }
});
