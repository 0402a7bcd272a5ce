/** The arithmetic of parts and pauses. */
import assert from "node:assert/strict";
import { pauseMs } from "../../src/store/s3/client.ts";
import { failureOf, isPassing, retryAfterMs } from "../../src/store/s3/explain.ts";
import { LEAST_PART } from "../../src/store/s3/options.ts";
import { MOST_PARTS, partSize } from "../../src/store/s3/parts.ts";
import { StoreError } from "../../src/errors.ts";

Deno.test("partSize() lets 5 TiB fit into 10,000 parts of at most 5 GiB", () => {
  for (const first of [LEAST_PART, 8 * 1024 ** 2, 100 * 1024 ** 2, 5 * 1024 ** 3]) {
    let sum = 0;
    for (let number = 1; number <= MOST_PARTS; number++) {
      const size = partSize(number, first);
      assert.ok(Number.isInteger(size) && size >= first && size <= 5 * 1024 ** 3);
      assert.ok(number === 1 || size >= partSize(number - 1, first));
      sum += size;
    }
    assert.ok(sum >= 5 * 1024 ** 4, `${first}: ${sum}`);
  }
});

Deno.test("pauses double, are spread, and obey the server up to a minute", () => {
  assert.deepEqual([1, 2, 3, 9].map((attempt) => pauseMs(attempt, undefined, 1)), [250, 500, 1000, 15_000]);
  assert.equal(pauseMs(1, undefined, 0), 125);
  assert.equal(pauseMs(1, 7000, 0), 7000);
  assert.equal(pauseMs(1, 3_600_000, 0), 60_000);
  const answer = (value: string): unknown => ({ $response: { headers: { "retry-after": value } } });
  assert.equal(retryAfterMs(answer("7")), 7000);
  assert.equal(retryAfterMs(answer("Fri, 20 Nov 2026 03:00:10 GMT"), Date.UTC(2026, 10, 20, 3)), 10_000);
  assert.equal(retryAfterMs(answer("soon")), undefined);
});

Deno.test("isPassing() tries again what may pass, and never a no", () => {
  const answer = (status: number, name = ""): Error =>
    Object.assign(new Error("x"), { name, $metadata: { httpStatusCode: status } });
  for (
    const error of [
      answer(500),
      answer(503, "SlowDown"),
      answer(429),
      answer(400, "RequestTimeout"),
      answer(409, "OperationAborted"),
    ]
  ) {
    assert.ok(isPassing(error), failureOf(error).code);
  }
  for (
    const error of [
      answer(403, "AccessDenied"),
      answer(404, "NoSuchKey"),
      answer(412),
      answer(501, "NotImplemented"),
      answer(400, "ExpiredToken"),
    ]
  ) {
    assert.ok(!isPassing(error), failureOf(error).code);
  }
  assert.ok(isPassing(new Error("read ECONNRESET")));
  assert.ok(!isPassing(new Error("invalid peer certificate: UnknownIssuer")));
  assert.ok(!isPassing(new StoreError('Cannot write "network timed out"')));
});
