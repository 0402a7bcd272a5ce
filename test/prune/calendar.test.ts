/** Local dates by arithmetic are those that Temporal gives. */
import { strict as assert } from "node:assert";
import { calendarOf } from "../../src/prune/calendar.ts";
import { random } from "../../src/testing/random.ts";

const ZONES = [
  "UTC",
  "Europe/Berlin",
  "America/St_Johns",
  "Pacific/Apia",
  "Asia/Kathmandu",
  "Africa/Casablanca",
  "Australia/Lord_Howe",
];

Deno.test("calendarOf() agrees with Temporal, before, at and after each change of clocks", () => {
  const chance = random(7);
  for (const zone of ZONES) {
    const calendar = calendarOf(zone);
    const times = Array.from({ length: 300 }, () => chance.between(-2_500_000_000, 4_000_000_000) * 1000);
    let change = Temporal.Instant.from("1900-01-01T00:00Z").toZonedDateTimeISO(zone).getTimeZoneTransition(
      "next",
    );
    for (let i = 0; change && i < 150; i++, change = change.getTimeZoneTransition("next")) {
      for (const by of [-1, 0, 1]) times.push(change.epochMilliseconds + by);
    }
    // Not sorted: a span that was remembered must not be taken for another's.
    for (const time of [...times, ...times.toReversed(), 8.64e15, -8.64e15]) {
      const there = Temporal.Instant.fromEpochMilliseconds(time).toZonedDateTimeISO(zone);
      assert.deepEqual(
        calendar.at(time),
        { date: there.toPlainDate().toString(), hour: there.hour, offset: there.offset },
        `${zone} ${time}`,
      );
    }
    assert.equal(calendar.week("2026-12-31"), "2026-W53");
    assert.equal(calendar.week("2027-01-03"), "2026-W53");
  }
});
